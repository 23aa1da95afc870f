"""Two processes on one object: one works, and one that stood still past its lease's time does no harm when it wakes."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.site import LEASE_SECONDS, Site, ended, errors_of, site, stop, wait_until

PEOPLE = 250
UPSERT = "composite/sobjects/Contact/MarkMail_Id__c"


@pytest.fixture
def s(storage: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """250 people here, 50 more in the CRM; 200 go in a call, one call after the other."""
    with site(tmp_path, storage, request, channel="collections", concurrent_calls=1) as made:
        made.enter(range(PEOPLE))
        made.enter_in_crm(range(PEOPLE, PEOPLE + 50))
        yield made


@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
def test_the_second_of_two_is_told_who_works_however_long_a_call_takes(s: Site) -> None:
    """The first renews its lease while it waits for the CRM, whose answer takes longer than the lease lasts."""
    s.org.faults.hold_next(600, path=UPSERT)
    first = s.start()
    wait_until(lambda: s.called("PATCH /composite/sobjects/"), first)
    time.sleep(1.5 * LEASE_SECONDS)
    refused = s.sync("--wait", "0")
    s.org.faults.release()
    assert refused.code == 1
    error = errors_of(refused)
    assert error["code"] == "concurrent_update"
    assert "is running 'Contact' of integration 'acme'" in error["message"]
    assert error["remedy"]
    done = ended(first)
    assert done.code == 0, done.out + done.err
    assert len(s.held()) == PEOPLE + 50
    assert s.synced()["written"] == 0


@pytest.mark.parametrize(
    "storage,path,endpoint",
    [
        ("sqlite", "query", "GET /query"),
        ("sqlite", UPSERT, "PATCH /composite/sobjects/"),
        ("postgresql", UPSERT, "PATCH /composite/sobjects/"),
    ],
    ids=["reading", "writing", "writing-postgresql"],
)
def test_a_process_that_slept_past_its_lease_writes_nothing_more(s: Site, path: str, endpoint: str) -> None:
    """It slept while it read, or in the first of several calls of one write, journaled and not acknowledged."""
    s.org.faults.hold_next(600, path=path)
    slept = s.start()
    wait_until(lambda: s.called(endpoint), slept)
    stop(slept, s.storage)
    s.org.faults.release()
    try:
        s.edit(0, phone="+49 edited here")
        assert s.synced()["status"] == "success"
        s.edit_in_crm(1, Phone="+1 edited there")
        s.edit(2, phone="+49 edited later")
        table, contacts, books, calls = s.table(), s.sh.contacts(), s.books(), dict(s.org.calls)
        assert books.journal == []
        error = _woken(slept)
    finally:
        slept.kill()
    assert error["code"] == "lease_lost"
    assert error["message"] == "another run took over 'Contact' of integration 'acme' while this one stood still"
    assert error["remedy"]
    assert dict(s.org.calls) == calls, "it called the CRM"
    assert s.sh.contacts() == contacts
    assert s.table() == table
    assert s.books() == books
    s.synced()
    held = {row[0]: row[3] for row in s.held()}
    assert len(held) == PEOPLE + 50
    edited = [held[f"p000{n}@example.org"] for n in range(3)]
    assert edited == ["+49 edited here", "+1 edited there", "+49 edited later"]
    assert s.synced()["written"] == 0


@pytest.mark.parametrize("state,storage", [("Open", "sqlite"), ("UploadComplete", "postgresql")])
def test_a_process_that_slept_over_its_bulk_job_goes_no_further_with_it(
    state: str, storage: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The next run ends the job, by aborting it or by waiting for it; the one that wakes up leaves it alone."""
    with site(tmp_path, storage, request, channel="bulk") as s:
        s.enter(range(PEOPLE))
        path = "batches" if state == "Open" else "jobs/ingest/750"
        s.org.faults.hold_next(600, path=path, method="PUT" if state == "Open" else "PATCH")
        slept = s.start()
        wait_until(lambda: s.has_job(state), slept)
        stop(slept, s.storage)
        s.org.faults.release()
        try:
            assert s.synced()["status"] == "success"
            contacts, books, calls = s.sh.contacts(), s.books(), dict(s.org.calls)
            assert (books.journal, books.jobs) == ([], [])
            error = _woken(slept)
        finally:
            slept.kill()
        assert error["code"] == "lease_lost"
        assert dict(s.org.calls) == calls, "it called the CRM"
        assert s.sh.contacts() == contacts
        assert s.books() == books
        assert len(s.held()) == PEOPLE
        assert s.synced()["written"] == 0


def _woken(process: subprocess.Popen[str]) -> dict[str, str]:
    """The error with which a stopped process ends when it goes on."""
    process.send_signal(signal.SIGCONT)
    done = ended(process)
    assert done.code == 1, done.out + done.err
    found: dict[str, str] = errors_of(done)
    return found
