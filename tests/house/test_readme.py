"""The README's commands are the ones that CI runs."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def commands() -> list[str]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return [line for block in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL) for line in block.splitlines()]


def test_the_readme_has_one_command_for_the_main_job_and_one_for_the_tests() -> None:
    demo, tests = commands()
    assert demo.endswith(".venv/bin/crmsync demo")
    assert " --group dev " in tests
    assert "/pytest -n " in tests


def test_ci_runs_the_command_that_the_readme_gives_for_the_tests() -> None:
    program = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "set -euo pipefail" in program
    assert program.splitlines()[-1] == commands()[1]
