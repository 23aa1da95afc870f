"""Progress of a run, drawn on stderr while a terminal watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from crmsync.cli.output import plain
from crmsync.models.events import (
    BatchWritten,
    JobProgressed,
    PageRead,
    RetryScheduled,
    RunFinished,
    RunStarted,
    SyncEvent,
)
from crmsync.models.records import Side

_SIDES: Final = {Side.LOCAL: "local", Side.REMOTE: "CRM"}


class ProgressObserver:
    """An observer that draws bars. It draws nothing unless `drawing` is entered, so it can always be attached."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._bars: dict[tuple[str, Side, str], TaskID] = {}

    @contextmanager
    def drawing(self, *, enabled: bool) -> Iterator[None]:
        """Draw what is heard meanwhile; the bars are gone afterwards."""
        if not enabled:
            yield
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            self._progress = progress
            try:
                yield
            finally:
                self._progress = None
                self._bars.clear()

    def notify(self, event: SyncEvent) -> None:
        """Move the bars."""
        if self._progress is None:
            return
        match event:
            case RunStarted():
                self._bars.clear()
            case PageRead():
                self._advance(event.run_id, event.side, "reading", event.records, event.total)
            case BatchWritten():
                self._advance(event.run_id, event.side, "writing", event.succeeded + event.failed, None)
            case JobProgressed():
                self._follow(event)
            case RetryScheduled():
                text = f"{_SIDES[event.side]}: {event.reason}; trying again in {event.seconds:.0f} s ({event.attempt})"
                self._progress.console.print(plain(text), style="yellow")
            case RunFinished():
                for bar in self._bars.values():
                    self._progress.update(bar, visible=False)
            case _:
                pass

    def _follow(self, event: JobProgressed) -> None:
        """Move the bar of a bulk job; it is gone when the job is done."""
        if self._progress is None:
            return
        place = (event.job_id, Side.REMOTE, "job")
        if place not in self._bars:
            self._bars[place] = self._progress.add_task("job at the CRM", total=event.records)
        done = event.processed >= event.records
        self._progress.update(self._bars[place], completed=event.processed, visible=not done)

    def _advance(self, run_id: str, side: Side, verb: str, count: int, total: int | None) -> None:
        if self._progress is None:
            return
        place = (run_id, side, verb)
        if place not in self._bars:
            self._bars[place] = self._progress.add_task(f"{verb} {_SIDES[side]}", total=total)
        self._progress.update(self._bars[place], advance=count, total=total)
