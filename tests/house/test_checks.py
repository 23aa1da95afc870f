"""The checks that need no other Python: style, layers, types and the docs site, as the nox sessions run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache", "."],
        ["ruff", "format", "--no-cache", "--check", "."],
        ["lint-imports", "--no-logo", "--no-cache"],
        ["mypy"],
        # The contents beside a page without the members of classes: to copy them for every page is a third of the time.
        ["sphinx-build", "-W", "--keep-going", "-q", "-D", "toc_object_entries=0", "-b", "html", "docs", "{out}"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_check_passes(command: list[str], tmp_path: Path) -> None:
    program, *options = (part.format(out=tmp_path) for part in command)
    done = subprocess.run(
        [BIN / program, *options],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_that_is_ignored_on_a_line_has_its_reason_there() -> None:
    bare = re.compile(r"# noqa(?!: [A-Z]+[0-9]+(, [A-Z]+[0-9]+)*  ?[-(#] ?\w)")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("src", "tests", "benchmarks", "examples")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if bare.search(line) and path != Path(__file__)
    ]
    assert found == []
