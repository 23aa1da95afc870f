"""``crmsync plan`` and ``crmsync sync``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

import typer
from rich.console import RenderableType

from crmsync.cli import payloads, tables
from crmsync.cli.config import load_config
from crmsync.cli.exits import exit_code_for
from crmsync.cli.interruption import run_interruptible
from crmsync.cli.options import OfObject, Selection, Shown, grouped, run_options
from crmsync.cli.output import Output
from crmsync.cli.progress import ProgressObserver
from crmsync.cli.run_exits import exit_code_of_runs
from crmsync.cli.session import open_session
from crmsync.cli.stopped_runs import StoppedRuns
from crmsync.cli.waiting import patience, when_free
from crmsync.errors import CRMError
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
    async with open_session(config, [progress]) as session:
        for target, local in await session.opened(selection):
            await session.register(target.integration)
            await session.check(target, local)
            run = partial(session.plan, target, local, options)
            with progress.drawing(enabled=output.interactive), session.locating(target):
                plans.append(await when_free(run, patience(wait, options), output))
    shown: list[RenderableType] = []
    for made in plans:
        shown += [*tables.report_views(made.report), *tables.call_views(made)]
        if made.records:
            shown.append(tables.plan_table(made, limit))
    output.result({"plans": [payloads.plan_payload(made) for made in plans]}, *shown)
    return exit_code_of_runs([made.report.status for made in plans])


async def _sync(selection: Selection, given: dict[str, Any], wait: float | None, output: Output) -> int:
    config = load_config(selection.path)
    options = run_options(config.content.run, given)
    progress = ProgressObserver(output.err)
    reports: list[RunReport] = []
    stops = StoppedRuns()
    try:
        async with open_session(config, [progress]) as session:
            targets = await session.opened(selection)
            for target, local in targets:
                if stops.hold(target, session.parents(target)):
                    continue
                await session.register(target.integration)
                await session.check(target, local)
                run = partial(session.crm.sync, target.integration.id, target.object_name, local, options=options)
                with (
                    stops.noting(target, output),
                    progress.drawing(enabled=output.interactive),
                    session.locating(target),
                ):
                    await session.adopt(target, local)
                    reports.append(await when_free(run, patience(wait, options), output))
                    output.show(*tables.report_views(reports[-1]))
    except CRMError as error:
        if not reports and not stops:
            raise
        output.error(error, beside=_ended(reports, stops))
        return exit_code_for(error)
    output.result(_ended(reports, stops))
    if stops and len(targets) > 1:
        output.note(stops.summary())
    return exit_code_of_runs([*(report.status for report in reports), *stops.statuses])


def _ended(reports: Sequence[RunReport], stops: StoppedRuns) -> dict[str, Any]:
    return {"runs": [payloads.report_payload(report) for report in reports], **stops.payload()}
