"""Real customers as leads and contacts, by the command line."""

from __future__ import annotations

import csv
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from crmsync.testing.salesforce import API_USER_ID, Profile, running_emulator
from tests.integration.shell import Shell

SOURCE = Path(__file__).parents[1] / "data" / "chinook-customers.csv"


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    shutil.copy(SOURCE, tmp_path / "customers.csv")
    with running_emulator() as emulator:
        yield Shell(tmp_path, emulator)


def begin(sh: Shell, object_name: str) -> None:
    source = ("--csv", "customers.csv", "--key", "CustomerId", "--instance-url", sh.emulator.url)
    done = sh.run("init", "--object", object_name, *source)
    assert done.code == 0, done.out + done.err


def settings(sh: Shell) -> dict[str, object]:
    [integration] = tomllib.loads((sh.directory / "crmsync.toml").read_text("utf-8"))["integrations"]
    found: dict[str, object] = integration["settings"]
    return found


@pytest.mark.parametrize("object_name, people", [("Contact", None), ("Lead", "lead"), ("Person", "lead_then_contact")])
def test_init_sets_what_people_are(sh: Shell, object_name: str, people: str | None) -> None:
    begin(sh, object_name)
    assert settings(sh).get("people") == people
    done = sh.run("connect", "--test")
    assert (done.code, "warning" in done.out) == (0, False), done.out


def test_customers_become_leads_and_a_converted_one_stays_in_step(sh: Shell) -> None:
    org = sh.emulator.org
    met = org.create("Contact", {"LastName": "Gonçalves", "FirstName": "Luís", "Email": "LUISG@embraer.com.br"})
    begin(sh, "Person")
    first = sh.run("sync", "--format", "json").json["runs"][0]
    assert (first["status"], first["linked"], first["remote"]["created"]) == ("success", 59, 58)
    assert [contact["Id"] for contact in org.records("Contact")] == [met]
    companies = {row["CustomerId"]: row["Company"] for row in _rows(sh)}
    assert {lead["MarkMail_Id__c"]: lead["Company"] for lead in org.records("Lead")} == {
        key: company or "[not provided]" for key, company in companies.items() if key != "1"
    }
    lead = org.records("Lead")[0]
    contact = org.convert_lead(lead["Id"]).contact_id
    org.update("Contact", contact, {"FirstName": "Leo"})
    assert sh.run("sync", "--format", "json").json["runs"][0]["status"] == "success"
    [row] = [row for row in _rows(sh) if row["CustomerId"] == lead["MarkMail_Id__c"]]
    assert row["FirstName"] == "Leo"
    assert len(_rows(sh)) == 59
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0


def test_a_hidden_opt_out_is_said_at_every_step_and_stops_none(sh: Shell) -> None:
    sh.emulator.org.set_profile(API_USER_ID, Profile(hidden=frozenset({"Lead.HasOptedOutOfEmail"})))
    text = (sh.directory / "customers.csv").read_text("utf-8-sig").splitlines()
    (sh.directory / "customers.csv").write_text("\n".join([f"{text[0]},opted_out", *(f"{row},no" for row in text[1:])]))
    begin(sh, "Person")
    assert "Lead.HasOptedOutOfEmail is hidden" in " ".join(sh.run("connect", "--test").out.split())
    assert "hidden" in sh.run("fields", "Person").out
    for command in ("plan", "sync"):
        done = sh.run(command)
        assert done.code == 0, done.out + done.err
        assert "'HasOptedOutOfEmail' is hidden from the connected user" in " ".join(done.out.split())
    [warning] = sh.run("sync", "--format", "json").json["runs"][0]["warnings"]
    assert (warning["code"], "permission to read and edit" in warning["remedy"]) == ("unreadable", True)


def _rows(sh: Shell) -> list[dict[str, str]]:
    with (sh.directory / "customers.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
