"""``crmsync emulator fault``, ``dump`` and ``load``, against a running emulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from crmsync.cli.app import run
from crmsync.cli.exits import ExitCode
from crmsync.testing.salesforce import RunningEmulator, running_emulator


@pytest.fixture(scope="module")
def emulator() -> Iterator[RunningEmulator]:
    with running_emulator() as running:
        yield running


def test_a_fault_is_switched_on_and_off(emulator: RunningEmulator, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["emulator", "fault", "latency=0.25", "expire_sessions", "--url", emulator.url, "--format", "json"]
    assert run(given) == ExitCode.SUCCESS
    told = json.loads(capsys.readouterr().out)
    assert told == {"faults": {"latency": 0.25, "expire_sessions": True}, "cleared": False}
    assert emulator.org.faults.latency == 0.25
    assert run(["emulator", "fault", "--clear", "--url", emulator.url]) == ExitCode.SUCCESS
    assert not emulator.org.faults.latency


@pytest.mark.parametrize(
    "given,code,reason",
    [
        ([], ExitCode.USAGE, "which fault?"),
        (["latency=soon"], ExitCode.USAGE, "latency: what follows the = is no JSON"),
        (["rain=1"], ExitCode.FAILURE, "no such fault: rain; there are latency, fail,"),
    ],
)
def test_a_fault_that_is_not_there_is_refused_with_the_reason(
    emulator: RunningEmulator, capsys: pytest.CaptureFixture[str], given: list[str], code: ExitCode, reason: str
) -> None:
    assert run(["emulator", "fault", *given, "--url", emulator.url]) == code
    assert reason in " ".join(capsys.readouterr().err.split())


def test_a_dumped_org_comes_back(emulator: RunningEmulator, tmp_path: Path) -> None:
    path = tmp_path / "org.json"
    kept = emulator.org.create("Contact", {"LastName": "Ada"})
    assert run(["emulator", "dump", str(path), "--url", emulator.url]) == ExitCode.SUCCESS
    emulator.org.create("Contact", {"LastName": "Bo"})
    assert run(["emulator", "load", str(path), "--url", emulator.url]) == ExitCode.SUCCESS
    assert [row["Id"] for row in emulator.org.records("Contact")] == [kept]


def test_what_is_no_dump_is_refused(
    emulator: RunningEmulator, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "org.json"
    assert run(["emulator", "load", str(path), "--url", emulator.url]) == ExitCode.USAGE
    path.write_text("{")
    assert run(["emulator", "load", str(path), "--url", emulator.url]) == ExitCode.USAGE
    path.write_text('{"format": 99, "objects": {}}')
    capsys.readouterr()
    assert run(["emulator", "load", str(path), "--url", emulator.url]) == ExitCode.FAILURE
    assert "from a newer emulator" in capsys.readouterr().err
    nowhere = tmp_path / "none" / "org.json"
    assert run(["emulator", "dump", str(nowhere), "--url", emulator.url]) == ExitCode.USAGE


def test_an_emulator_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["emulator", "fault", "latency=1", "--url", "http://127.0.0.1:9"]) == ExitCode.FAILURE
    assert "does not answer" in capsys.readouterr().err
