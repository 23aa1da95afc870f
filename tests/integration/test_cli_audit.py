"""The audit log at the command line: what commands did, by whom, and that it is whole."""

from __future__ import annotations

import getpass
import json
import socket
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.shell import Shell, shell


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def test_commands_are_written_down_with_who_gave_them_and_verified(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    assert sh.run("pause").code == 0
    assert sh.run("resume").code == 0
    entries = sh.run("audit", "list", "--format", "json").json["entries"]
    actions = [entry["action"] for entry in entries]
    assert actions == [
        "connection.added",
        "credentials.used",
        "mapping.changed",
        "credentials.used",
        "connection.paused",
        "connection.resumed",
    ]
    assert {(entry["actor"], entry["origin"]) for entry in entries} == {
        (getpass.getuser(), f"command line on {socket.gethostname()}")
    }
    assert sh.run("sync").code == 0
    used = sh.run("audit", "list", "--action", "credentials.used", "-i", "acme", "--format", "json").json["entries"]
    assert [(one["entity_type"], one["details"]["purpose"]) for one in used] == [
        ("Contact", "check"),
        *[("Contact", "run")] * 2,
    ]
    assert "connection.paused" in sh.run("audit", "list").out
    verified = sh.run("audit", "verify")
    assert (verified.code, "the log is whole" in verified.out) == (0, True)


def test_what_somebody_cut_off_is_found_with_an_export(sh: Shell) -> None:
    assert sh.run("pause").code == 1, "there is no integration yet"
    assert sh.run("sync").code == 0
    exported = sh.run("audit", "export", "audit.jsonl", "--format", "json")
    assert exported.code == 0
    file = sh.directory / "audit.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) == exported.json["entries"] + 1
    assert "SF_TOKEN" not in file.read_text()
    assert sh.emulator.access_token not in file.read_text()
    again = sh.run("audit", "export", "audit.jsonl")
    assert (again.code, "File exists" in again.err) == (2, True)
    streamed = sh.run("audit", "export", "-", "-i", "acme").out.splitlines()
    assert {json.loads(line)["integration_id"] for line in streamed[:-1]} == {"acme"}
    assert sh.run("audit", "verify", "--anchor", "audit.jsonl").code == 0
    with closing(sqlite3.connect(sh.directory / "crmsync.db")) as connection:
        connection.execute("DROP TRIGGER crm_audit_log_no_delete")
        connection.execute("DELETE FROM crm_audit_log WHERE integration_id = 'acme'")
        connection.execute("DELETE FROM crm_audit_heads WHERE integration_id = 'acme'")
        connection.commit()
    assert sh.run("audit", "verify").code == 0, "nothing in the database itself tells"
    found = sh.run("audit", "verify", "--anchor", "audit.jsonl", "--format", "json")
    assert (found.code, found.json["ok"]) == (1, False)
    assert [(fault["code"], fault["integration_id"]) for fault in found.json["faults"]] == [("cut_off", "acme")]


def test_a_file_that_is_no_anchor_is_refused(sh: Shell) -> None:
    for text in ("", "not json\n", "[]\n", '{"anchor": {}}\n', '{"anchor": 3}\n', "[" * 100_000):
        (sh.directory / "file").write_text(text, encoding="utf-8")
        refused = sh.run("audit", "verify", "--anchor", "file")
        assert (refused.code, "is no anchor" in refused.err) == (2, True), text[:20]
