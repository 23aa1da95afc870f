"""``crmsync plan`` and ``crmsync sync``."""

from __future__ import annotations

from typing import Annotated, Any, Final

import anyio
import typer
from rich.console import RenderableType

from crmsync.cli import payloads, tables
from crmsync.cli.config import load_config
from crmsync.cli.exits import exit_code_for, exit_code_of_runs
from crmsync.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    IntegrationOption,
    ObjectOption,
    Selection,
)
from crmsync.cli.output import Format, Output
from crmsync.cli.progress import ProgressObserver
from crmsync.cli.session import open_session
from crmsync.errors import CRMError
from crmsync.models.plans import Plan
from crmsync.models.runs import RunOptions, RunReport

_ROWS: Final = 50

MaxCalls = Annotated[int | None, typer.Option("--max-calls", min=1, help="Stop before more API calls than this.")]
AllowDeletes = Annotated[
    int | None, typer.Option("--allow-deletes", min=0, help="Allow this many deletes, instead of the mapping's guard.")
]
Full = Annotated[bool, typer.Option("--full", help="Read both sides from the start and compare everything.")]


def plan(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    integration: IntegrationOption = None,
    object_name: ObjectOption = None,
    max_calls: MaxCalls = None,
    full: Full = False,
    show_all: Annotated[bool, typer.Option("--all", help=f"Show every record, not the first {_ROWS}.")] = False,
    format_: FormatOption = Format.HUMAN,
) -> int:
    """Show what a sync would write on each side. Writes nothing."""
    given = {"max_calls": max_calls, "full": full or None}
    selection = Selection(config, integration, object_name)
    return anyio.run(_plan, selection, given, None if show_all else _ROWS, Output(format_))


def sync(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    integration: IntegrationOption = None,
    object_name: ObjectOption = None,
    max_calls: MaxCalls = None,
    allow_deletes: AllowDeletes = None,
    full: Full = False,
    format_: FormatOption = Format.HUMAN,
) -> int:
    """Bring both sides in step. Run it again at any time: it goes on where it stopped."""
    given = {"max_calls": max_calls, "allow_deletes": allow_deletes, "full": full or None}
    return anyio.run(_sync, Selection(config, integration, object_name), given, Output(format_))


async def _plan(selection: Selection, given: dict[str, Any], limit: int | None, output: Output) -> int:
    config = load_config(selection.path)
    options = _options(config.content.run, given)
    progress = ProgressObserver(output.err)
    plans: list[Plan] = []
    async with open_session(config, [progress]) as session, session.local() as local:
        for target in session.targets(selection):
            await session.register(target.integration)
            await session.check(target, local)
            with progress.drawing(enabled=output.interactive), session.locating(target):
                plans.append(await session.crm.plan(target.integration.id, target.object_name, local, options=options))
    shown: list[RenderableType] = []
    for made in plans:
        shown += tables.report_views(made.report)
        if made.records:
            shown.append(tables.plan_table(made, limit))
    output.result({"plans": [payloads.plan_payload(made) for made in plans]}, *shown)
    return exit_code_of_runs([made.report.status for made in plans])


async def _sync(selection: Selection, given: dict[str, Any], output: Output) -> int:
    config = load_config(selection.path)
    options = _options(config.content.run, given)
    progress = ProgressObserver(output.err)
    reports: list[RunReport] = []
    try:
        async with open_session(config, [progress]) as session, session.local() as local:
            for target in session.targets(selection):
                await session.register(target.integration)
                await session.check(target, local)
                with progress.drawing(enabled=output.interactive), session.locating(target):
                    run = session.crm.sync(target.integration.id, target.object_name, local, options=options)
                    reports.append(await run)
                output.show(*tables.report_views(reports[-1]))
    except CRMError as error:
        if not reports:
            raise
        output.error(error, beside={"runs": [payloads.report_payload(report) for report in reports]})
        return exit_code_for(error)
    output.result({"runs": [payloads.report_payload(report) for report in reports]})
    return exit_code_of_runs([report.status for report in reports])


def _options(defaults: RunOptions, given: dict[str, Any]) -> RunOptions:
    return defaults.model_copy(update={name: value for name, value in given.items() if value is not None})
