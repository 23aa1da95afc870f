"""Real customers in a CSV file, from ``crmsync init`` to an org in step, as the how-to page walks a newcomer."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from crmsync.testing.salesforce import running_emulator
from tests.integration.shell import Shell

SOURCE = Path(__file__).parents[1] / "data" / "chinook-customers.csv"


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    shutil.copy(SOURCE, tmp_path / "customers.csv")
    with running_emulator() as emulator:
        yield Shell(tmp_path, emulator)


def test_a_newcomers_file_and_an_org_are_brought_in_step_and_stay_so(sh: Shell) -> None:
    """`init`, `connect`, `plan`, `sync`, an edit on each side, `sync`; the run after that writes nothing."""
    org, file = sh.emulator.org, sh.directory / "customers.csv"
    met = org.create("Contact", {"LastName": "Gonçalves", "FirstName": "Luís", "Email": "LUISG@embraer.com.br"})
    new = org.create("Contact", {"LastName": "Ek", "FirstName": "Bo", "Email": "bo@example.se", "Phone": "+46 8 22"})
    arguments = ("--csv", "customers.csv", "--key", "CustomerId", "--instance-url", sh.emulator.url)
    for command in (("init", *arguments), ("connect", "--test")):
        done = sh.run(*command)
        assert done.code == 0, done.out + done.err

    planned = sh.run("plan", "--format", "json").json["plans"][0]
    assert file.read_bytes() == SOURCE.read_bytes()
    first = sh.run("sync", "--format", "json").json["runs"][0]
    assert (first["status"], first["linked"], first["written"]) == ("success", 60, planned["writes"])
    assert {key: dict(row) for key, row in _rows(file).items() if key in _rows(SOURCE)} == _rows(SOURCE)
    assert len(sh.contacts()) == 60
    assert org.get("Contact", met) == next(c for c in sh.contacts() if c["Email"].lower() == "luisg@embraer.com.br")
    for contact in sh.contacts():
        row = _rows(file)[contact["MarkMail_Id__c"]]
        shown = [contact[name] or "" for name in ("FirstName", "LastName", "MarkMail_Company__c", "Phone")]
        assert shown == [row[name] for name in ("FirstName", "LastName", "Company", "Phone")]

    file.write_text(file.read_text("utf-8").replace("+49 0711 2842222", "+49 0711 9999999"), "utf-8")
    org.update("Contact", new, {"FirstName": "Bosse"})
    second = sh.run("sync", "--format", "json").json["runs"][0]
    assert (second["local"]["updated"], second["remote"]["updated"], second["written"]) == (1, 1, 2)
    assert "Bosse" in {row["FirstName"] for row in _rows(file).values()}
    assert "+49 0711 9999999" in {contact["Phone"] for contact in sh.contacts()}

    before = file.read_bytes()
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0
    assert file.read_bytes() == before


def _rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["CustomerId"]: row for row in csv.DictReader(lines)}
