"""Try an engine in a process of its own: the one on the path, broken or not.

``python -m tests.property.engine.trial play FILE...`` plays kept histories; ``search HISTORIES NUMBER`` makes some up,
``left-jobs CALL...`` ends the process at these calls of a bulk job, over HTTP.
The last line of the output is a `Verdict` as JSON.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel

import crmsync
from tests.property.engine.history import History, breaks, read_history
from tests.property.engine.promises import Counts

ROOT = Path(__file__).parents[3]
SECONDS = 600


class Verdict(BaseModel):
    """What became of a trial: how the first history that breaks a promise breaks it, or nothing.

    ``engine`` is where the package was imported from; ``played`` counts histories.
    """

    engine: str
    played: int
    broken: str | None = None
    history: History | None = None


def try_engine(tree: Path, *command: str, seconds: float = SECONDS) -> Verdict:
    """Run a command of this module with the package in ``tree``.

    :raises AssertionError: it did not come to a verdict, or on another engine.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.property.engine.trial", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verdict = Verdict.model_validate_json(done.stdout.splitlines()[-1])
    assert Path(verdict.engine).is_relative_to(tree), f"tried {verdict.engine}"
    return verdict


def _play(files: Sequence[str]) -> Verdict:
    for played, file in enumerate(files, 1):
        history = read_history(file)
        broken = breaks(history, "memory://")
        if broken is not None:
            return Verdict(engine=crmsync.__file__, played=played, broken=broken, history=history)
    return Verdict(engine=crmsync.__file__, played=len(files))


def _search(histories: int, number: int) -> Verdict:
    # Hypothesis takes a while to import, and to play what is kept needs none of it.
    from tests.property.engine.machine import play_many

    counts = Counts()
    history = play_many(lambda: "memory://", histories, counts, number=number)
    broken = breaks(history, "memory://") if history else None
    return Verdict(engine=crmsync.__file__, played=counts.histories, broken=broken, history=history)


def _left_jobs(calls: Sequence[str]) -> Verdict:
    # The emulator takes a while to import.
    from tests.property.engine.left_jobs import play_left_job

    broken = [f"{call}: {told}" for call in calls if (told := play_left_job(call))]
    return Verdict(engine=crmsync.__file__, played=len(calls), broken="\n".join(broken) or None)


if __name__ == "__main__":
    verb, *given = sys.argv[1:]
    verbs: dict[str, Callable[[], Verdict]] = {
        "play": lambda: _play(given),
        "search": lambda: _search(*map(int, given)),
        "left-jobs": lambda: _left_jobs(given),
    }
    verdict = verbs[verb]()
    sys.stdout.write(f"{verdict.model_dump_json()}\n")
