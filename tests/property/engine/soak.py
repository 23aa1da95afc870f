"""Play histories for a long time, or let the machine find anew what shows a broken engine.

``nox -s soak -- --minutes 30`` plays on both storages until the time is over; ``--histories 20000`` until so many are
played. ``--record NAME`` makes histories up for a mutant until one shows it, and keeps the smallest; ``--mutants`` does
this for all of them, and keeps none.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.property.engine.history import breaks
from tests.property.engine.machine import play_many
from tests.property.engine.mutants import MUTANTS, Mutant, broken_copy
from tests.property.engine.promises import Counts
from tests.property.engine.sqlite_file import on_sqlite
from tests.property.engine.trial import Verdict, try_engine

CHUNK = 100
SEARCHES = 10
KINDS = (("memory", "asyncio"), ("memory", "asyncio"), ("memory", "trio"), ("sqlite", "asyncio"))


def soak(minutes: float, histories: int, folder: Path) -> str | None:
    """Play until the time is over or so many were played; answers the story of what failed."""
    counts = {kind: Counts() for kind in KINDS}
    end = time.monotonic() + 60 * minutes
    turn = 0
    while time.monotonic() < end and sum(each.histories for each in counts.values()) < histories:
        storage, backend = kind = KINDS[turn % len(KINDS)]
        turn += 1
        with TemporaryDirectory(dir=folder) as own, ExitStack() as stack:
            url = stack.enter_context(on_sqlite(Path(own))) if storage == "sqlite" else lambda: "memory://"
            broken = play_many(url, CHUNK, counts[kind], backend=backend, number=random.getrandbits(32))
            if broken is not None:
                return breaks(broken, url(), backend=backend) or f"only once: {broken.text()}"
        say(f"{' on '.join(kind)}: {counts[kind].told()}")
    return None


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
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--record", metavar="NAME", choices=[mutant.name for mutant in MUTANTS])
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        if given.mutants:
            found = [search(mutant, folder).broken for mutant in MUTANTS]
            return int(None in found)
        if given.record:
            (mutant,) = (mutant for mutant in MUTANTS if mutant.name == given.record)
            verdict = search(mutant, folder)
            if verdict.history is None:
                return 1
            mutant.history.write_text(verdict.history.model_dump_json(exclude_defaults=True, indent=1) + "\n")
            return 0
        story = soak(given.minutes, given.histories, folder)
        if story is not None:
            say(story)
        return int(story is not None)


if __name__ == "__main__":
    sys.exit(main())
