"""``crmsync demo``."""

from __future__ import annotations

import enum
import re
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from crmsync.cli import payloads
from crmsync.cli.config import load_config
from crmsync.cli.demo import views
from crmsync.cli.demo.configuration import write_configuration
from crmsync.cli.demo.local import CsvTable, LocalSide, SqliteTable
from crmsync.cli.demo.people import Pool, make_pools
from crmsync.cli.demo.population import make_population
from crmsync.cli.demo.scenario import Course, Scenario
from crmsync.cli.emulator_process import run_emulator
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.interruption import run_interruptible
from crmsync.cli.options import Shown, grouped
from crmsync.cli.output import Output
from crmsync.cli.progress import ProgressObserver

_MEGABYTE: Final = 1024 * 1024


class LocalKind(enum.StrEnum):
    """What the demo's local side is."""

    SQLITE = "sqlite"
    CSV = "csv"


@grouped
def demo(
    *,
    contacts: Annotated[int, typer.Option("--contacts", min=20, help="How many people there are in all.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Which people: the same seed makes the same demo.")] = 1,
    local: Annotated[LocalKind, typer.Option("--local", help="What the local side is.")] = LocalKind.SQLITE,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Keep everything in this new directory.", metavar="DIR")
    ] = None,
    output: Shown,
) -> int:
    """Watch a two-way sync: a Salesforce emulator, made-up people, edits on both sides, three runs."""
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise UsageProblemError(f"{keep} is not empty: name a new directory for --keep")
    return run_interruptible(_demo, contacts, seed, local, keep, output)


async def _demo(contacts: int, seed: int, kind: LocalKind, keep: Path | None, output: Output) -> int:
    begun = time.monotonic()
    pools = make_pools(seed)
    with ExitStack() as stack:
        directory = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crmsync-demo-")))
        directory.mkdir(parents=True, exist_ok=True)
        table: LocalSide = SqliteTable(directory) if kind is LocalKind.SQLITE else CsvTable(directory)
        state = ["--state", str(directory / "emulator.json")] if keep else []
        async with run_emulator(["--port", "0", *state]) as emulator:
            path = write_configuration(directory, url=emulator.url, local=table.options())
            course = Course(make_population(contacts, seed, pools))
            progress = ProgressObserver(output.err)
            scenario = Scenario(load_config(path), emulator, table, (progress,), course)
            with progress.drawing(enabled=output.interactive):
                await _play(scenario, pools, seed, output)
    seconds = time.monotonic() - begun
    kept = str(path) if keep else None
    output.result(_payload(course, seconds), *views.ending(course, seconds, peak_memory_mb(), kept))
    return ExitCode.SUCCESS if course.converged else ExitCode.FAILURE


async def _play(scenario: Scenario, pools: Sequence[Pool], seed: int, output: Output) -> None:
    course = scenario.course
    output.show(*views.opening(course.population, scenario.emulator.url))
    pair = await scenario.seed()
    met = await scenario.look_at("One pair that differed when the sides first met", pair) if pair else None
    await scenario.sync()
    output.show(*views.act("First sync: find who is who, and bring both sides together", course))
    if met is not None:
        output.show(views.merged(met, await scenario.look_at(met.title, met.pair)))
    day = await scenario.edit(seed, pools)
    title = "One person edited on both sides, in different fields"
    edited = await scenario.look_at(title, day.apart[0])
    output.show(views.edits(day))
    await scenario.sync()
    output.show(*views.act("Second sync: only what was edited moves", course))
    output.show(views.merged(edited, await scenario.look_at(title, edited.pair)))
    await scenario.sync()
    output.show(*views.act("Third sync: nobody edited anything", course))
    await scenario.compare()


def peak_memory_mb() -> float:
    """The most memory that this process has held, in MB.

    On Linux ``ru_maxrss`` also counts the process that started this one, as it was at that moment ("getrusage(2)"), so
    the kernel's own mark is read ("proc_pid_status(5)", in kB). macOS counts ``ru_maxrss`` in bytes.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    mark = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    if mark:
        return int(mark[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MEGABYTE if sys.platform == "darwin" else peak / 1024


def _payload(course: Course, seconds: float) -> dict[str, Any]:
    comparison = course.comparison
    return {
        "runs": [payloads.report_payload(report) for report in course.reports],
        "converged": course.converged,
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "seconds": round(seconds, 2),
        "api_calls": course.api_calls,
        "compared": {
            "pairs": comparison.pairs,
            "different": len(comparison.different),
            "only_local": len(comparison.only_local),
            "only_remote": len(comparison.only_remote),
            "excused": comparison.excused,
            "lost_edits": len(course.lost_edits),
        }
        if comparison
        else None,
        "planted": {"refused_rows": len(course.population.spoilt), "doubled_emails": len(course.population.doubled)},
    }
