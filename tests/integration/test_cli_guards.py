"""Runs that are stopped before they do harm, or that meet another run, or that the user interrupts."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.shell import CONFIG, PEOPLE, Shell, shell


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def test_a_run_out_of_its_budget_of_calls_stops_with_4_and_goes_on_next_time(sh: Shell) -> None:
    stopped = sh.run("sync", "--max-calls", "3", "--format", "json")
    assert stopped.code == 4
    assert stopped.json["error"]["code"] == "budget_exceeded"
    assert "--max-calls" in stopped.json["error"]["remedy"]
    assert sh.run("sync").code == 0
    assert len(sh.contacts()) == 4


def test_a_plan_says_how_many_calls_it_takes(sh: Shell) -> None:
    planned = sh.run("plan", "--format", "json").json["plans"][0]
    assert 0 < planned["calls"]["likely"] <= planned["calls"]["most"]
    before = sh.emulator.org.api_calls
    # The second connection remembers what the first found out.
    shown = " ".join(sh.run("plan").out.split())
    found = re.search(
        r"API calls: (\d+) to read for this plan; a sync reads anew and takes about (\d+); "
        r"this very plan, once approved, about \d+, at most \d+",
        shown,
    )
    assert found
    assert int(found[1]) == sh.emulator.org.api_calls - before
    synced = sh.run("sync", "--format", "json").json["runs"][0]["remote"]["api_calls"]
    assert abs(synced - int(found[2])) <= 1
    assert "a sync reads anew and takes about" in " ".join(sh.run("plan").out.split()), "also where nothing is to do"


def test_a_day_s_budget_of_calls_holds_over_runs_and_shows_in_the_status(sh: Shell) -> None:
    path = sh.directory / "crmsync.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('id = "acme"\n', 'id = "acme"\nmax_calls_per_day = 4\n'), encoding="utf-8")
    codes = [sh.run("sync").code for _ in range(2)]
    stopped = sh.run("sync", "--format", "json")
    assert codes[-1] == stopped.code == 4
    assert stopped.json["error"]["code"] == "budget_exceeded"
    assert stopped.json["error"]["resumes_at"].endswith("T00:00:00+00:00")
    assert "max_calls_per_day" in stopped.json["error"]["remedy"]
    calls = sh.run("status", "--format", "json").json["api_calls"]["acme"]
    assert (calls["taken"], calls["limit"], calls["org_used"]) == (4, 4, sh.emulator.org.api_calls)
    assert "4 API calls today of its budget of 4; the CRM counted" in sh.run("status").out


@pytest.mark.parametrize("calls", [1, 3, 5])
def test_case_25_a_rate_limit_is_not_reported_as_a_finished_sync(sh: Shell, calls: int) -> None:
    """The org's calls of 24 hours are used up somewhere in a first run."""
    sh.emulator.org.daily_limit = calls
    stopped = sh.run("sync", "--format", "json")
    assert stopped.code == 1
    assert stopped.json["error"]["code"] == "rate_limited"
    assert "24 hours are used up" in stopped.json["error"]["message"]
    assert "run again after" in stopped.json["error"]["remedy"]
    again = dt.datetime.fromisoformat(stopped.json["error"]["resumes_at"])
    assert dt.timedelta(minutes=50) < again - dt.datetime.now(dt.UTC) < dt.timedelta(minutes=61)
    logged = [log["error_details"]["report"]["status"] for log in sh.run("logs", "--format", "json").json["logs"]]
    assert logged in ([], ["failed"])
    counted = [number for endpoint, number in sh.emulator.org.calls.items() if "oauth2" not in endpoint]
    assert sum(counted) <= calls + 2, "a day's limit is not run against again and again"
    sh.emulator.org.daily_limit = 100_000
    assert sh.run("sync").code == 0
    assert len(sh.contacts()) == 4


def test_a_busy_org_delays_a_run_and_does_not_end_it(sh: Shell) -> None:
    busy = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests Limit exceeded."}]
    sh.emulator.org.faults.fail_next(3, status=403, body=busy)
    assert sh.run("sync").code == 0
    assert len(sh.contacts()) == 4


def test_a_run_that_would_delete_too_much_stops_with_4_and_deletes_only_when_told(sh: Shell) -> None:
    guarded = '[integrations.objects.Contact]\ndelete_in_crm = "propagate"\ndelete_guard_count = 1\n'
    path = sh.directory / "crmsync.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("[integrations.objects.Contact.match]", f"{guarded}[integrations.objects.Contact.match]"),
        encoding="utf-8",
    )
    assert sh.run("sync").code == 0
    (sh.directory / "people.csv").write_text("\n".join(PEOPLE.splitlines()[:2]) + "\n", encoding="utf-8")
    stopped = sh.run("sync")
    assert stopped.code == 4
    assert "--allow-deletes" in stopped.err
    assert len(sh.contacts()) == 4
    assert sh.run("sync", "--allow-deletes", "3").code == 0
    assert [contact["Email"] for contact in sh.contacts()] == ["luisg@example.org"]


