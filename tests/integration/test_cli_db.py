"""Looking after the bookkeeping's database at the shell."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from crmsync.storage.sql.revision import HEAD
from tests.integration.shell import Shell, shell


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def test_a_database_is_made_checked_and_brought_back(sh: Shell) -> None:
    (sh.directory / "crmsync.db").unlink()
    made = sh.run("db", "upgrade", "--format", "json")
    assert (made.code, made.json) == (0, {"before": "base", "revision": HEAD, "newest": HEAD})
    assert f"is at revision {HEAD}" in sh.run("db", "upgrade").out
    assert sh.run("sync").code == 0
    assert "nothing is wrong" in sh.run("db", "check").out
    refused = sh.run("db", "downgrade", "0009")
    assert (refused.code, "make a backup, then add --yes" in refused.err) == (2, True)
    back = sh.run("db", "downgrade", "0009", "--yes")
    assert (back.code, f"went from revision {HEAD} to 0009" in back.out) == (0, True)
    behind = sh.run("db", "check")
    assert (behind.code, "run `crmsync db upgrade`" in behind.err) == (1, True)
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0
    assert sh.run("db", "check", "--format", "json").json == {"revision": HEAD, "findings": []}


def test_a_damaged_row_is_named_and_the_exit_code_tells(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    with closing(sqlite3.connect(sh.directory / "crmsync.db")) as connection:
        connection.execute("UPDATE crm_sync_status SET sync_status = 'x' WHERE CAST(markmail_id AS TEXT) = '2'")
        connection.commit()
    found = sh.run("db", "check")
    assert (found.code, "markmail_id '2' cannot be read" in found.out) == (1, True)


def test_the_statements_of_an_upgrade_are_printed(sh: Shell) -> None:
    printed = sh.run("db", "sql", "--from", "0009")
    assert (printed.code, "ALTER TABLE crm_sync_status ADD COLUMN flips" in printed.out) == (0, True)
    unknown = sh.run("db", "sql", "--from", "nothing", "--format", "json")
    assert (unknown.code, unknown.json["error"]["code"]) == (2, "configuration")


def test_postgresql_keeps_tenants_apart_if_asked(sh: Shell, postgres_url: str) -> None:
    config = sh.directory / "crmsync.toml"
    text = config.read_text(encoding="utf-8")
    assert sh.run("db", "isolate").code == 2, "SQLite cannot"
    url = sa.make_url(postgres_url).update_query_dict({"table_prefix": "cli_"}).render_as_string(hide_password=False)
    config.write_text(text.replace("sqlite:///crmsync.db", url), encoding="utf-8")
    assert sh.run("sync").code == 0
    nobody = sh.run("db", "isolate", "--role", "nobody_at_all")
    assert (nobody.code, "there is no such role" in nobody.err) == (1, True)
    done = sh.run("db", "isolate", "--format", "json")
    assert (done.code, done.json) == (0, {"isolated": True, "role": None})
    assert sh.run("sync").code == 0
    assert "nothing is wrong" in sh.run("db", "check").out
    assert "not keep tenants apart any more" in sh.run("db", "isolate", "--undo").out
    assert sh.run("db", "isolate", "--undo", "--role", "x").code == 2
    assert sh.run("db", "downgrade", "base", "--yes").code == 0


def test_a_backup_is_made_looked_at_and_restored(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    made = sh.run("db", "backup", "monday.backup", "--format", "json")
    assert (made.code, made.json["rows"]["crm_sync_status"]) == (0, 4)
    told = sh.run("audit", "list", "--format", "json").json["entries"][-1]
    assert (told["action"], told["details"]) == ("bookkeeping.backed_up", {"place": "monday.backup"})
    again = sh.run("db", "backup", "monday.backup")
    assert (again.code, "exists already: name a new file" in again.err) == (1, True)
    whole = sh.run("db", "restore", "monday.backup", "--check")
    assert (whole.code, "monday.backup is whole" in whole.out) == (0, True)
    full = sh.run("db", "restore", "monday.backup")
    assert (full.code, "is not empty" in full.err) == (1, True)
    (sh.directory / "crmsync.db").unlink()
    restored = sh.run("db", "restore", "monday.backup")
    assert (restored.code, "crmsync resume" in restored.out) == (0, True)
    assert (sh.directory / "crmsync.db").stat().st_mode & 0o777 == 0o600
    paused = sh.run("sync")
    assert (paused.code, "by `crmsync resume -i acme` or" in paused.err) == (2, True)
    assert sh.run("plan", "--format", "json").json["plans"][0]["writes"] == 0
    assert sh.run("resume").code == 0
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0
    told = [entry["action"] for entry in sh.run("audit", "list", "--format", "json").json["entries"]]
    assert "bookkeeping.restored" in told
    running = sh.run("db", "restore", "monday.backup", "--replace", "--running")
    assert running.code == 0
    assert sh.run("sync").code == 0
    (sh.directory / "crmsync.key").unlink()
    sh.run("keys", "add")
    other = sh.run("db", "restore", "monday.backup", "--replace", "--format", "json")
    assert other.code != 0
    assert "key" in other.json["error"]["message"]


def test_user_ids_refer_to_the_host_s_users_if_asked(sh: Shell) -> None:
    with closing(sqlite3.connect(sh.directory / "crmsync.db")) as connection:
        connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY)")
    assert sh.run("db", "users").code == 2
    assert "no table 'people'" in sh.run("db", "users", "people.id").err
    done = sh.run("db", "users", "users.id", "--on-delete", "cascade", "--format", "json")
    assert (done.code, done.json) == (0, {"users": "users.id", "on_delete": "cascade"})
    assert sh.run("sync").code == 0, "an integration of nobody refers to nobody"
    assert "refers to no table any more" in sh.run("db", "users", "--undo").out
