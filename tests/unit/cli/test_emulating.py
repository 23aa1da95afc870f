"""``crmsync emulator fault``, ``admin``, ``dump`` and ``load``, against a running emulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.cli.app import run
from crmsync.cli.exits import ExitCode
from crmsync.testing.salesforce import RowError, RunningEmulator, running_emulator


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


def test_the_org_is_administered_and_edited_as_in_its_browser(
    emulator: RunningEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    def administered(*given: str) -> dict[str, Any]:
        assert run(["emulator", "admin", *given, "--url", emulator.url, "--format", "json"]) == ExitCode.SUCCESS
        told: dict[str, Any] = json.loads(capsys.readouterr().out)["done"]
        return told

    lead = {
        "object": "Lead",
        "records": [{"LastName": "Ada", "Company": "Engines"}, {"LastName": "Bo", "Company": "B"}],
    }
    [ada, bo] = administered(f"save={json.dumps(lead)}")["save"]["ids"]
    contact = administered(f'convert={{"lead": "{ada}"}}')["convert"]["contact_id"]
    assert emulator.org.get("Contact", contact)["LastName"] == "Ada"  # type: ignore[index]
    administered(f'delete={{"object": "Lead", "ids": ["{bo}"]}}')
    administered(f'undelete={{"object": "Lead", "ids": ["{bo}"]}}')
    assert [row["Id"] for row in emulator.org.records("Lead") if not row["IsConverted"]] == [bo]
    rule = {"rule": "required", "object": "Contact", "field": "Phone", "message": "Whom shall we call?"}
    administered(
        f'rules={{"validation": [{json.dumps(rule)}]}}', 'permissions={"hidden": ["Contact.HasOptedOutOfEmail"]}'
    )
    with pytest.raises(RowError, match="Whom shall we call"):
        emulator.org.create("Contact", {"LastName": "Cy"})
    administered('rules={"clear": true}', "permissions={}")
    twin = emulator.org.create("Contact", {"LastName": "Ada"})
    administered(f'merge={{"object": "Contact", "master": "{contact}", "losers": ["{twin}"]}}')
    assert [row["Id"] for row in emulator.org.records("Contact")] == [contact]
    emulator.org.delete("Contact", contact)


@pytest.mark.parametrize(
    "given,code,reason",
    [
        ([], ExitCode.USAGE, "do what?"),
        (["rain={}"], ExitCode.USAGE, "rain: there are convert, delete,"),
        (["rules"], ExitCode.USAGE, "rules: a JSON object is needed"),
        (['rules={"validation": [{"rule": "never"}]}'], ExitCode.FAILURE, "no such rule"),
    ],
)
def test_what_nobody_can_do_in_the_org_is_refused_with_the_reason(
    emulator: RunningEmulator, capsys: pytest.CaptureFixture[str], given: list[str], code: ExitCode, reason: str
) -> None:
    assert run(["emulator", "admin", *given, "--url", emulator.url]) == code
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
