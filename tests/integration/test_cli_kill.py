"""SIGKILL at several moments of a first run, then the same command again: as if nothing had happened."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.shell import Shell, rows, shell

PEOPLE = 300
LATENCY = 0.05


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, int]:
    """What both sides hold after a first run that nobody disturbed, and how many calls it made."""
    with _sides(tmp_path_factory.mktemp("calm")) as sh:
        assert sh.run("sync").code == 0
        return _held(sh), sh.emulator.org.api_calls


@pytest.mark.parametrize("kill", range(3))
def test_a_first_run_killed_at_a_random_moment_is_finished_by_the_next(
    kill: int, undisturbed: tuple[Any, int], tmp_path: Path
) -> None:
    """The same records as after an undisturbed run, and no duplicate. Moments are counted in API calls."""
    expected, calls = undisturbed
    moment = random.Random(kill).randint(1, calls - 1)
    with _sides(tmp_path) as sh:
        sh.emulator.org.faults.latency = LATENCY
        with subprocess.Popen(
            sh.command("sync"),
            cwd=sh.directory,
            env=sh.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            while sh.emulator.org.api_calls < moment:
                assert process.poll() is None
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        sh.emulator.org.faults.latency = 0
        done = sh.run("sync", "--format", "json")
        assert done.code == 0, done.out + done.err
        assert _held(sh) == expected
        assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0


@contextmanager
def _sides(directory: Path) -> Iterator[Shell]:
    """300 people here, 100 in the CRM, 50 of them the same, half of these with another number."""
    lines = [f"{n},p{n}@example.org,First{n},Last{n},,+49 {n}" for n in range(PEOPLE)]
    people = "\n".join(["id,email,first_name,last_name,company,phone", *lines, ""])
    with shell(directory, people) as sh:
        for n in range(PEOPLE - 50, PEOPLE + 50):
            values = {
                "LastName": f"Last{n}",
                "FirstName": f"First{n}",
                "Email": f"p{n}@example.org",
                "Phone": f"+{49 if n % 2 else 1} {n}",
            }
            sh.emulator.org.create("Contact", values)
        yield sh


def _held(sh: Shell) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Both sides without the ids that are drawn anew in each org."""
    contacts = sorted((c["Email"], c["FirstName"], c["LastName"], c["Phone"]) for c in sh.contacts())
    return contacts, sorted(line.partition(",")[2] for line in rows(sh.directory / "people.csv"))
