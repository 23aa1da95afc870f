"""``crmsync plan`` and ``crmsync sync``."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Final

import typer
from rich.console import RenderableType

from crmsync.cli import payloads, tables
from crmsync.cli.config import load_config
from crmsync.cli.in_turn import RunsInTurn
from crmsync.cli.interruption import run_interruptible
from crmsync.cli.options import OfObject, Selection, Shown, grouped, run_options
from crmsync.cli.output import Output
from crmsync.cli.progress import ProgressObserver
from crmsync.cli.session import open_session
from crmsync.cli.waiting import patience, when_free
from crmsync.models.plans import Plan
from crmsync.models.runs import RunReport

_ROWS: Final = 50

MaxCalls = Annotated[int | None, typer.Option("--max-calls", min=1, help="Stop before more API calls than this.")]
AllowDeletes = Annotated[
    int | None, typer.Option("--allow-deletes", min=0, help="Allow this many deletes, instead of the mapping's guard.")
]
AllowOverwrites = Annotated[
    int | None,
    typer.Option(
        "--allow-overwrites", min=0, help="Allow to overwrite this many values a side, instead of the mapping's guard."
    ),
]
Wait = Annotated[
    float | None,
    typer.Option(
        "--wait",
        min=0,
        help="Seconds to wait for another run to end; by default as long as one that was killed keeps others out.",
    ),
]
FromScratch = Annotated[
    bool,
    typer.Option("--from-scratch", help="Read everything and merge linked records as if they had never met."),
]
Full = Annotated[bool, typer.Option("--full", help="Read both sides from the start and compare everything.")]


@grouped
def plan(
    *,
    selection: OfObject,
    max_calls: MaxCalls = None,
    full: Full = False,
    from_scratch: FromScratch = False,
    wait: Wait = None,
    show_all: Annotated[bool, typer.Option("--all", help=f"Show every record, not the first {_ROWS}.")] = False,
    output: Shown,
) -> int:
    """Show what a sync would write on each side. Writes nothing."""
    given = {"max_calls": max_calls, "full": full or None, "from_scratch": from_scratch or None}
    return run_interruptible(_plan, selection, given, wait, None if show_all else _ROWS, output)


@grouped
def sync(
    *,
    selection: OfObject,
    max_calls: MaxCalls = None,
    allow_deletes: AllowDeletes = None,
    allow_overwrites: AllowOverwrites = None,
    full: Full = False,
    from_scratch: FromScratch = False,
    wait: Wait = None,
    output: Shown,
) -> int:
    """Bring both sides in step. Run it again at any time: it goes on where it stopped."""
    given = {
        "max_calls": max_calls,
        "allow_deletes": allow_deletes,
        "allow_overwrites": allow_overwrites,
        "full": full or None,
        "from_scratch": from_scratch or None,
    }
    return run_interruptible(_sync, selection, given, wait, output)


async def _plan(
    selection: Selection, given: dict[str, Any], wait: float | None, limit: int | None, output: Output
) -> int:
    config = load_config(selection.path)
    options = run_options(config.content.run, given)
    progress = ProgressObserver(output.err)
    plans: list[Plan] = []
    turns = RunsInTurn(output)
    with turns.ending():
        async with open_session(config, [progress]) as session:
            for target, local in turns.each(await session.opened(selection)):
                await session.register(target.integration)
                await session.check(target, local)
                run = partial(session.plan, target, local, options)
                with turns.noting(target), progress.drawing(enabled=output.interactive), session.locating(target):
                    plans.append(await when_free(run, patience(wait, options), output))
                    turns.statuses.append(plans[-1].report.status)
    shown: list[RenderableType] = []
    for made in plans:
        shown += [*tables.report_views(made.report), *tables.call_views(made)]
        if made.records:
            shown.append(tables.plan_table(made, limit))
    return turns.end({"plans": [payloads.plan_payload(made) for made in plans]}, *shown)


async def _sync(selection: Selection, given: dict[str, Any], wait: float | None, output: Output) -> int:
    config = load_config(selection.path)
    options = run_options(config.content.run, given)
    progress = ProgressObserver(output.err)
    reports: list[RunReport] = []
    turns = RunsInTurn(output)
    with turns.ending():
        async with open_session(config, [progress]) as session:
            for target, local in turns.each(await session.opened(selection), session.parents):
                await session.register(target.integration)
                await session.check(target, local)
                run = partial(session.crm.sync, target.integration.id, target.object_name, local, options=options)
                with turns.noting(target), progress.drawing(enabled=output.interactive), session.locating(target):
                    await session.adopt(target, local)
                    reports.append(await when_free(run, patience(wait, options), output))
                    turns.statuses.append(reports[-1].status)
                    output.show(*tables.report_views(reports[-1]))
    return turns.end({"runs": [payloads.report_payload(report) for report in reports]})
