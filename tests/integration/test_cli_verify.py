"""Comparing both sides at the shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.shell import Shell, shell


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        assert made.run("sync").code == 0
        yield made


def test_sides_in_step_are_reported_so(sh: Shell) -> None:
    done = sh.run("verify")
    assert (done.code, "4 pairs of 5 fields compared: in step" in done.out) == (0, True)


def test_drift_is_reported_by_field_and_repaired_when_asked(sh: Shell) -> None:
    [contact, *_] = sh.contacts()
    sh.emulator.org.update("Contact", contact["Id"], {"Phone": "+1 555"})
    sh.emulator.org.create("Contact", {"LastName": "New", "Email": "new@example.org"})
    found = sh.run("verify", "--format", "json")
    assert found.code == 3
    [report] = found.json["verifications"]
    assert report["counts"] == {"unlinked_remote": 1, "unsynced": 1}
    assert report["by_field"] == {"phone": {"unsynced": 1}}
    assert "--repair" in sh.run("verify").out
    assert "+1 555" not in (sh.directory / "people.csv").read_text(encoding="utf-8")

    assert sh.run("verify", "--repair").code == 0
    held = (sh.directory / "people.csv").read_text(encoding="utf-8")
    assert "+1 555" in held
    assert "new@example.org" in held
    assert sh.run("verify", "--format", "json").json["verifications"][0]["consistent"] is True


def test_a_contact_that_was_undeleted_is_found_and_what_was_edited_meanwhile_reaches_it(sh: Shell) -> None:
    [contact] = [one for one in sh.contacts() if one["FirstName"] == "Leonie"]
    sh.emulator.org.delete("Contact", contact["Id"])
    assert sh.run("sync").code == 0
    path = sh.directory / "people.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("Leonie", "LEONIE"), encoding="utf-8")
    assert sh.run("verify").code == 0
    assert "CRM; linked again if it comes back there" in sh.run("links", "show", contact["Id"]).out
    assert sh.run("links", "show", contact["Id"], "--format", "json").json["links"][0]["deleted_in"] == ["remote"]
    sh.emulator.org.undelete("Contact", contact["Id"])
    assert "returned" in sh.run("verify").out
    assert "FirstName = LEONIE" in sh.run("plan").out
    assert sh.run("verify", "--repair").code == 0
    assert [one["FirstName"] for one in sh.contacts() if one["Id"] == contact["Id"]] == ["LEONIE"]
    assert sh.run("verify", "--format", "json").json["verifications"][0]["consistent"] is True


def test_a_sample_that_meets_nobody_is_not_called_in_step(sh: Shell) -> None:
    done = sh.run("verify", "--sample", "0.001%")
    assert (done.code, "0 pairs" in done.out, "nothing was compared" in done.out) == (0, True, True)


def test_a_sample_is_a_share(sh: Shell) -> None:
    done = sh.run("verify", "--sample", "100%", "--format", "json")
    assert (done.code, done.json["verifications"][0]["pairs"]) == (0, 4)
    refused = sh.run("verify", "--sample", "everything")
    assert (refused.code, "5% or 0.05" in refused.err) == (2, True)
