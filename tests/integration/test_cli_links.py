"""Linking, separating and pausing at the shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.shell import Shell, shell


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def test_a_pair_is_separated_and_linked_again(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    [pair] = sh.run("links", "show", "2", "--format", "json").json["links"]
    assert (pair["status"], pair["markmail_id"]) == ("synced", "2")
    apart = sh.run("links", "unlink", pair["crm_id"])
    assert (apart.code, "are separated" in apart.out) == (0, True)
    assert "unlinked" in sh.run("links", "list").out
    listed = sh.run("links", "list", "--status", "unlinked", "--format", "json").json["links"]
    assert [one["crm_id"] for one in listed] == [pair["crm_id"]]
    status = sh.run("status", "--format", "json").json["integrations"]["acme"][0]
    assert (status["synced"], status["unlinked"]) == (3, 1)

    sh.emulator.org.update("Contact", pair["crm_id"], {"Phone": "+49 1"})
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0

    again = sh.run("links", "link", "2", pair["crm_id"])
    assert again.code == 0, again.err
    assert "are linked" in again.out
    assert sh.run("links", "show", "2", "--format", "json").json["links"][0]["status"] == "synced"
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0


def test_what_cannot_be_linked_says_why(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    [one, two, *_] = sh.run("links", "list", "--format", "json").json["links"]
    taken = sh.run("links", "link", one["markmail_id"], two["crm_id"], "--format", "json")
    assert taken.code == 1
    assert taken.json["error"]["code"] == "conflict"
    assert "separate these two first" in taken.json["error"]["message"]
    unknown = sh.run("links", "show", "nobody")
    assert (unknown.code, "crmsync links list" in unknown.err) == (1, True)


def test_a_paused_integration_plans_and_does_not_sync_until_it_is_resumed(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    assert "is paused" in sh.run("pause").out
    path = sh.directory / "people.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("Leonie", "Leoni"), encoding="utf-8")
    refused = sh.run("sync")
    assert (refused.code, "by `crmsync resume -i acme` or" in refused.err) == (2, True)
    assert "paused" in sh.run("status").out
    assert sh.run("plan", "--format", "json").json["plans"][0]["writes"] == 1
    assert "may sync again" in sh.run("resume").out
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 1


def test_the_file_s_budget_of_calls_holds_for_linking_too(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    [pair, *_] = sh.run("links", "list", "--format", "json").json["links"]
    path = sh.directory / "crmsync.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[run]\n", "[run]\nmax_calls = 1\n"), encoding="utf-8")
    stopped = sh.run("links", "link", pair["markmail_id"], pair["crm_id"], "--format", "json")
    assert (stopped.code, stopped.json["error"]["code"]) == (4, "budget_exceeded")


def test_the_external_key_moves_with_a_link_to_another_contact(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    pairs = {one["markmail_id"]: one["crm_id"] for one in sh.run("links", "list", "--format", "json").json["links"]}
    for ours in ("1", "2"):
        assert sh.run("links", "unlink", ours).code == 0
    for ours, theirs in (("1", pairs["2"]), ("2", pairs["1"])):
        again = sh.run("links", "link", ours, theirs)
        assert again.code == 0, again.err
    keys = {contact["MarkMail_Id__c"]: contact["Id"] for contact in sh.contacts()}
    assert keys == {**pairs, "1": pairs["2"], "2": pairs["1"]}
