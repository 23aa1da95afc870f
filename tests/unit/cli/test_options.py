"""Options that many commands share: a command names the group, and gets what was made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from crmsync.cli.options import InFile, OfObject, Selection, Shown, grouped

SHARED = {"--config", "--integration", "--object", "--format"}


def app_of() -> tuple[typer.Typer, list[Selection]]:
    """A program of two commands, and what it was given."""
    given: list[Selection] = []
    app = typer.Typer(add_completion=False)

    @app.command()
    @grouped
    def whole(*, selection: OfObject, limit: int = 7, output: Shown) -> int:
        """Take everything."""
        given.append(selection)
        output.result({"limit": limit})
        return 0

    @app.command()
    @grouped
    def file(*, selection: InFile) -> int:
        given.append(selection)
        return 0

    return app, given


def test_a_group_is_made_of_its_options() -> None:
    app, given = app_of()
    done = CliRunner().invoke(app, ["whole", "-c", "a.toml", "-i", "acme", "-o", "Lead", "--format", "json"])
    assert done.exit_code == 0, done.output
    assert given == [Selection(Path("a.toml"), "acme", "Lead")]
    assert '"limit": 7' in done.output


def test_what_is_not_given_has_its_default() -> None:
    app, given = app_of()
    for command in ("whole", "file"):
        assert CliRunner().invoke(app, [command], env={"CRMSYNC_CONFIG": None}).exit_code == 0
    assert given == [Selection(Path("crmsync.toml"))] * 2


def test_the_environment_names_the_file_too() -> None:
    app, given = app_of()
    assert CliRunner().invoke(app, ["file"], env={"CRMSYNC_CONFIG": "there.toml"}).exit_code == 0
    assert given == [Selection(Path("there.toml"))]


@pytest.mark.parametrize("command,offered", [("whole", SHARED | {"--limit"}), ("file", {"--config"})])
def test_help_shows_the_options_of_the_group_and_no_others(command: str, offered: set[str]) -> None:
    app, _ = app_of()
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert {one for one in SHARED | {"--limit"} if one in shown} == offered
    assert "selection" not in shown
