"""Real processes killed while people edit both sides, and a database server that goes away under them."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from crmsync.testing.salesforce import BulkOptions
from tests.integration.site import Site, ended, errors_of, site, wait_until
from tests.postgres import OwnServer, new_database, own_server

HERE, THERE = range(120), range(120, 160)
KILLS = 3
WRITE = "PATCH /composite/sobjects"


@pytest.mark.parametrize("storage, seed", [("sqlite", 1), ("postgresql", 2)])
def test_no_edit_is_lost_and_nobody_is_there_twice_however_often_it_is_killed(
    storage: str, seed: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Each run dies at another moment, every other one between the CRM's effect and the acknowledgement."""
    chance = random.Random(seed)
    with site(tmp_path, storage, request, channel="collections") as s:
        s.enter(HERE)
        s.enter_in_crm(THERE)
        expected = {number: f"+49 {number}" for number in HERE} | {number: f"+1 {number}" for number in THERE}
        for kill in range(KILLS):
            _killed(s, chance, in_effect=kill % 2 == 0)
            for number in chance.sample(HERE, 3):
                expected[number] = f"+49 {kill} {number}"
                s.edit(number, phone=expected[number])
            for number in chance.sample(THERE, 3):
                expected[number] = f"+1 {kill} {number}"
                s.edit_in_crm(number, Phone=expected[number])
        assert s.synced()["status"] == "success"
        assert [row[3] for row in s.held()] == [expected[number] for number in sorted(expected)]
        books = s.books()
        assert (books.journal, books.jobs, books.conflicts) == ([], [], [])
        assert len(books.links) == len(expected)
        assert s.synced()["written"] == 0


def _killed(s: Site, chance: random.Random, *, in_effect: bool) -> None:
    """Start a run and kill it: with its write's answer held back, or after some number of calls."""
    with s.org.lock:
        s.org.reset_counters()
    if in_effect:
        s.org.faults.hold_next(600, path="composite/sobjects", method="PATCH")
    process = s.start()
    if in_effect:
        wait_until(lambda: s.called(WRITE), process)
    else:
        calls = chance.randint(2, 9)
        while s.org.api_calls < calls and process.poll() is None:
            time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    s.org.faults.clear()


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with own_server() as started:
        yield started


@contextmanager
def impatient(server: OwnServer) -> Iterator[str]:
    """A new database, which is waited for a second when it is away."""
    with new_database(server.url) as url:
        yield sa.make_url(url).update_query_dict({"timeout": "1"}).render_as_string(hide_password=False)


@pytest.fixture
def s(server: OwnServer, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with impatient(server) as url, site(tmp_path, url, request, channel="collections") as made:
        made.enter(HERE)
        made.enter_in_crm(THERE)
        yield made


def _writing(s: Site) -> subprocess.Popen[str]:
    """A run whose write took effect, and whose answer is on its way."""
    s.org.faults.hold_next(600, path="composite/sobjects", method="PATCH")
    process = s.start()
    wait_until(lambda: s.called(WRITE), process)
    return process


def _settled(s: Site) -> None:
    assert s.synced()["status"] == "success"
    assert len(s.held()) == len(HERE) + len(THERE)
    assert s.synced()["written"] == 0


def test_a_server_that_is_gone_ends_the_run_with_a_clear_error_and_the_next_one_completes_it(
    s: Site, server: OwnServer
) -> None:
    process = _writing(s)
    server.stop()
    try:
        s.org.faults.release()
        done = ended(process)
    finally:
        server.start()
    assert done.code == 1, done.out + done.err
    error = errors_of(done)
    assert error["code"] == "storage"
    assert error["message"].startswith("the database postgresql://")
    _settled(s)


def test_a_server_that_restarts_under_a_run_loses_nothing(s: Site, server: OwnServer) -> None:
    """The run goes on with new connections, or ends with a clear error if its lease could not be renewed in time."""
    process = _writing(s)
    server.stop()
    server.start()
    s.org.faults.release()
    done = ended(process)
    assert done.code == 0 or errors_of(done)["code"] in ("storage", "lease_lost"), done.out + done.err
    _settled(s)


def test_a_run_that_is_killed_while_its_server_crashes_is_completed_by_the_next(s: Site, server: OwnServer) -> None:
    process = _writing(s)
    server.stop()
    process.kill()
    process.communicate()
    server.start()
    s.org.faults.clear()
    _settled(s)


def test_a_job_s_results_are_collected_after_a_long_outage_of_the_database(
    server: OwnServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The database is away from when the job has its records until the run has ended and the job is done."""
    with impatient(server) as url, site(tmp_path, url, request, channel="bulk") as s:
        s.enter(HERE)
        s.org.bulk.options = BulkOptions(seconds=1.0, seconds_per_record=0.01)
        process = s.start()
        wait_until(lambda: "UploadComplete" in _states(s), process)
        server.stop()
        try:
            done = ended(process)
            assert (done.code, errors_of(done)["code"]) == (1, "storage"), done.out
            until = time.monotonic() + 20
            while _states(s) != {"JobComplete"}:
                assert time.monotonic() < until
                time.sleep(0.02)
        finally:
            server.start()
        assert [job.operation for job in s.books().jobs] != [], "the job is not forgotten"
        assert s.synced()["status"] == "success"
        assert len(s.held()) == len(HERE)
        assert _states(s) == {"JobComplete"}
        assert len(s.org.bulk.ingest) == 1, "nobody was sent twice"
        assert s.books().jobs == []
        assert s.synced()["written"] == 0


def _states(s: Site) -> set[str]:
    with s.org.lock:
        return {job.state for job in s.org.bulk.ingest.values()}
