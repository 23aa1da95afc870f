"""SIGKILL in the middle of a first load by query jobs: the next run goes on from the place that was acknowledged."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from crmsync.testing.salesforce import BulkOptions, SalesforceOrg
from tests.integration.shell import Shell, rows, shell

PEOPLE = 400
PAGE = 100


def _known(org: SalesforceOrg) -> bool:
    """The job was asked about, so its id is stored."""
    with org.lock:
        return any(re.search(r"/jobs/query/\{?\w+", endpoint) for endpoint in org.calls)


def _fetched(org: SalesforceOrg) -> bool:
    with org.lock:
        return any(endpoint.endswith("/results") for endpoint in org.calls)


def _linked(sh: Shell) -> int:
    database = f"file:{sh.directory / 'crmsync.db'}?mode=ro"
    with closing(sqlite3.connect(database, uri=True, timeout=10)) as connection:
        [[count]] = connection.execute("SELECT count(*) FROM crm_sync_status")
    return int(count)


def _killed(sh: Shell, reached: Callable[[], bool]) -> None:
    with subprocess.Popen(
        sh.command("sync"),
        cwd=sh.directory,
        env=sh.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while not reached():
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def _prepare(sh: Shell, ranges: int) -> None:
    org = sh.emulator.org
    for number in range(PEOPLE):
        org.create("Contact", {"LastName": f"Last{number}", "Email": f"p{number}@example.org"})
    org.bulk.options = BulkOptions(seconds=0.3, page_records=PAGE)
    path = sh.directory / "crmsync.toml"
    settings = f'[integrations.settings]\nfirst_read = "bulk"\nbulk_read_ranges = {ranges}'
    text = path.read_text("utf-8").replace("[integrations.settings]", settings)
    path.write_text(text.replace("[run]", f"[run]\npage_size = {PAGE // 2}"), encoding="utf-8")


def _check(sh: Shell) -> None:
    """Every contact has one row in the file, and nothing is left to do."""
    done = sh.run("sync", "--format", "json")
    assert done.code == 0, done.out + done.err
    lines = rows(sh.directory / "people.csv")
    assert sorted(line.split(",")[1] for line in lines[1:]) == sorted(f"p{n}@example.org" for n in range(PEOPLE))
    assert len(sh.contacts()) == PEOPLE
    assert _linked(sh) == PEOPLE
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0


@pytest.mark.parametrize("moment", [_known, _fetched])
def test_a_load_killed_around_its_job_is_finished_by_the_next_run(
    moment: Callable[[SalesforceOrg], bool], tmp_path: Path
) -> None:
    with shell(tmp_path, "id,email,first_name,last_name,company,phone\n") as sh:
        _prepare(sh, ranges=1)
        sh.emulator.org.faults.latency = 0.05
        _killed(sh, lambda: moment(sh.emulator.org))
        sh.emulator.org.faults.latency = 0
        _check(sh)


def test_a_load_killed_half_way_goes_on_with_the_same_jobs_from_its_place(tmp_path: Path) -> None:
    with shell(tmp_path, "id,email,first_name,last_name,company,phone\n") as sh:
        _prepare(sh, ranges=4)
        org = sh.emulator.org
        org.faults.latency = 0.05
        assert sh.run("status").code == 0, "the bookkeeping is there"
        _killed(sh, lambda: PEOPLE // 3 <= _linked(sh) < PEOPLE)
        org.faults.latency = 0
        linked = _linked(sh)
        jobs = list(org.bulk.query)
        assert len(jobs) == 4
        added = org.create("Contact", {"LastName": "Meanwhile", "Email": "p0@example.com"})
        edited = next(contact for contact in sh.contacts() if contact["Email"] == "p1@example.org")
        org.update("Contact", edited["Id"], {"LastName": "Edited"})
        done = sh.run("sync", "--format", "json")
        assert done.code == 0, done.out + done.err
        assert done.json["runs"][0]["remote"]["read"] <= PEOPLE - linked + 2 * PAGE, "what came is not read again"
        assert list(org.bulk.query) == jobs
        again = sh.run("sync", "--format", "json")
        assert again.code == 0
        text = (sh.directory / "people.csv").read_text("utf-8")
        assert "Meanwhile" in text
        assert "Edited" in text
        org.delete("Contact", added)
