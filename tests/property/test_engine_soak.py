"""The soak, as a person starts and ends it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.property.engine.crowd import Bounds, Kind, Played, Progress, play_in_crowd
from tests.property.engine.promises import Counts

ROOT = Path(__file__).parents[2]


def soak(*options: str) -> subprocess.Popen[str]:
    """One that has begun."""
    command = [sys.executable, "-m", "tests.property.engine.soak", "--processes", "1", *options]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert running.stdout is not None
    assert re.fullmatch(r"playing on (commit \S+|what is no commit) in 1 processes\n", running.stdout.readline())
    return running


def test_it_counts_what_it_played() -> None:
    with soak("--histories", "1") as running:
        told, _ = running.communicate(timeout=120)
    progress, counted, total, passed = told.splitlines()
    assert re.fullmatch(r"memory on asyncio: 1 of 1 histories, \d+ a minute, 0 faults", progress)
    assert counted.startswith("memory on asyncio: 1 histories, ")
    assert total == f"all: {counted.partition(': ')[2]}"
    assert passed.endswith(": 1 in memory on asyncio; 0 faults")
    assert running.returncode == 0


def test_who_ends_it_is_told_the_counts_so_far() -> None:
    with soak() as running:
        running.send_signal(signal.SIGTERM)
        told, _ = running.communicate(timeout=120)
    ended, total, passed = told.splitlines()
    assert ended == "ended by SIGTERM"
    assert total.startswith("all: 0 histories, ")
    assert passed.endswith(": none; 0 faults")
    assert running.returncode == 0


def broken_at_ten(kind: Kind, histories: int, _number: int, _folder: str) -> Played:
    """What comes of a chunk whose tenth history breaks a promise, on one of the storages."""
    if kind.storage != "sqlite":
        return Played(kind, Counts(histories=histories))
    return Played(kind, Counts(histories=10, broken=1), story="broken promise 4")


def test_a_fault_is_told_and_others_go_on_until_enough_are_found() -> None:
    told: list[str] = []
    progress = Progress(histories=1000)
    play_in_crowd(Bounds(5, 1000, faults=2), 1, progress, told.append, broken_at_ten, ThreadPoolExecutor)
    assert [line for line in told if line.startswith("fault")] == [
        "fault 1, in sqlite on asyncio: broken promise 4",
        "fault 2, in sqlite on asyncio: broken promise 4",
    ]
    assert progress.passed() == "400 in memory on asyncio, 200 in memory on trio, 18 in sqlite on asyncio"
    assert re.fullmatch(r"sqlite on asyncio: 620 of 1000 histories, \d+ a minute, 2 faults", told[-2])


def test_what_a_fault_keeps_from_being_played_is_made_up_for() -> None:
    progress = Progress(histories=360)
    play_in_crowd(Bounds(5, 360, faults=5), 1, progress, lambda _: None, broken_at_ten, ThreadPoolExecutor)
    assert progress.played == 360
    assert progress.faults.total() == 1
