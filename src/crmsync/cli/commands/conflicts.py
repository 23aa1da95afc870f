"""``crmsync conflicts list``, ``show`` and ``resolve``."""

from __future__ import annotations

from typing import Annotated, Final

import anyio
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import payloads, tables
from crmsync.cli.config import load_config
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    IntegrationOption,
    ObjectOption,
    Selection,
)
from crmsync.cli.output import Format, Output
from crmsync.cli.session import Session, open_session
from crmsync.errors import NotFoundError
from crmsync.models.records import Side
from crmsync.models.state import Conflict, ConflictStatus

_EVERY: Final = 1_000_000

app = typer.Typer(help="Look at conflicts, and decide those that wait.", no_args_is_help=True)

ConflictId = Annotated[
    str, typer.Argument(help="The id, from `crmsync conflicts list`; its beginning will do.", metavar="ID")
]
Winner = Annotated[Side, typer.Option("--winner", "-w", help="Whose value is kept and written to the other side.")]


@app.command("list")
def list_(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    integration: IntegrationOption = None,
    object_name: ObjectOption = None,
    show_all: Annotated[bool, typer.Option("--all", help="Also those that are decided or settled.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, oldest first.")] = 100,
    format_: FormatOption = Format.HUMAN,
) -> int:
    """List the conflicts that wait for a decision, with both values."""
    return anyio.run(_list, Selection(config, integration, object_name), show_all, limit, Output(format_))


@app.command()
def show(
    conflict_id: ConflictId,
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    integration: IntegrationOption = None,
    format_: FormatOption = Format.HUMAN,
) -> int:
    """Show one conflict."""
    return anyio.run(_show, Selection(config, integration), conflict_id, Output(format_))


@app.command()
def resolve(
    conflict_id: Annotated[str | None, typer.Argument(help="The id, or its beginning.", metavar="ID")] = None,
    *,
    winner: Winner,
    all_: Annotated[bool, typer.Option("--all", help="Decide every open conflict alike.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    integration: IntegrationOption = None,
    object_name: ObjectOption = None,
    format_: FormatOption = Format.HUMAN,
) -> int:
    """Decide a conflict. The next sync writes the winner to the other side."""
    if (conflict_id is None) is not all_:
        msg = "name one conflict by its id, or say --all"
        raise UsageProblemError(msg)
    return anyio.run(_resolve, Selection(config, integration, object_name), conflict_id, winner, Output(format_))


async def _list(selection: Selection, show_all: bool, limit: int, output: Output) -> int:
    config = load_config(selection.path)
    statuses = tuple(ConflictStatus) if show_all else (ConflictStatus.OPEN,)
    found: list[Conflict] = []
    async with open_session(config) as session:
        for section in await session.known(selection.integration):
            found += await session.crm.conflicts(section.id, selection.object_name, statuses=statuses, limit=limit)
    found = found[:limit]
    views: list[RenderableType] = [
        tables.conflicts_table(found)
        if found
        else Text("there are no conflicts" if show_all else "no conflict waits for a decision")
    ]
    if any(one.status is ConflictStatus.OPEN for one in found):
        views.append(Text("decide one with `crmsync conflicts resolve ID --winner local` (or remote)", style="dim"))
    payload = {"conflicts": [payloads.conflict_payload(one) for one in found]}
    output.result(payload, *views)
    return ExitCode.SUCCESS


async def _show(selection: Selection, conflict_id: str, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        found = await _find(session, selection.integration, conflict_id)
    output.result({"conflict": payloads.conflict_payload(found)}, tables.conflict_view(found))
    return ExitCode.SUCCESS


async def _resolve(selection: Selection, conflict_id: str | None, winner: Side, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        if conflict_id is not None:
            waiting = [await _find(session, selection.integration, conflict_id)]
        else:
            waiting = []
            for section in await session.known(selection.integration):
                waiting += await session.crm.conflicts(section.id, selection.object_name, limit=_EVERY)
        decided = [await session.crm.resolve_conflict(one.integration_id, one.id, winner) for one in waiting]
    text = f"{len(decided)} conflict(s) decided for {tables.SIDE_NAMES[winner]}; the next `crmsync sync` writes it"
    output.result({"conflicts": [payloads.conflict_payload(one) for one in decided]}, Text(text))
    return ExitCode.SUCCESS


async def _find(session: Session, integration: str | None, given: str) -> Conflict:
    """The conflict of this id, or of the only id that begins so."""
    found: list[Conflict] = []
    for section in await session.known(integration):
        try:
            return await session.crm.conflict(section.id, given)
        except NotFoundError:
            every = await session.crm.conflicts(section.id, statuses=tuple(ConflictStatus), limit=_EVERY)
            found += [one for one in every if one.id.startswith(given)]
    if len(found) > 1:
        raise UsageProblemError(f"{len(found)} conflicts have an id that begins with {given!r}: give more of it")
    if not found:
        raise NotFoundError(f"there is no conflict {given!r}")
    return found[0]
