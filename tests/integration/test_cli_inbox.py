"""What waits for a person, at the shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.shell import FIELDS, PEOPLE, Shell, shell

MANUAL = FIELDS.replace(
    'phone = { crm_field = "Phone", field_type = "phone" }',
    'phone = { crm_field = "Phone", field_type = "phone", policy = "manual" }',
)


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        made.configure(MANUAL)
        yield made


def parked(sh: Shell, *, local: dict[str, str], remote: dict[str, str | None]) -> list[dict[str, Any]]:
    """After a first sync these phones are changed on each side, by e-mail; the conflicts that the next one meets."""
    assert sh.run("sync").code == 0
    text = PEOPLE
    for email, phone in local.items():
        old = next(line.rpartition(",")[2] for line in PEOPLE.splitlines() if email in line)
        text = text.replace(old, phone)
    (sh.directory / "people.csv").write_text(text, encoding="utf-8")
    sh.emulator.org.advance(3)
    for contact in sh.contacts():
        if contact["Email"] in remote:
            sh.emulator.org.update("Contact", contact["Id"], {"Phone": remote[contact["Email"]]})
    assert sh.run("sync").code == 3
    found: list[dict[str, Any]] = sh.run("conflicts", "list", "--format", "json").json["conflicts"]
    return found


def phones(sh: Shell) -> dict[str, str | None]:
    return {contact["Email"]: contact["Phone"] for contact in sh.contacts()}


def test_a_conflict_shows_who_changed_what_and_who_decided(sh: Shell) -> None:
    (met,) = parked(sh, local={"luisg": "+1 111"}, remote={"luisg@example.org": "+1 222"})
    (luis,) = [one for one in sh.contacts() if one["Email"] == "luisg@example.org"]
    assert met["remote_changed_by"] == luis["LastModifiedById"]
    assert met["remote_changed_at"] is not None
    assert (met["local_value"], met["remote_value"]) == ("+1 111", "+1 222")
    decided = sh.run("conflicts", "resolve", met["id"][:8], "--winner", "markmail", "--by", "Ann", "--format", "json")
    assert decided.json["conflicts"][0]["status"] == "decided"
    assert sh.run("sync").code == 0
    shown = sh.run("conflicts", "show", met["id"], "--format", "json").json["conflict"]
    run = sh.run("logs", "--limit", "1", "--format", "json").json["logs"][0]["id"]
    assert (shown["decided_by"], shown["winner"], shown["resolved_run_id"]) == ("Ann", "local", run)
    text = sh.run("conflicts", "show", met["id"]).out
    assert f"by {luis['LastModifiedById']}" in text
    assert "UTC by Ann" in text
    assert phones(sh)["luisg@example.org"] == "+1 111"


def test_the_login_name_decides_if_nobody_else_is_named(sh: Shell) -> None:
    (met,) = parked(sh, local={"luisg": "+1 111"}, remote={"luisg@example.org": "+1 222"})
    decided = sh.run("conflicts", "resolve", met["id"], "--value", "+1 333", "--format", "json", LOGNAME="o'brien")
    assert decided.json["conflicts"][0]["decided_by"] == "o'brien"
    assert sh.run("sync").code == 0
    assert phones(sh)["luisg@example.org"] == "+1 333"
    assert "+1 333" in (sh.directory / "people.csv").read_text(encoding="utf-8")
    assert "+1 333" in sh.run("conflicts", "show", met["id"]).out


def test_many_are_decided_by_rule_after_a_look_at_which(sh: Shell) -> None:
    local = {"luisg": "+1 111", "leonie": "+49 711 284 2222", "brien": "+1 555"}
    remote = {"luisg@example.org": "+1 222", "leonie@example.org": "+49 (711) 28422-23", "o'brien@example.org": None}
    assert len(parked(sh, local=local, remote=remote)) == 3
    by_rule = ("conflicts", "resolve", "--all", "--field", "Phone", "--winner")
    assert sh.run(*by_rule, "local", "--older-than", "7d", "--dry-run").out.startswith("0 conflict(s) would be")
    looked = sh.run(*by_rule, "nonblank", "--dry-run", "--format", "json").json
    assert [(one["field"], one["winner"]) for one in looked["conflicts"]] == [("phone", "local")]
    assert (looked["left"], looked["dry_run"]) == (2, True)
    assert len(sh.run("conflicts", "list", "--format", "json").json["conflicts"]) == 3, "a dry run decides nothing"
    shown = sh.run(*by_rule, "nonblank")
    assert "1 conflict(s) decided (1 for local)" in shown.out
    assert "2 left" in shown.out
    assert "2 conflict(s) decided (2 for CRM)" in sh.run(*by_rule, "crm", "--policy", "manual").out
    assert sh.run("sync").code == 0
    assert phones(sh) == {
        "luisg@example.org": "+1 222",
        "leonie@example.org": "+49 (711) 28422-23",
        "o'brien@example.org": "+1 555",
        "bjorn@example.org": "+47 22 44 22 22",
    }


def test_values_are_erased_by_conflict_by_record_or_all_that_are_settled(sh: Shell) -> None:
    local = {"luisg": "+1 111", "leonie": "+1 112", "bjorn": "+1 113"}
    remote = {f"{name}@example.org": f"+2 {name}" for name in local}
    first, second, third = parked(sh, local=local, remote=dict(remote))
    assert "1 conflict" in sh.run("conflicts", "erase", first["id"][:8]).out
    assert sh.run("conflicts", "erase", "--settled", "--format", "json").json == {"erased": 0}
    assert "1 conflict" in sh.run("conflicts", "erase", "--record", second["markmail_id"]).out
    listed = sh.run("conflicts", "list")
    assert listed.out.count("(erased)") == 4
    assert third["remote_value"] in listed.out
    assert sh.run("conflicts", "resolve", "--all", "--winner", "remote").code == 0
    assert sh.run("sync").code == 0, "what was erased is decided and written all the same"
    assert phones(sh)["luisg@example.org"] == "+2 luisg"
    erased = sh.run("conflicts", "erase", "--settled", "--format", "json").json["erased"]
    assert erased == 3, "the run that wrote them met the values again"
    assert third["remote_value"] not in sh.run("conflicts", "list", "--all").out


@pytest.mark.parametrize(
    "arguments, advice",
    [
        (("resolve", "--all"), "--winner"),
        (("resolve", "--all", "--winner", "local", "--value", "x"), "--value"),
        (("resolve", "--all", "--value", "x"), "by its id"),
        (("resolve", "abc", "--winner", "local", "--field", "Phone"), "--all"),
        (
            ("resolve", "--all", "--winner", "salesforce"),
            "say local (or markmail), remote (or crm), newest, or nonblank",
        ),
        (("resolve", "--all", "--winner", "local", "--older-than", "soon"), "7d"),
        (("erase",), "--settled"),
        (("erase", "abc"), "no conflict"),
    ],
)
def test_a_command_that_says_too_little_or_too_much_is_refused(
    sh: Shell, arguments: tuple[str, ...], advice: str
) -> None:
    done = sh.run("conflicts", *arguments)
    assert done.code in (1, 2)
    assert advice in done.err


def test_rejects_are_listed_retried_and_ignored(sh: Shell) -> None:
    """A last name of 100 characters does not fit; nor does another one."""
    path = sh.directory / "people.csv"
    too_long = PEOPLE.replace("Gonçalves", "G" * 100).replace("Köhler", "K" * 100)
    path.write_text(too_long, encoding="utf-8")
    assert sh.run("sync").code == 3
    found = sh.run("rejects", "list", "--format", "json").json["rejects"]
    assert [(one["markmail_id"], one["status"], one["attempts"], one["next_try"]) for one in found] == [
        ("1", "rejected", 1, "next run"),
        ("2", "rejected", 1, "next run"),
    ]
    assert [reason["field"] for reason in found[0]["reasons"]] == ["last_name"]
    text = sh.run("rejects", "list").out
    assert "last_name" in text
    assert "G" * 100 not in text
    assert "`crmsync rejects list`" in sh.run("status").out
    shown = sh.run("rejects", "show", "2").out
    assert "in the next run" in shown
    assert "UTC" in shown
    path.write_text(too_long.replace("G" * 100, "Gonçalves"), encoding="utf-8")
    retried = sh.run("rejects", "retry", "1", "--format", "json")
    assert retried.code == 0
    assert retried.json["runs"][0]["remote"]["created"] == 1
    assert sh.run("rejects", "retry").code == 3
    ignored = sh.run("rejects", "ignore", "2", "--format", "json").json["rejects"]
    assert [(one["status"], one["attempts"], one["next_try"]) for one in ignored] == [("ignored", 2, None)]
    assert sh.run("sync").code == 0
    assert sh.run("status", "--format", "json").json["integrations"]["acme"][0]["ignored"] == 1
    assert "no record waits" in sh.run("rejects", "list").out
    assert "ignored" in sh.run("rejects", "list", "--all").out
    assert sh.run("rejects", "unignore", "2").code == 0
    assert sh.run("sync").code == 3


def test_a_person_says_which_candidate_it_is_or_none(sh: Shell) -> None:
    org = sh.emulator.org
    twins = [org.create("Contact", {"LastName": name, "Email": "luisg@example.org"}) for name in ("One", "Two")]
    assert sh.run("sync").code == 3
    shown = sh.run("rejects", "show", "1", "--format", "json").json["reject"]
    assert shown["status"] == "quarantined"
    assert sorted(one["id"] for one in shown["candidates"]) == sorted(twins)
    assert {one["side"] for one in shown["candidates"]} == {"remote"}
    assert f"CRM {twins[0]}" in sh.run("rejects", "show", "1").out
    assert f"CRM {twins[0]}" in " ".join(sh.run("rejects", "list").out.split())
    refused = sh.run("rejects", "link", twins[0], "--candidate", twins[1])
    assert (refused.code, "is of the same side: merge the two there" in " ".join(refused.err.split())) == (2, True)
    refused = sh.run("rejects", "link", "1", "--candidate", "003000000000000AAA")
    assert (refused.code, twins[0] in refused.err) == (2, True)
    assert sh.run("rejects", "link", "1").code == 2
    assert sh.run("rejects", "link", "1", "--candidate", twins[0]).code == 0
    assert sh.run("links", "show", "1", "--format", "json").json["links"][0]["crm_id"] == twins[0]
    assert sh.run("rejects", "link", twins[1], "--new").code == 0
    assert sh.run("sync").code == 0
    assert (sh.directory / "people.csv").read_text(encoding="utf-8").count("luisg@example.org") == 2


def test_what_is_no_reject_is_refused(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    for arguments in (("show", "1"), ("ignore", "1"), ("retry", "1"), ("link", "1", "--new"), ("retry", "nobody")):
        assert sh.run("rejects", *arguments).code == 1, arguments
