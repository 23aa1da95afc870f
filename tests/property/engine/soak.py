"""Play histories for a long time, or let the machine find anew what shows a broken engine.

``nox -s soak -- --minutes 30`` plays on both storages until the time is over; ``--histories 20000`` until so many are
played; ``--processes 1`` one after the other, and not on all cores. A failure is told with the command that plays it
again, and the fifth (``--faults``) ends it; Ctrl-C, SIGTERM and SIGHUP end it, too. The last lines count what was
played, and what passed on which commit.
``--record NAME`` makes histories up for a mutant until one shows it, and keeps the smallest; ``--mutants`` does
this for all of them, and keeps none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.property.engine.breaking import Mutant, broken_copy
from tests.property.engine.crowd import Bounds, EndedError, Progress, ended_by, play_in_crowd
from tests.property.engine.mutants import MUTANTS
from tests.property.engine.promises import Counts
from tests.property.engine.trial import ROOT, Verdict, try_engine

CHUNK = 100
SEARCHES = 10


def soak(bounds: Bounds, processes: int) -> int:
    """Play within the bounds, or until somebody ends it; answers how many faults were found."""
    progress, commit = Progress(bounds.histories), _commit()
    try:
        with ended_by():
            say(f"playing on {commit} in {processes} processes")
            play_in_crowd(bounds, processes, progress, say)
    except EndedError as ended:
        say(f"ended by {ended}")
    total = Counts()
    for kind, counts in progress.counts.items():
        say(f"{kind}: {counts.told()}")
        total.add(counts)
    say(f"all: {total.told()}")
    faults = progress.faults.total()
    say(f"passed on {commit}: {progress.passed()}; {faults} faults")
    return faults


def _commit() -> str:
    """What is being played, as it is when this begins."""
    git = shutil.which("git")
    command = [git or "git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False) if git else None
    return f"commit {told.stdout.strip()}" if told and told.stdout else "what is no commit"


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
    parser.add_argument("--faults", type=int, default=5)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--record", metavar="NAME", choices=[mutant.name for mutant in MUTANTS])
    given = parser.parse_args()
    if not (given.mutants or given.record):
        return int(soak(Bounds(given.minutes, given.histories, given.faults), given.processes) > 0)
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