def test_a_swapped_column_stops_with_4_before_anything_is_overwritten(sh: Shell) -> None:
    header = "id,email,first_name,last_name,company,phone"
    rows = [f"{n},p{n}@example.org,First {n},Last {n},Acme," for n in range(60)]
    people = sh.directory / "people.csv"
    people.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    assert sh.run("sync").code == 0
    swapped = header.replace("first_name,last_name", "last_name,first_name")
    people.write_text("\n".join([swapped, *rows]) + "\n", encoding="utf-8")
    planned = sh.run("plan", "--format", "json").json["plans"][0]["report"]
    assert planned["remote"]["overwritten"] == 120
    assert "FirstName 60, LastName 60" in planned["would_stop"]
    shown = " ".join(sh.run("plan").out.split())
    assert "would overwrite 0 local and 120 CRM value(s)" in shown
    assert "a guard would stop this" in shown
    stopped = sh.run("sync", "--format", "json")
    assert stopped.code == 4
    assert stopped.json["error"]["code"] == "overwrite_guard"
    assert "--allow-overwrites" in stopped.json["error"]["remedy"]
    assert {contact["FirstName"][:5] for contact in sh.contacts()} == {"First"}
    assert sh.run("sync", "--allow-overwrites", "120").code == 0
    assert {contact["FirstName"][:5] for contact in sh.contacts()} == {"Last "}


def test_a_stopped_plan_is_looked_at_approved_and_carried_out(sh: Shell) -> None:
    header = "id,email,first_name,last_name,company,phone"
    people = sh.directory / "people.csv"
    rows = [f"{n},p{n}@example.org,First {n},Last {n},Acme," for n in range(60)]
    people.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    assert sh.run("sync").code == 0
    assert sh.run("stops", "show", "--format", "json").json["error"]["code"] == "not_found"
    edited = [row.replace("First", "New").replace("Last", "Name") for row in rows]
    people.write_text("\n".join([header, *edited]) + "\n", encoding="utf-8")
    assert sh.run("sync").code == 4
    assert "stopped: see `crmsync stops show`" in " ".join(sh.run("status").out.split())
    (listed,) = sh.run("stops", "list", "--format", "json").json["stops"]
    assert (listed["code"], listed["plan"]) == ("overwrite_guard", None)
    unseen = sh.run("stops", "approve", "0" * 64)
    assert (unseen.code, "`crmsync stops show` says so" in unseen.err, "what to do" in unseen.err) == (1, True, False)
    shown = sh.run("stops", "show", "--all", "--format", "json").json["stop"]
    assert shown["plan"]["fields"] == {"remote FirstName": 60, "remote LastName": 60}
    assert len(shown["records"]) == shown["plan"]["records"] == 60
    assert "New 1" not in json.dumps(shown)
    digest = shown["plan"]["digest"]
    assert digest in " ".join(sh.run("stops", "show").out.split())
    refused = sh.run("stops", "approve", "0" * 64, "--format", "json")
    assert (refused.code, refused.json["error"]["code"]) == (1, "stale_record")
    assert "crmsync stops show" in refused.json["error"]["remedy"]
    for told in (refused.out, sh.run("stops", "list").out, sh.run("stops", "list", "--format", "json").out):
        assert digest[:8] not in told, "only the plan itself says its digest"
    short = sh.run("stops", "approve", digest[:7])
    assert (short.code, "at least 8 characters" in short.err) == (2, True)
    approved = sh.run("stops", "approve", digest[:12], "--by", "Ann", "--format", "json").json["stop"]
    assert approved["approved_by"] == "Ann"
    assert "approved by Ann" in " ".join(sh.run("stops", "list").out.split())
    assert sh.run("stops", "list", "--format", "json").json["stops"][0]["plan"]["digest"] == digest
    done = sh.run("sync", "--format", "json")
    assert (done.code, done.json["runs"][0]["remote"]["updated"]) == (0, 60)
    assert {contact["FirstName"][:4] for contact in sh.contacts()} == {"New "}
    assert "no run is stopped" in sh.run("stops", "list").out
    assert sh.run("logs", "--format", "json").json["logs"][0]["error_details"]["approval"]["by"] == "Ann"


def test_a_dropped_stop_is_forgotten_and_the_next_run_stops_again(sh: Shell) -> None:
    header = "id,email,first_name,last_name,company,phone"
    people = sh.directory / "people.csv"
    rows = [f"{n},p{n}@example.org,First {n},Last {n},Acme," for n in range(60)]
    people.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    assert sh.run("sync").code == 0
    edited = [row.replace("First", "New").replace("Last", "Name") for row in rows]
    people.write_text("\n".join([header, *edited]) + "\n", encoding="utf-8")
    assert sh.run("sync").code == 4
    dropped = sh.run("stops", "drop")
    assert "stops again" in " ".join(dropped.out.split())
    assert sh.run("stops", "drop").code == 1
    assert sh.run("sync").code == 4


