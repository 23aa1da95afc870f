"""Progress is drawn for a terminal while a run goes on, and nowhere else."""

from __future__ import annotations

import datetime as dt
import io

from rich.console import Console

from crmsync.cli.progress import ProgressObserver
from crmsync.models.events import (
    BatchWritten,
    JobProgressed,
    PageAcknowledged,
    PageRead,
    RetryScheduled,
    RunFinished,
    RunStarted,
)
from crmsync.models.records import Side
from crmsync.models.runs import RunReport, RunStatus

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
REPORT = RunReport(
    run_id="r",
    integration_id="acme",
    entity_type="Contact",
    status=RunStatus.SUCCESS,
    started_at=NOW,
    finished_at=NOW,
)
EVENTS = (
    RunStarted("r", "acme", "Contact", dry_run=False),
    PageRead("r", Side.REMOTE, 20, 40),
    PageRead("r", Side.REMOTE, 20, None),
    BatchWritten("r", Side.LOCAL, 10, 1),
    JobProgressed("acme", "Contact", "750A", 3_000, 9_000),
    JobProgressed("acme", "Contact", "750B", 7, 7),
    PageAcknowledged("r", Side.LOCAL, 11),
    RetryScheduled("r", Side.REMOTE, 2, 3.0, "busy\x1b"),
)


def heard(*, enabled: bool) -> str:
    file = io.StringIO()
    observer = ProgressObserver(Console(file=file, force_terminal=True, width=100, color_system=None))
    with observer.drawing(enabled=enabled):
        for event in EVENTS:
            observer.notify(event)
        if enabled:
            assert observer._progress is not None
            observer._progress.refresh()
        observer.notify(RunFinished(REPORT))
    observer.notify(EVENTS[1])
    return file.getvalue()


def test_reading_and_writing_have_a_bar_each_and_a_retry_is_told() -> None:
    text = heard(enabled=True)
    assert "reading CRM" in text
    assert "40/40" in text
    assert "writing local" in text
    assert "3000/9000" in text
    assert "7/7" not in text
    assert "CRM: busy\\x1b; trying again in 3 s (2)" in text


def test_nothing_is_drawn_where_nobody_watches() -> None:
    assert heard(enabled=False) == ""
