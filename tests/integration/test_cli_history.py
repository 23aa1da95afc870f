"""What was written, and taking it back, at the shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.shell import Shell, shell


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        path = made.directory / "crmsync.toml"
        text = path.read_text(encoding="utf-8")
        head = "[integrations.objects.Contact.match]"
        kept = text.replace(head, f"[integrations.objects.Contact]\nhistory_days = 30\n{head}")
        path.write_text(kept, encoding="utf-8")
        assert made.run("sync").code == 0
        yield made


def test_a_run_is_shown_and_taken_back(sh: Shell) -> None:
    path = sh.directory / "people.csv"
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace("Leonie", "LEONIE"), encoding="utf-8")
    run = sh.run("sync", "--format", "json").json["runs"][0]["run_id"]

    [change] = sh.run("history", "--run", run[:8], "--format", "json").json["changes"]
    assert [(f["field"], f["before"], f["after"]) for f in change["fields"]] == [("FirstName", "Leonie", "LEONIE")]
    timeline = sh.run("history", change["crm_id"]).out
    assert "create CRM" in timeline
    assert "update CRM" in timeline
    assert run[:8] in sh.run("logs").out

    assert "1 write(s) to take back" in sh.run("undo", run[:8], "--dry-run").out
    assert name_of(sh) == "LEONIE"
    assert sh.run("undo", run[:8]).code == 0
    assert name_of(sh) == "Leonie"
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0


def test_undoing_a_first_sync_is_guarded(sh: Shell) -> None:
    [log] = sh.run("logs", "--format", "json").json["logs"]
    path = sh.directory / "crmsync.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("history_days = 30", "history_days = 30\ndelete_guard_count = 1"), encoding="utf-8")
    stopped = sh.run("undo", log["id"])
    assert (stopped.code, "--allow-deletes" in stopped.err) == (4, True)
    assert len(sh.contacts()) == 4
    assert sh.run("undo", log["id"], "--allow-deletes", "4").code == 0
    assert sh.contacts() == []
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0


def test_an_unknown_run_says_what_has_a_history(sh: Shell) -> None:
    refused = sh.run("undo", "nothing")
    assert (refused.code, "history_days" in refused.err) == (1, True)


def name_of(sh: Shell) -> str:
    """Leonie's first name in the CRM."""
    return str(next(one["FirstName"] for one in sh.contacts() if one["Email"] == "leonie@example.org"))
