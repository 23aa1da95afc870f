"""Coverage-guided fuzzing: ``nox -s fuzz``, or ``python -m tests.fuzz conversion -max_total_time=60``.

What follows the target's name is handed to libFuzzer. An input that fails is written to ``crash-...``; play it again by
naming the file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["crmsync.mapping"]):
    from tests.fuzz.targets import SEEDS, TARGETS


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"name a target: {', '.join(TARGETS)}")
    name = sys.argv.pop(1)
    with tempfile.TemporaryDirectory() as corpus:
        for place, seed in enumerate(SEEDS[name]):
            (Path(corpus) / f"seed-{place}").write_bytes(seed)
        given = [each for each in sys.argv[1:] if not each.startswith("-")]
        atheris.Setup([*sys.argv, *([] if given else [corpus])], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
