"""``crmsync links list``, ``show``, ``link`` and ``unlink``; ``crmsync pause`` and ``resume``."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import anyio
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import payloads, record_views, tables
from crmsync.cli.config import load_config
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.interruption import run_interruptible
from crmsync.cli.options import OfIntegration, OfObject, Selection, Shown, grouped
from crmsync.cli.output import Output
from crmsync.cli.run_exits import exit_code_of_runs
from crmsync.cli.session import open_session
from crmsync.cli.targets import find_links, known_targets, one_target
from crmsync.errors import NotFoundError
from crmsync.models.state import Link, LinkStatus

app = typer.Typer(help="Look at which records belong together; link and separate them by hand.", no_args_is_help=True)

RecordId = Annotated[str, typer.Argument(help="The record's id on either side.", metavar="ID")]


@app.command("list")
@grouped
def list_(
    *,
    selection: OfObject,
    status: Annotated[list[LinkStatus] | None, typer.Option("--status", "-s", help="Only these; repeatable.")] = None,
    after: Annotated[str, typer.Option("--after", help="Begin after this local id.", metavar="ID")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, in order of the local id.")] = 100,
    output: Shown,
) -> int:
    """List links: pairs of records, and those that wait for a counterpart."""
    return anyio.run(_list, selection, tuple(status or ()), after, limit, output)


@app.command()
@grouped
def show(record_id: RecordId, *, selection: OfObject, output: Shown) -> int:
    """Show what is known of one record: its counterpart, status and problems."""
    return anyio.run(_show, selection, record_id, output)


@app.command("link")
@grouped
def link_(
    markmail_id: Annotated[str, typer.Argument(help="The local record's id.", metavar="LOCAL_ID")],
    crm_id: Annotated[str, typer.Argument(help="The id of the CRM's record.", metavar="CRM_ID")],
    *,
    selection: OfObject,
    output: Shown,
) -> int:
    """Make a pair of two records and merge them now, as if they met for the first time."""
    return run_interruptible(_link, selection, markmail_id, crm_id, output)


@app.command()
@grouped
def unlink(record_id: RecordId, *, selection: OfObject, output: Shown) -> int:
    """Separate a pair. Both records live on, and no sync links them by itself again."""
    return run_interruptible(_unlink, selection, record_id, output)


@grouped
def pause(*, selection: OfIntegration, output: Shown) -> int:
    """Refuse syncs until `crmsync resume`. Changes are taken in by the first sync after it."""
    return anyio.run(partial(_enable, selection, output, enabled=False))


@grouped
def resume(*, selection: OfIntegration, output: Shown) -> int:
    """Allow syncs again."""
    return anyio.run(partial(_enable, selection, output, enabled=True))


async def _list(selection: Selection, statuses: tuple[LinkStatus, ...], after: str, limit: int, output: Output) -> int:
    found: list[Link] = []
    async with open_session(load_config(selection.path)) as session:
        for target in await known_targets(session, selection):
            room = limit - len(found)
            if room:
                found += await session.crm.links(
                    target.integration.id, target.object_name, statuses=statuses, after=after, limit=room
                )
    view: RenderableType = record_views.links_table(found) if found else Text("there are no such links")
    output.result({"links": [payloads.link_payload(one) for one in found]}, view)
    return ExitCode.SUCCESS


async def _show(selection: Selection, record_id: str, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        found = await find_links(session, selection, record_id)
    output.result({"links": [payloads.link_payload(one) for one in found]}, *map(record_views.link_view, found))
    return ExitCode.SUCCESS


async def _link(selection: Selection, markmail_id: str, crm_id: str, output: Output) -> int:
    config = load_config(selection.path)
    async with open_session(config) as session:
        target = one_target(session, selection)
        local = await session.prepare(target)
        with session.locating(target):
            report = await session.crm.link(
                target.integration.id,
                target.object_name,
                local,
                markmail_id=markmail_id,
                crm_id=crm_id,
                options=config.content.run,
            )
    head = Text(f"{markmail_id} and {crm_id} are linked")
    output.result({"runs": [payloads.report_payload(report)]}, head, *tables.report_views(report))
    return exit_code_of_runs([report.status])


async def _unlink(selection: Selection, record_id: str, output: Output) -> int:
    config = load_config(selection.path)
    async with open_session(config) as session:
        found = await find_links(session, selection, record_id)
        if len(found) > 1:
            raise UsageProblemError(f"{record_id!r} is known in several places: say which with --object or -i")
        target = one_target(session, Selection(selection.path, found[0].integration_id, found[0].entity_type))
        local = await session.prepare(target)
        with session.locating(target):
            apart = await session.crm.unlink(
                target.integration.id, target.object_name, local, record_id=record_id, options=config.content.run
            )
    text = f"{apart.markmail_id} and {apart.crm_id} are separated; `crmsync links link` undoes it"
    output.result({"links": [payloads.link_payload(apart)]}, Text(text))
    return ExitCode.SUCCESS


async def _enable(selection: Selection, output: Output, *, enabled: bool) -> int:
    switched: dict[str, bool] = {}
    async with open_session(load_config(selection.path)) as session:
        known = await session.known(selection.integration)
        if not known:
            raise NotFoundError(
                "the bookkeeping knows no integration yet; run `crmsync connect` or `crmsync sync` first"
            )
        change = session.crm.resume if enabled else session.crm.pause
        for section in known:
            switched[section.id] = (await change(section.id)).sync_enabled
    words = "may sync again" if enabled else "is paused; `crmsync resume` allows syncs again"
    output.result({"sync_enabled": switched}, *(Text(f"{name} {words}") for name in switched))
    return ExitCode.SUCCESS