def test_a_flow_of_the_org_against_a_normaliser_of_the_file_is_parked_and_explained(sh: Shell) -> None:
    """Both rewrite the phone some time after each sync, as users of their own."""
    assert sh.run("sync").code == 0
    path, org = sh.directory / "people.csv", sh.emulator.org
    given = "+49 0711 2842222"
    codes = []
    for _ in range(6):
        (contact,) = [found for found in org.records("Contact") if found["Email"] == "leonie@example.org"]
        if contact["Phone"] == given:
            org.update("Contact", contact["Id"], {"Phone": "0711 2842222"})
        else:
            path.write_text(path.read_text("utf-8").replace(",0711 2842222", f",{given}"), encoding="utf-8")
        codes.append(sh.run("sync").code)
    assert (codes[0], codes[-1]) == (0, 3)
    (conflict,) = sh.run("conflicts", "list", "--format", "json").json["conflicts"]
    assert (conflict["policy"], conflict["field"]) == ("oscillation", "phone")
    shown = " ".join(sh.run("conflicts", "show", conflict["id"]).out.split())
    assert "Phone of the CRM and phone of the local side were rewritten against each other" in shown
    assert sh.run("conflicts", "resolve", conflict["id"], "--winner", "local").code == 0
    assert sh.run("sync").code == 0
    assert given in {found["Phone"] for found in org.records("Contact")}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_run_with_130_and_the_next_one_goes_on_at_once(sh: Shell, sent: signal.Signals) -> None:
    """Whenever it comes: also while the lease is being taken, which is then given back."""
    sh.emulator.org.faults.latency = 0.5
    with subprocess.Popen(
        sh.command("sync", "--format", "json"),
        cwd=sh.directory,
        env=sh.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        _until(lambda: sh.emulator.org.api_calls > 0)
        os.killpg(process.pid, sent)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert b"Traceback" not in err
    sh.emulator.org.faults.latency = 0
    assert sh.run("sync", "--wait", "0").code == 0


def test_a_run_waits_for_the_lease_of_one_that_was_killed(sh: Shell) -> None:
    path = sh.directory / "crmsync.toml"
    path.write_text(path.read_text("utf-8").replace("lease_seconds = 2", "lease_seconds = 15"), "utf-8")
    _kill_while_syncing(sh)
    impatient = sh.run("sync", "--wait", "0", "--format", "json")
    assert impatient.code == 1
    assert impatient.json["error"]["code"] == "concurrent_update"
    patient = sh.run("sync")
    assert patient.code == 0, patient.err
    assert "waiting" in patient.err
    assert len(sh.contacts()) == 4


def test_two_integrations_are_synced_one_after_the_other_and_what_the_first_did_is_told_when_the_second_fails(
    sh: Shell,
) -> None:
    path = sh.directory / "crmsync.toml"
    first = path.read_text(encoding="utf-8")
    second = (
        first.partition("[[integrations]]")[2]
        .replace('"acme"', '"other"')
        .replace(sh.emulator.url, "http://127.0.0.1:9")
    )
    path.write_text(f"{first}\n[[integrations]]{second}", encoding="utf-8")
    done = sh.run("sync", "--format", "json")
    assert done.code == 1
    assert [run["integration_id"] for run in done.json["runs"]] == ["acme"]
    assert done.json["error"]["code"] == "unavailable"
    assert sh.run("sync", "--integration", "acme").code == 0


def test_a_paused_integration_is_left_out_and_the_others_are_synced(sh: Shell) -> None:
    path = sh.directory / "crmsync.toml"
    first = path.read_text(encoding="utf-8")
    second = first.partition("[[integrations]]")[2].replace('"acme"', '"other"')
    path.write_text(f"{first}\n[[integrations]]{second}", encoding="utf-8")
    assert sh.run("sync").code == 0
    assert sh.run("pause", "-i", "acme").code == 0
    synced = sh.run("sync")
    assert (synced.code, "other Contact" in synced.out, "acme" in synced.out) == (0, True, False)
    assert "left out, since their syncs are paused until `crmsync resume`: acme" in " ".join(synced.err.split())
    retried = sh.run("rejects", "retry", "--format", "json")
    assert (retried.code, retried.json["paused"], "error" in retried.json) == (0, ["acme"], False)
    assert [one["integration_id"] for one in retried.json["runs"]] == ["other"]
    alone = sh.run("sync", "-i", "acme", "--format", "json")
    assert (alone.code, alone.json["error"]["code"]) == (2, "sync_paused")


def test_an_option_that_the_local_side_does_not_know_is_named(sh: Shell) -> None:
    (sh.directory / "crmsync.toml").write_text(
        CONFIG.replace('path = "people.csv"', 'pth = "people.csv"')
        .replace("{url}", sh.emulator.url)
        .replace("{fields}", 'a = "B"'),
        encoding="utf-8",
    )
    done = sh.run("sync", "--format", "json")
    assert done.code == 2
    assert {problem["path"] for problem in done.json["error"]["problems"]} == {"local.pth", "local.path"}


def _kill_while_syncing(sh: Shell) -> None:
    sh.emulator.org.faults.latency = 0.3
    with subprocess.Popen(
        sh.command("sync"),
        cwd=sh.directory,
        env=sh.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        _until(lambda: sh.emulator.org.api_calls > 2)
        process.send_signal(signal.SIGKILL)
    sh.emulator.org.faults.latency = 0


def _until(holds: object, seconds: float = 20) -> None:
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
