"""``crmsync demo`` as a process: it converges, writes nothing the third time, and tells so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crmsync", "demo", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def told(*arguments: str) -> Any:
    done = demo(*arguments, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize("local", ["sqlite", "csv"])
def test_the_demo_converges_and_its_last_run_writes_nothing(local: str) -> None:
    said = told("--contacts", "200", "--local", local)
    first, second, third = said["runs"]
    assert said["converged"] is True
    assert third["written"] == 0
    assert first["written"] > second["written"] > 0
    assert {name: said["compared"][name] for name in ("different", "only_local", "only_remote", "lost_edits")} == {
        "different": 0,
        "only_local": 0,
        "only_remote": 0,
        "lost_edits": 0,
    }
    assert said["compared"]["pairs"] > 190
    assert said["planted"]["refused_rows"] > 0
    assert said["planted"]["doubled_emails"] > 0
    assert third["status"] == "partial"
    assert said["api_calls"][2] <= 10
    assert len(said["api_calls"]) == 3
    assert 0 < said["peak_memory_mb"] < 300


def test_the_calls_that_are_reported_are_those_that_the_crm_counted() -> None:
    said = told("--contacts", "100", "--seed", "3")
    assert said["api_calls"] == [run["remote"]["api_calls"] for run in said["runs"]]


def test_the_demo_for_people_shows_each_act_and_where_to_go_next() -> None:
    done = demo("--contacts", "100")
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    # The last run's count is that of the summary, and the calls are those of the tables.
    [*_, waiting] = re.findall(r"(\d+) records hold what someone must mend", text)
    assert f"spoilt on purpose: {waiting} records that every run tries again until mended, and 1 pair(s)" in text
    calls = re.findall(r"^ CRM .* (\d+) *$", done.stdout, re.MULTILINE)
    assert f"{' + '.join(calls)} API calls" in text
    for part in ("First sync", "Second sync", "Third sync", "both, after", "In step", "crmsync emulator"):
        assert part in done.stdout


def test_a_kept_demo_can_be_looked_at_and_is_never_played_over(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    told("--contacts", "50", "--keep", str(kept))
    assert {path.name for path in kept.iterdir()} >= {"crmsync.toml", "crmsync.key", "subscribers.db", "emulator.json"}
    command = [sys.executable, "-m", "crmsync", "status", "--config", str(kept / "crmsync.toml"), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["integrations"]["salesforce"][0]["synced"] > 40
    refused = demo("--keep", str(kept))
    assert refused.returncode == 2
    assert "not empty" in refused.stderr
