"""The command tree and the frame around it, without any configuration."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from crmsync.cli import main
from crmsync.cli.exits import ExitCode

COMMANDS = (
    "demo",
    "emulator",
    "init",
    "connect",
    "fields",
    "plan",
    "sync",
    "verify",
    "status",
    "conflicts",
    "history",
    "undo",
    "links",
    "mapping",
    "stops",
    "pause",
    "resume",
    "logs",
    "providers",
)
BELOW = (
    "conflicts list",
    "conflicts show",
    "conflicts resolve",
    "stops list",
    "stops show",
    "stops approve",
    "stops drop",
    "links list",
    "links show",
    "links link",
    "links unlink",
    "mapping preview",
)


def test_help_lists_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)
    assert "Exit codes" in text


@pytest.mark.parametrize("command", [*COMMANDS, *BELOW])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["plan", "sync", "status", "logs", "fields", "conflicts list", "connect"])
def test_a_command_without_a_configuration_says_how_to_make_one(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), "--config", str(tmp_path / "none.toml")]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "crmsync init" in captured.err


@pytest.mark.parametrize("form", [["--format", "json"], ["--format=json"]])
def test_a_command_line_that_does_not_parse_is_json_too_if_asked(
    form: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sync", "--bogus", *form]) == ExitCode.USAGE
    said = json.loads(capsys.readouterr().out)["error"]
    assert said["code"] == "usage"
    assert "--bogus" in said["message"]


def test_a_mistyped_command_is_an_error_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["snyc"]) == ExitCode.USAGE
    assert "snyc" in capsys.readouterr().err


def test_debug_shows_the_traceback_and_is_known_to_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sync", "--debug", "--config", str(tmp_path / "none.toml")]) == ExitCode.USAGE
    assert "Traceback" in capsys.readouterr().err


def test_what_debug_shows_of_logs_hides_secrets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    main(["sync", "--debug", "--config", str(tmp_path / "none.toml")])
    logging.getLogger("some.library").warning("Authorization: Bearer %s for %s", "hunter2secret", "ada@example.com")
    assert "Authorization" in caplog.text
    assert "hunter2secret" not in caplog.text
    assert "ada@" not in caplog.text


def test_providers_are_listed_without_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["providers", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"memory", "salesforce"} <= {entry["name"] for entry in found["providers"]}
    assert {"csv", "sql"} <= {entry["name"] for entry in found["local"]}
    assert main(["providers"]) == 0
    assert "salesforce" in capsys.readouterr().out


def test_conflicts_resolve_needs_one_id_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conflicts", "resolve", "--winner", "local"]) == ExitCode.USAGE
    assert main(["conflicts", "resolve", "abc", "--all", "--winner", "local"]) == ExitCode.USAGE
    assert "--all" in capsys.readouterr().err


OPENED = """
import gc
from crmsync.cli.collecting import collect_seldom, keep_what_is_there
{ours}
keep_what_is_there()
first = gc.get_freeze_count()
made = [[] for _ in range(1000)]
keep_what_is_there()
print(first > 0, gc.get_freeze_count() <= first)
"""


@pytest.mark.parametrize("ours, frozen", [("collect_seldom()", "True True"), ("", "False True")])
def test_what_was_opened_first_is_not_looked_through_again_in_a_process_that_is_a_command(
    ours: str, frozen: str
) -> None:
    command = [sys.executable, "-c", OPENED.format(ours=ours)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == frozen


ENDING = """
import atexit, gc, sys
atexit.register(lambda: print("frozen", gc.get_freeze_count() > 0))  # what is registered first runs last
from crmsync.cli import main
sys.argv = ["crmsync", "--version"]
main({arguments})
"""


@pytest.mark.parametrize("arguments, frozen", [("", True), ("sys.argv[1:]", False)])
def test_only_a_process_that_is_a_command_ends_without_looking_for_garbage(arguments: str, frozen: bool) -> None:
    command = [sys.executable, "-c", ENDING.format(arguments=arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"frozen {frozen}"
