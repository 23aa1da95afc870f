"""crmsync's Salesforce provider beside other clients, each against a fresh emulator with the same latencies.

    python benchmarks/salesforce.py [--rows 10000] [--read 100000] [--many 0] [--only upsert,read,sync]

The model of an org: 120 ms for each call, and a bulk job takes 2 s and 1 ms for each record. Each contender is a
process of its own; its wall time includes its start, its peak memory is the kernel's mark, its API calls are those that
the emulator counted. ``--many 200000`` upserts so many rows with our provider as well, to see that memory stays flat.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx2

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.kill import CONFIG  # noqa: E402 - after the path is set
from crmsync.security.vault import Vault  # noqa: E402 - likewise
from crmsync.testing.salesforce.process import EmulatorProcess, emulator_process  # noqa: E402 - likewise
from tests.integration.peers.installing import NODE, node_modules, python_of  # noqa: E402 - likewise
from tests.integration.peers.sf import QUIET, sf_command  # noqa: E402 - likewise

LATENCY, JOB, RECORD = 0.12, 2.0, 0.001
SLOW = ("--latency", str(LATENCY), "--bulk-seconds", str(JOB), "--bulk-seconds-per-record", str(RECORD))
CONTENDERS = Path(__file__).parent / "contenders"
OURS = (sys.executable, str(CONTENDERS / "ours.py"))
WAYS = ("auto", "collections", "bulk", "auto+back", "bulk+back")
"""``+back`` reads back what was stored, as a sync does; the other contenders do not."""
PER_RECORD = 20


@attrs.frozen
class Figures:
    """What a contender took; ``working`` is its own count of the seconds, without its start."""

    name: str
    seconds: float
    calls: int
    peak_mb: float
    done: int
    working: float | None = None

    def line(self, best: float) -> str:
        """For people."""
        working = "" if self.working is None else f"  {self.working:7.1f} s without its start"
        return (
            f"  {self.name:<34} {self.seconds:8.1f} s  {self.seconds / best:6.2f} x  {self.calls:7} calls"
            f"  {self.peak_mb:6.0f} MB  {self.done:7} rows  {self.done / self.seconds:7.0f} a second{working}"
        )


@contextmanager
def rows_file(count: int) -> Iterator[Path]:
    """A CSV file of made-up contacts."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rows.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("MarkMail_Id__c", "Email", "FirstName", "LastName", "Phone"))
            writer.writerows(
                (f"m-{n:07}", f"p{n}@example.org", f"First{n}", f"Last{n}", f"+49 {n}") for n in range(count)
            )
        yield path


def measured(name: str, command: Sequence[str], emulator: EmulatorProcess, **environment: str) -> Figures:
    """Run one contender to its end."""
    control(emulator, "POST", "/reset-counters", {})
    env = {**os.environ, "URL": emulator.url, "TOKEN": emulator.access_token, **environment}
    began = time.perf_counter()
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        mark = PeakOf(process.pid)
        out, err = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{name} ended with {process.returncode}:\n{out[-2000:]}\n{err[-2000:]}")
    calls = int(control(emulator, "GET", "", None)["api_calls"])
    done, working = _said(out)
    return Figures(name, seconds, calls, mark.ended(), done, working)


def _said(out: str) -> tuple[int, float | None]:
    """How many rows a contender says are done, and in how many seconds if it says so."""
    last = json.loads(out.strip().rpartition("\n")[2] if out.lstrip()[:2] != "{\n" else out)
    if "result" in last:  # the CLI's own answer
        return len(last["result"]["records"]["successfulResults"]) if "records" in last["result"] else 1, None
    return int(last["done"]), last.get("seconds")


class PeakOf:
    """The most memory that a process has held, read from the kernel while it lives ("proc_pid_status(5)", VmHWM)."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._peak = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while True:
            try:
                found = re.search(r"VmHWM:\s+(\d+)", self._status.read_text(encoding="ascii"))
            except OSError:
                return
            if found is None:
                return
            self._peak = max(self._peak, int(found[1]))
            time.sleep(0.02)

    def ended(self) -> float:
        """In MB."""
        self._thread.join(1)
        return self._peak / 1024


def control(emulator: EmulatorProcess, method: str, path: str, body: Any) -> Any:
    """Ask the emulator's control API."""
    return (
        httpx2.request(method, f"{emulator.url}/__emulator__{path}", json=body, timeout=120).raise_for_status().json()
    )


def upsert(count: int) -> list[Figures]:
    """The same rows by every contender, each into an empty org."""
    figures = []
    with rows_file(count) as rows, tempfile.TemporaryDirectory() as home:
        environment = {"ROWS": str(rows), "NODE_PATH": str(node_modules())}
        simple = (str(python_of("clients")), str(CONTENDERS / "simple_salesforce_client.py"), "upsert")
        commands: Mapping[str, Sequence[str]] = {
            **{f"crmsync, {way}": (*OURS, "upsert", way) for way in WAYS},
            "simple-salesforce, Bulk 2.0": simple,
            "jsforce, Bulk 2.0": (NODE, str(CONTENDERS / "jsforce_client.cjs")),
        }
        for name, command in commands.items():
            with emulator_process(SLOW) as emulator:
                figures.append(measured(name, command, emulator, **environment))
        upsert_bulk = ("data", "upsert", "bulk", "--sobject", "Contact", "--file", str(rows))
        arguments = (*upsert_bulk, "--external-id", "MarkMail_Id__c", "--wait", "30", "--json")
        with emulator_process(SLOW) as emulator:
            figures.append(
                measured("sf data upsert bulk", (*sf_command(), *arguments), emulator, **_sf(emulator, home))
            )
        with emulator_process(SLOW) as emulator:
            figures.append(_per_record(emulator, home, count))
    return figures


