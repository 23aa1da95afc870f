"""The command tree: whole when it is asked for, and no more of it than a command line needs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version

import pytest
import typer

from crmsync.cli import main
from crmsync.cli.tree import PLACES, command_tree

IMPORTED = """
import contextlib, io, json, sys
from crmsync.cli import main
with contextlib.redirect_stdout(io.StringIO()) as shown:
    code = main(sys.argv[1:])
print(json.dumps([code, shown.getvalue(), sorted(sys.modules)]))
"""


def imported(*arguments: str) -> set[str]:
    """The modules that a command line which shows something has imported when it is done."""
    done = subprocess.run([sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True, check=True)
    code, shown, modules = json.loads(done.stdout)
    assert code == 0, done.stderr
    assert shown
    return set(modules)


def summaries(tree: typer.Typer) -> dict[str, str]:
    group = typer.main.get_command(tree)
    assert isinstance(group, typer.core.TyperGroup)
    return {name: " ".join((one.help or "").partition("\n\n")[0].split()) for name, one in group.commands.items()}


def test_what_help_says_of_a_command_is_what_that_says_of_itself() -> None:
    assert summaries(command_tree(())) == summaries(command_tree(PLACES))


@pytest.mark.parametrize("asked", ["--help", "--version"])
def test_what_is_said_of_the_program_imports_no_command_and_no_model(asked: str) -> None:
    modules = imported(asked)
    assert not {one for one in modules if one.startswith(("crmsync.cli.commands", "crmsync.service"))}
    assert not {"pydantic", "cryptography", "sqlalchemy"} & modules


def test_a_command_imports_no_other_command() -> None:
    commands = {one for one in imported("status", "--help") if one.startswith("crmsync.cli.commands.")}
    assert commands == {"crmsync.cli.commands.looking"}


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"crmsync {version('crmsync')}\n"


def test_a_command_that_is_mistyped_is_told_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stattus"]) == 2
    assert "Did you mean 'status'?" in capsys.readouterr().err
