"""What a user does at a shell, from a CSV file to an org in step, and what each kind of bad input says."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.shell import PEOPLE, Shell, rows, shell


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def test_a_csv_file_and_an_org_are_brought_in_step_and_stay_so(sh: Shell) -> None:
    """Plan, sync, an edit on each side, sync; a third sync writes nothing."""
    org = sh.emulator.org
    anna = org.create("Contact", {"LastName": "Schmidt", "FirstName": "Änna", "Email": "anna@example.org"})
    org.create("Contact", {"LastName": "Kohler", "Email": "LEONIE@example.org", "Phone": "+1 555"})
    assert sh.run("connect", "--test").code == 0
    planned = sh.run("plan", "--format", "json")
    assert planned.code == 0
    assert len(sh.contacts()) == 2
    first = sh.run("sync", "--format", "json")
    assert first.code == 0, first.out + first.err
    assert first.json["runs"][0]["written"] == planned.json["plans"][0]["writes"]
    assert {c["Email"].lower() for c in sh.contacts()} == {
        "luisg@example.org",
        "leonie@example.org",
        "o'brien@example.org",
        "bjorn@example.org",
        "anna@example.org",
    }
    file = sh.directory / "people.csv"
    assert any("anna@example.org" in line for line in rows(file))
    file.write_text(file.read_text(encoding="utf-8").replace("Embraer S.A.", "Embraer"), encoding="utf-8")
    org.update("Contact", anna, {"Phone": "+43 1 23"})
    second = sh.run("sync", "--format", "json").json["runs"][0]
    assert (second["local"]["updated"], second["remote"]["updated"]) == (1, 1)
    assert any("+43 1 23" in line for line in rows(file))
    assert "Embraer" in {c["MarkMail_Company__c"] for c in sh.contacts()}
    before = file.read_bytes()
    third = sh.run("sync", "--format", "json").json["runs"][0]
    assert third["written"] == 0
    assert file.read_bytes() == before
    assert sh.run("status", "--format", "json").code == 0
    assert len(sh.run("logs", "--format", "json").json["logs"]) == 3


def test_five_faults_of_a_mapping_are_named_at_once_and_nothing_is_written(sh: Shell) -> None:
    sh.configure(
        """email = { crm_field = "Email", field_type = "email" }
last_name = { crm_field = "LastName", required = true }
title = "Titel"
company = "MarkMail_Compny__c"
phone = { crm_field = "Phone", policy = "set_merge" }
first_name = { crm_field = "CreatedDate" }
id = { crm_field = "Department", to_crm = "mirror", sync_direction = "from_crm" }
"""
    )
    done = sh.run("sync", "--format", "json")
    assert done.code == 2
    assert len(done.json["error"]["problems"]) >= 5
    places = " ".join(problem["path"] + problem["message"] for problem in done.json["error"]["problems"])
    for fault in ("Titel", "MarkMail_Compny__c", "phone", "CreatedDate", "id"):
        assert fault in places
    assert sh.contacts() == []
    assert (sh.directory / "people.csv").read_text(encoding="utf-8") == PEOPLE


def test_a_wrong_token_is_one_clear_message(sh: Shell) -> None:
    done = sh.run("sync", SF_TOKEN="00D000000000001!wrong.token")
    assert done.code == 1
    assert "connect --test" in done.err
    assert "wrong.token" not in done.out + done.err
    assert "Traceback" not in done.err


def test_a_host_that_does_not_answer_is_one_clear_message(sh: Shell) -> None:
    sh.configure(url="http://127.0.0.1:9")
    done = sh.run("sync")
    assert done.code == 1
    assert "cannot be reached" in done.err
    assert "Traceback" not in done.err


def test_a_read_only_database_is_one_clear_message_and_the_file_stays_as_it_is(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    database = sh.directory / "crmsync.db"
    database.chmod(0o400)
    held = (sh.directory / "people.csv").read_bytes()
    contacts = sh.contacts()
    done = sh.run("sync")
    database.chmod(0o600)
    assert done.code == 1
    assert "read-only" in done.err
    assert (sh.directory / "people.csv").read_bytes() == held
    assert sh.contacts() == contacts
    assert sh.run("sync").code == 0


def test_a_file_in_another_encoding_is_refused_and_left_as_it_is(sh: Shell) -> None:
    file = sh.directory / "people.csv"
    file.write_bytes(PEOPLE.encode("latin-1"))
    done = sh.run("sync")
    assert done.code == 2
    assert "encoding" in done.err
    assert file.read_bytes() == PEOPLE.encode("latin-1")
    assert sh.contacts() == []


@pytest.mark.parametrize(
    "bad",
    ["5,broken@example.org,too,many,cells,1,2,3,4\n", "1,double@example.org,Same,Key,,\n"],
    ids=["ragged", "double"],
)
def test_a_bad_row_is_reported_and_kept_and_the_others_sync(sh: Shell, bad: str) -> None:
    file = sh.directory / "people.csv"
    file.write_text(PEOPLE + bad, encoding="utf-8")
    done = sh.run("sync")
    emails = {c["Email"] for c in sh.contacts()}
    assert {"leonie@example.org", "bjorn@example.org"} <= emails
    assert not emails & {"broken@example.org", "double@example.org"}
    assert bad.strip() in file.read_text(encoding="utf-8")
    assert "line 6" in done.err + done.out


def test_a_run_that_is_killed_at_any_moment_is_finished_by_the_next(tmp_path: Path) -> None:
    """The same records on both sides as after an undisturbed run, and no duplicate."""
    people = "id,email,first_name,last_name,company,phone\n" + "".join(
        f"{n},p{n}@example.org,First{n},Last{n},,+49 {n}\n" for n in range(300)
    )
    (tmp_path / "killed").mkdir()
    with shell(tmp_path / "killed", people) as sh:
        for n in range(250, 350):
            sh.emulator.org.create("Contact", {"LastName": f"Last{n}", "Email": f"p{n}@example.org"})
        sh.emulator.org.faults.latency = 0.02
        chance = random.Random(7)
        for _ in range(4):
            process = subprocess.Popen(
                sh.command("sync", "--format", "json"),
                cwd=sh.directory,
                env=sh.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            with process:
                try:
                    process.wait(0.9 + chance.random() * 0.6)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
            sh.emulator.org.advance(120)
        _finish(sh)
        contacts = sh.contacts()
        emails = [c["Email"] for c in contacts]
        assert sorted(emails) == sorted({f"p{n}@example.org" for n in range(350)})
        lines = rows(sh.directory / "people.csv")
        assert len(lines) == 351
        by_email = {c["Email"]: c for c in contacts}
        assert all(by_email[f"p{n}@example.org"]["FirstName"] == f"First{n}" for n in range(300))
        assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0


def _finish(sh: Shell) -> None:
    """Run until a killed run's lease has ended and a sync succeeds."""
    import time

    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        done = sh.run("sync", "--format", "json")
        if done.code == 0:
            return
        assert done.json["error"]["code"] == "concurrent_update", done.out
        time.sleep(2)
    pytest.fail("the lease of the killed run never ended")