def _sf(emulator: EmulatorProcess, home: str) -> dict[str, str]:
    own = {"HOME": home, "SF_ORG_INSTANCE_URL": emulator.url, "SF_TARGET_ORG": emulator.access_token}
    return {**own, "SF_ORG_API_VERSION": "62.0", **dict.fromkeys(QUIET, "true")}


def _per_record(emulator: EmulatorProcess, home: str, count: int) -> Figures:
    single = []
    for number in range(PER_RECORD):
        values = f"MarkMail_Id__c=m-{number} Email=p{number}@example.org LastName=Last{number}"
        command = (*sf_command(), "data", "create", "record", "--sobject", "Contact", "--values", values, "--json")
        single.append(measured("", command, emulator, **_sf(emulator, home)))
    share = count / PER_RECORD
    return Figures(
        f"sf per record (from {PER_RECORD})",
        sum(one.seconds for one in single) * share,
        int(sum(one.calls for one in single) * share),
        max(one.peak_mb for one in single),
        count,
    )


def read(count: int) -> list[Figures]:
    """Every contact of an org that holds so many."""
    clients = str(python_of("clients"))
    simple = str(CONTENDERS / "simple_salesforce_client.py")
    commands: Mapping[str, Sequence[str]] = {
        "crmsync, auto": (*OURS, "read", "auto"),
        "crmsync, ranges side by side": (*OURS, "read", "rest"),
        "crmsync, query jobs of ranges": (*OURS, "read", "bulk"),
        "crmsync, one query job": (*OURS, "read", "bulk+one"),
        "simple-salesforce, query_all_iter": (clients, simple, "read"),
        "simple-salesforce, bulk2": (clients, simple, "read-bulk"),
    }
    with emulator_process(SLOW) as emulator:
        control(emulator, "POST", "/faults", {"latency": 0})
        for start in range(0, count, 5000):
            numbers = range(start, min(count, start + 5000))
            people = [{"LastName": f"Last{n}", "FirstName": f"First{n}", "Email": f"p{n}@example.org"} for n in numbers]
            control(emulator, "POST", "/records", {"object": "Contact", "records": people})
        control(emulator, "POST", "/faults", {"latency": LATENCY})
        return [measured(name, command, emulator) for name, command in commands.items()]


def two_way(count: int) -> Figures:
    """A run after every record was edited on both sides, in different fields."""
    with emulator_process(SLOW) as emulator, tempfile.TemporaryDirectory() as name, rows_file(count) as rows:
        control(emulator, "POST", "/faults", {"latency": 0})
        directory = Path(name)
        key = directory / "crmsync.key"
        key.write_text(Vault.generate_key(), encoding="ascii")
        key.chmod(0o600)
        (directory / "crmsync.toml").write_text(CONFIG.format(url=emulator.url), encoding="utf-8")
        header = "id,email,first_name,last_name,phone"
        file = directory / "people.csv"
        file.write_text(f"{header}\n{rows.read_text('utf-8').partition(chr(10))[2]}", encoding="utf-8")
        environment = {**os.environ, "SF_TOKEN": emulator.access_token}
        sync = [sys.executable, "-m", "crmsync", "sync", "--format", "json"]
        subprocess.run(sync, cwd=directory, env=environment, check=True, capture_output=True)
        held = control(emulator, "POST", "/records/read", {"object": "Contact"})["records"]
        for start in range(0, count, 5000):
            edits = [{"Id": one["Id"], "Phone": f"+1 {one['Phone']}"} for one in held[start : start + 5000]]
            control(emulator, "POST", "/records", {"object": "Contact", "records": edits})
        file.write_text(file.read_text("utf-8").replace(",First", ",Erste"), encoding="utf-8")
        control(emulator, "POST", "/faults", {"latency": LATENCY})
        control(emulator, "POST", "/reset-counters", {})
        began = time.perf_counter()
        with subprocess.Popen(
            sync, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            mark = PeakOf(process.pid)
            out, err = process.communicate()
        seconds = time.perf_counter() - began
        if process.returncode:
            raise SystemExit(out + err)
        run = json.loads(out)["runs"][0]
        assert (run["local"]["updated"], run["remote"]["updated"]) == (count, count), run
        calls = int(control(emulator, "GET", "", None)["api_calls"])
        return Figures("crmsync sync, both sides edited", seconds, calls, mark.ended(), run["written"])


def show(title: str, figures: Sequence[Figures]) -> None:
    """Print a table; the ratios are to the fastest."""
    print(f"\n{title}", flush=True)
    best = min(one.seconds for one in figures)
    for one in figures:
        print(one.line(best), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--read", type=int, default=100_000)
    parser.add_argument("--many", type=int, default=0)
    parser.add_argument("--only", default="upsert,read,sync")
    options = parser.parse_args()
    wanted = options.only.split(",")
    print(f"{LATENCY * 1000:.0f} ms a call; a bulk job {JOB:.0f} s + {RECORD * 1000:.0f} ms a record")
    if "upsert" in wanted:
        figures = upsert(options.rows)
        if "sync" in wanted:
            figures.append(two_way(options.rows))
        show(f"upsert of {options.rows} contacts, and a two-way sync of as many", figures)
    if "read" in wanted:
        show(f"read of {options.read} contacts", read(options.read))
    if options.many:
        with rows_file(options.many) as rows:
            many = []
            for channel in ("collections", "bulk"):
                with emulator_process(SLOW) as emulator:
                    command = (*OURS, "upsert", channel)
                    many.append(measured(f"crmsync, {channel}", command, emulator, ROWS=str(rows)))
        show(f"upsert of {options.many} contacts", many)


if __name__ == "__main__":
    main()
