"""``crmsync demo``."""

from __future__ import annotations

import enum
import tempfile
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import payloads, tables
from crmsync.cli.demo.edits import Day
from crmsync.cli.demo.play import Demo, DemoResult, peak_memory_mb
from crmsync.cli.emulator_process import run_emulator
from crmsync.cli.exits import ExitCode
from crmsync.cli.options import FormatOption
from crmsync.cli.output import Format, Output
from crmsync.cli.progress import ProgressObserver
from crmsync.models.runs import RunReport


class LocalKind(enum.StrEnum):
    """What the demo's local side is."""

    SQL = "sql"
    CSV = "csv"


def demo(
    *,
    contacts: Annotated[
        int, typer.Option("--contacts", min=20, help="How many people, on both sides together.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Which made-up people and edits.")] = 1,
    local: Annotated[LocalKind, typer.Option("--local", help="A table in SQLite, or a CSV file.")] = LocalKind.SQL,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Keep the files in this new directory.", metavar="DIR")
    ] = None,
    format_: FormatOption = Format.HUMAN,
) -> int:
    """See a whole two-way sync: a Salesforce emulator, made-up people, edits on both sides. Needs no account."""
    output = Output(format_)
    if keep is not None:
        keep.mkdir(parents=True)
        return anyio.run(_play, keep, contacts, seed, local, output)
    with tempfile.TemporaryDirectory(prefix="crmsync-demo-") as directory:
        return anyio.run(_play, Path(directory), contacts, seed, local, output)


async def _play(directory: Path, contacts: int, seed: int, local: LocalKind, output: Output) -> int:
    progress = ProgressObserver(output.err)
    output.note(f"starting a Salesforce emulator on loopback, and making up {contacts} people ...")
    async with run_emulator(["--port", "0"]) as emulator:
        with progress.drawing(enabled=output.interactive):
            result = await Demo(emulator, directory, local.value, contacts, seed, [progress]).play()
    output.result(_payload(result), *_views(result))
    return ExitCode.SUCCESS if result.converged else ExitCode.FAILURE


def _payload(result: DemoResult) -> dict[str, Any]:
    return {
        "runs": [payloads.report_payload(report) for report in result.runs],
        "converged": result.converged,
        "differences": result.differences,
        "waiting": result.waiting,
        "api_calls": [report.remote.api_calls for report in result.runs],
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "seconds": round(result.seconds, 2),
    }


def _views(result: DemoResult) -> list[RenderableType]:
    there, day = result.population, result.day
    first, second, third = result.runs
    views: list[RenderableType] = [
        _title("1. First sync"),
        f"{len(there.subscribers)} subscribers met {len(there.contacts)} Salesforce contacts; many are the same.",
        _counts(first),
    ]
    if result.example:
        rows = [(name, *values) for name, values in result.example.items()]
        views.append(tables.table("field", "here before", "CRM before", "both after", rows=rows, title="one of them"))
    views += [
        _title("2. People edit both sides, then the second sync"),
        _day(day),
        _counts(second),
        _title("3. A third sync has nothing to do"),
        _counts(third),
        f"{result.waiting} records wait on purpose: values that Salesforce refuses, and people who are there twice.",
        Text.assemble(
            (
                "both sides agree" if result.converged else "the sides differ",
                "bold green" if result.converged else "bold red",
            ),
            f" after {result.seconds:.1f} s; {sum(r.remote.api_calls for r in result.runs)} API calls;"
            f" at most {peak_memory_mb():.0f} MB of memory",
        ),
        Text("\nnext, with your own CSV file: crmsync emulator, then crmsync init --csv FILE", style="dim"),
    ]
    return views


def _day(day: Day) -> str:
    return (
        f"{len(day.local)} edits here, {len(day.remote)} in the CRM ({len(day.clashes)} of the same field of the same"
        f" person), {len(day.opted_out)} opt-outs and {len(day.deleted)} deletes in the CRM."
    )


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _counts(report: RunReport) -> RenderableType:
    names = ("created", "updated", "deleted", "unchanged", "conflicts", "rejected", "echoes_dropped", "api_calls")
    rows = [(side, *(getattr(counts, name) for name in names)) for side, counts in _sides(report)]
    return tables.table("side", *(name.replace("_", " ") for name in names), rows=rows)


def _sides(report: RunReport) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return ("here", report.local), ("CRM", report.remote)
