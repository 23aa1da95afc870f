"""Play histories for a long time, or let the machine find anew what shows a broken engine.

``nox -s soak -- --minutes 30`` plays on both storages until the time is over; ``--histories 20000`` until so many are
played; ``--processes 1`` one after the other, and not on all cores. The first failure ends it and is told with the
command that plays it again; Ctrl-C, SIGTERM and SIGHUP end it, too. What was played is counted in the last line.
``--record NAME`` makes histories up for a mutant until one shows it, and keeps the smallest; ``--mutants`` does
this for all of them, and keeps none.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.property.engine.breaking import Mutant, broken_copy
from tests.property.engine.crowd import EndedError, Kind, ended_by, play_in_crowd
from tests.property.engine.mutants import MUTANTS
from tests.property.engine.promises import Counts
from tests.property.engine.trial import Verdict, try_engine

CHUNK = 100
SEARCHES = 10


def soak(minutes: float, histories: int, processes: int) -> str | None:
    """Play until the time is over, so many were played or somebody ends it; answers the story of what failed."""
    counts: dict[Kind, Counts] = {}
    story = None
    try:
        with ended_by():
            say(f"playing in {processes} processes")
            story = play_in_crowd(minutes, histories, processes, counts, say)
    except EndedError as ended:
        say(f"ended by {ended}")
    total = Counts()
    for each in counts.values():
        total.add(each)
    say(f"all: {total.told()}")
    return story


def search(mutant: Mutant, folder: Path) -> Verdict:
    """Make histories up on a broken engine until one shows it."""
    tree = broken_copy(mutant, folder)
    for number in range(SEARCHES):
        verdict = try_engine(tree, "search", str(CHUNK), str(number))
        if verdict.broken is not None:
            break
    say(f"{mutant.name}: {(verdict.broken or 'not found').splitlines()[0]}")
    return verdict


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--histories", type=int, default=50_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--record", metavar="NAME", choices=[mutant.name for mutant in MUTANTS])
    given = parser.parse_args()
    if not (given.mutants or given.record):
        story = soak(given.minutes, given.histories, given.processes)
        if story is not None:
            say(story)
        return int(story is not None)
    with TemporaryDirectory() as name:
        folder = Path(name)
        if given.mutants:
            found = [search(mutant, folder).broken for mutant in MUTANTS]
            return int(None in found)
        (mutant,) = (mutant for mutant in MUTANTS if mutant.name == given.record)
        verdict = search(mutant, folder)
        if verdict.history is None:
            return 1
        mutant.history.write_text(verdict.history.model_dump_json(exclude_defaults=True, indent=1) + "\n")
        return 0


if __name__ == "__main__":
    sys.exit(main())
