"""SIGKILL while a bulk job is created, loaded, at work, done: the next run ends the job and finds the same records.

The history has each of them once, whichever run sent it.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crmsync.testing.salesforce import BulkOptions, SalesforceOrg
from tests.integration.shell import Shell, shell

PEOPLE = 450


def _states(org: SalesforceOrg) -> set[str]:
    with org.lock:
        return {job.state for job in org.bulk.ingest.values()}


def _created(org: SalesforceOrg) -> bool:
    return "Open" in _states(org)


def _loaded(org: SalesforceOrg) -> bool:
    with org.lock:
        return any(job.state == "Open" and job.data is not None for job in org.bulk.ingest.values())


def _closed(org: SalesforceOrg) -> bool:
    return "UploadComplete" in _states(org)


def _at_work(org: SalesforceOrg) -> bool:
    with org.lock:
        return any(0 < job.processed < PEOPLE for job in org.bulk.ingest.values())


def _done(org: SalesforceOrg) -> bool:
    return "JobComplete" in _states(org)


def _read_back(org: SalesforceOrg) -> bool:
    """The results were read; what was stored is being read back, and nothing is acknowledged."""
    with org.lock:
        return any("composite" in endpoint for endpoint in org.calls)


@pytest.mark.parametrize("moment", [_created, _loaded, _closed, _at_work, _done, _read_back])
def test_a_run_killed_around_a_bulk_job_is_finished_by_the_next(
    moment: Callable[[SalesforceOrg], bool], tmp_path: Path
) -> None:
    lines = [f"{n},p{n}@example.org,First{n},Last{n},,+49 {n}" for n in range(PEOPLE)]
    with shell(tmp_path, "\n".join(["id,email,first_name,last_name,company,phone", *lines, ""])) as sh:
        org = sh.emulator.org
        _force_bulk(sh)
        org.bulk.options = BulkOptions(seconds=0.4, seconds_per_record=0.003)
        org.faults.latency = 0.1
        with subprocess.Popen(
            sh.command("sync"),
            cwd=sh.directory,
            env=sh.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            while not moment(org):
                assert process.poll() is None
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        org.faults.latency = 0
        done = sh.run("sync", "--format", "json")
        assert done.code == 0, done.out + done.err
        contacts = sorted((c["Email"], c["FirstName"], c["Phone"]) for c in sh.contacts())
        assert contacts == sorted((f"p{n}@example.org", f"First{n}", f"+49 {n}") for n in range(PEOPLE))
        # A job whose creation was never answered stays open, and an open job without data does nothing.
        assert all(job.state != "Open" or job.data is None for job in org.bulk.ingest.values())
        assert _states(org) <= {"JobComplete", "Aborted", "Open"}
        assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0
        written = sh.run("history", "--limit", str(3 * PEOPLE), "--format", "json").json["changes"]
        assert sorted(one["crm_id"] for one in written) == sorted(c["Id"] for c in sh.contacts())
        assert {one["kind"] for one in written} == {"create"}


def _force_bulk(sh: Shell) -> None:
    """Every write by a job, and a history."""
    path = sh.directory / "crmsync.toml"
    text = path.read_text("utf-8").replace("[integrations.settings]", '[integrations.settings]\nchannel = "bulk"')
    head = "[integrations.objects.Contact.match]"
    path.write_text(text.replace(head, f"[integrations.objects.Contact]\nhistory_days = 30\n{head}"), "utf-8")
