"""The soak, as a person starts and ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def soak(*options: str) -> subprocess.Popen[str]:
    """One that has begun."""
    command = [sys.executable, "-m", "tests.property.engine.soak", "--processes", "1", *options]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert running.stdout is not None
    assert running.stdout.readline() == "playing in 1 processes\n"
    return running


def test_it_counts_what_it_played() -> None:
    with soak("--histories", "1") as running:
        told, _ = running.communicate(timeout=120)
    first, total = told.splitlines()
    assert first.startswith("memory on asyncio: ")
    assert total == f"all: {first.partition(': ')[2]}"
    assert running.returncode == 0


def test_who_ends_it_is_told_the_counts_so_far() -> None:
    with soak() as running:
        running.send_signal(signal.SIGTERM)
        told, _ = running.communicate(timeout=120)
    ended, total = told.splitlines()
    assert ended == "ended by SIGTERM"
    assert total.startswith("all: 0 histories, ")
    assert running.returncode == 0
