"""A first load from the Salesforce emulator: everybody in the org is taken over into an empty table.

    python benchmarks/first_load.py [--contacts 20000,1000000] [--kills 3] [--seed 1]

The emulator is a process of its own without latency, the local side a table in SQLite, and the run is ``crmsync sync``
with its bookkeeping in SQLite; the ids of the new rows are written back to the CRM. The time is the run's own, the CPU
time and the memory are those of its process. With ``--kills`` the first of these loads is done once more, killed so
often at random moments and started again each time: in the end everybody must be there once, on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.kill import CONFIG
from benchmarks.salesforce import PeakOf, control
from crmsync.security.vault import Vault
from crmsync.testing.salesforce.process import EmulatorProcess, emulator_process

LOCAL = """[local]
type = "sql"
url = "sqlite:///app.db"
table = "people"
key = "id"
updated_at = "updated_at"
"""
PAGE = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", default="20000,1000000")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    for turn, contacts in enumerate(map(int, options.contacts.split(","))):
        took = load(contacts, ())
        if options.kills and not turn:
            # Each time a part of the whole, so that a few kills fall into the middle of it.
            load(contacts, [chance.random() * took / options.kills for _ in range(options.kills)])


def load(contacts: int, kills: Sequence[float]) -> float:
    """Load into an empty table, killed after so many seconds each time; how long the last process took."""
    with emulator_process(("--daily-limit", "10000000")) as emulator, tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        fill(emulator, contacts)
        prepare(directory, emulator)
        control(emulator, "POST", "/reset-counters", {})
        peaks = [run(emulator, directory, moment)[1] for moment in kills]
        spent, began = cpu_of_children(), time.perf_counter()
        out, peak = run(emulator, directory, None)
        spent, took = cpu_of_children() - spent, time.perf_counter() - began
        report = json.loads(out)["runs"][0]
        calls = int(control(emulator, "GET", "", None)["api_calls"])
        check(directory, emulator, contacts)
        how = f"killed after {', '.join(f'{moment:.1f}' for moment in kills)} s, then" if kills else "undisturbed"
        created, seconds = report["local"]["created"], report["seconds"]
        print(
            f"  {contacts:9,} contacts {how}: {seconds:.1f} s, CPU {spent:.1f} s, {created:,} created"
            f" ({created / seconds:,.0f} a second, {created / spent:,.0f} a second of CPU), {calls:,} calls in all,"
            f" {max(peak, *peaks, 0):.0f} MB; everybody is there once",
            flush=True,
        )
        return took


def cpu_of_children() -> float:
    """The CPU seconds of all processes that ended; the emulator lives."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(emulator: EmulatorProcess, directory: Path, kill_after: float | None) -> tuple[str, float]:
    """Run ``crmsync sync``, or a part of it; what it printed, and its peak memory in MB."""
    with subprocess.Popen(
        [sys.executable, "-m", "crmsync", "sync", "--format", "json"],
        cwd=directory,
        env={**os.environ, "SF_TOKEN": emulator.access_token},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        mark = PeakOf(process.pid)
        try:
            out, err = process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return "", mark.ended()
    if process.returncode:
        raise SystemExit(out[-2000:] + err[-2000:])
    return out, mark.ended()


def fill(emulator: EmulatorProcess, contacts: int) -> None:
    for start in range(0, contacts, PAGE):
        numbers = range(start, min(contacts, start + PAGE))
        people = [
            {"LastName": f"Last{n}", "FirstName": f"First{n}", "Email": f"p{n}@example.org", "Phone": f"+49 {n}"}
            for n in numbers
        ]
        control(emulator, "POST", "/records", {"object": "Contact", "records": people})


def prepare(directory: Path, emulator: EmulatorProcess) -> None:
    key = directory / "crmsync.key"
    key.write_text(Vault.generate_key(), encoding="ascii")
    key.chmod(0o600)
    whole = CONFIG.format(url=emulator.url)
    before, _, after = whole.partition("[local]")
    (directory / "crmsync.toml").write_text(f"{before}{LOCAL}[run]{after.partition('[run]')[2]}", encoding="utf-8")
    with closing(sqlite3.connect(directory / "app.db")) as connection:
        columns = "id TEXT PRIMARY KEY, email TEXT, first_name TEXT, last_name TEXT, phone TEXT, updated_at TIMESTAMP"
        connection.execute(f"CREATE TABLE people ({columns})")
        connection.execute("CREATE INDEX people_updated_at ON people (updated_at, id)")
        connection.execute("CREATE INDEX people_email ON people (lower(trim(email)))")


def check(directory: Path, emulator: EmulatorProcess, contacts: int) -> None:
    """Everybody is in the table once, with the id that the CRM's record carries."""
    with closing(sqlite3.connect(directory / "app.db")) as connection:
        ours: dict[str, tuple[Any, ...]] = {row[0]: row for row in connection.execute("SELECT * FROM people")}
    assert len(ours) == contacts, len(ours)
    for one in everybody(emulator):
        row = ours.pop(one["MarkMail_Id__c"])
        assert row[1:5] == (one["Email"], one["FirstName"], one["LastName"], one["Phone"]), one["Id"]
    assert not ours, len(ours)


def everybody(emulator: EmulatorProcess) -> Iterator[dict[str, Any]]:
    """All contacts of the org, page by page."""
    query = "SELECT Id, MarkMail_Id__c, Email, FirstName, LastName, Phone FROM Contact"
    headers = {"Authorization": f"Bearer {emulator.access_token}"}
    with httpx2.Client(base_url=emulator.url, headers=headers, timeout=120) as client:
        page = client.get("/services/data/v62.0/query", params={"q": query}).raise_for_status().json()
        yield from page["records"]
        while not page["done"]:
            page = client.get(page["nextRecordsUrl"]).raise_for_status().json()
            yield from page["records"]


if __name__ == "__main__":
    main()
