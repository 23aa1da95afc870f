"""Kill a first sync at ten random moments, run it again each time, and compare with an undisturbed one.

Run by hand: ``python benchmarks/kill.py [--contacts 10000] [--kills 10] [--seed 1]``. It prints when each kill
fell, and ``same`` when both sides hold the same records as after the undisturbed run, with no duplicate. The second
``crmsync sync`` follows the kill at once: it waits by itself until the dead run's lease has ended (here 2 s).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from crmsync.security.vault import Vault
from crmsync.testing.salesforce import running_emulator

CONFIG = """storage = "sqlite:///crmsync.db"
[vault]
key = "file:crmsync.key"
[local]
type = "csv"
path = "people.csv"
[run]
lease_seconds = 2
[[integrations]]
id = "acme"
provider = "salesforce"
[integrations.settings]
instance_url = "{url}"
allow_insecure_loopback = true
[integrations.credentials]
access_token = "env:SF_TOKEN"
[integrations.objects.Contact.match]
local_email = "email"
remote_email = "Email"
[integrations.objects.Contact.fields]
email = {{ crm_field = "Email", field_type = "email" }}
first_name = "FirstName"
last_name = {{ crm_field = "LastName", required = true }}
phone = {{ crm_field = "Phone", field_type = "phone" }}
"""

Sides = tuple[list[tuple[Any, ...]], list[str]]


def main() -> int:
    """Run once undisturbed, then once for each kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    calm, took, working = _play(options.contacts, None)
    print(f"undisturbed: {took:.1f} s, {len(calm[0])} contacts, {len(calm[1]) - 1} rows", flush=True)
    chance = random.Random(options.seed)
    failures = 0
    for kill in range(1, options.kills + 1):
        moment = took - working + chance.random() * working
        sides, _, _ = _play(options.contacts, moment)
        duplicates = len(sides[0]) - len({contact[0] for contact in sides[0]})
        same = sides == calm and not duplicates
        failures += not same
        print(
            f"kill {kill} after {moment:.2f} s: {duplicates} duplicates, {'same' if same else 'DIFFERENT'}", flush=True
        )
    print(json.dumps({"kills": options.kills, "contacts": len(calm[0]), "same": not failures}))
    return 1 if failures else 0


def _play(contacts: int, kill_after: float | None) -> tuple[Sides, float, float]:
    """Sync fresh sides, killed after so many seconds and run again.

    Returns what both sides hold, how long the last command took, and how much of that its run.
    """
    with tempfile.TemporaryDirectory() as name, running_emulator() as emulator:
        directory = Path(name)
        _prepare(directory, emulator.url, contacts)
        for number in range(contacts // 2, contacts + contacts // 4):
            emulator.org.create("Contact", {"LastName": f"Last{number}", "Email": f"p{number}@example.org"})
        environment = {**os.environ, "SF_TOKEN": emulator.access_token}
        command = [sys.executable, "-m", "crmsync", "sync", "--format", "json"]
        if kill_after is not None and not _kill_after(command, directory, environment, kill_after):
            print("  (it had ended by then)")
        began = time.perf_counter()
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
        took = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        held = [(c["Email"], c["FirstName"], c["LastName"], c["Phone"]) for c in emulator.org.records("Contact")]
        lines = (directory / "people.csv").read_text(encoding="utf-8").splitlines()
        # A record born in the CRM gets its local id from its CRM id, which differs from org to org.
        sides = sorted(held, key=repr), sorted(line.partition(",")[2] for line in lines)
        return sides, took, json.loads(done.stdout)["runs"][0]["seconds"]


def _prepare(directory: Path, url: str, contacts: int) -> None:
    key = directory / "crmsync.key"
    key.write_text(Vault.generate_key(), encoding="ascii")
    key.chmod(0o600)
    (directory / "crmsync.toml").write_text(CONFIG.format(url=url), encoding="utf-8")
    rows = "".join(f"{n},p{n}@example.org,First{n},Last{n},+49 {n}\n" for n in range(contacts))
    (directory / "people.csv").write_text(f"id,email,first_name,last_name,phone\n{rows}", encoding="utf-8")


def _kill_after(command: list[str], directory: Path, environment: dict[str, str], seconds: float) -> bool:
    with subprocess.Popen(
        command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True
    return False


if __name__ == "__main__":
    raise SystemExit(main())
