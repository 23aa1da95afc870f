"""``crmsync rejects list``, ``show``, ``retry``, ``ignore``, ``unignore`` and ``link``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final

import anyio
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import payloads, record_views, tables
from crmsync.cli.config import load_config
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.in_turn import RunsInTurn
from crmsync.cli.interruption import run_interruptible
from crmsync.cli.options import OfObject, Selection, Shown, grouped
from crmsync.cli.output import Output
from crmsync.cli.run_exits import exit_code_of_runs
from crmsync.cli.session import Session, Target, open_session
from crmsync.cli.targets import find_links, known_targets
from crmsync.models.inbox import Reject
from crmsync.models.runs import RunReport
from crmsync.models.state import LinkStatus

_WAITING: Final = (LinkStatus.REJECTED, LinkStatus.QUARANTINED)

app = typer.Typer(
    help="Look at the records that could not be synced; retry them, ignore them, choose a counterpart.",
    no_args_is_help=True,
)

RecordId = Annotated[str, typer.Argument(help="The record's id on either side.", metavar="ID")]
RecordIds = Annotated[list[str], typer.Argument(help="The records' ids on either side.", metavar="ID...")]


@app.command("list")
@grouped
def list_(
    *,
    selection: OfObject,
    show_all: Annotated[bool, typer.Option("--all", help="Also those that are ignored.")] = False,
    after: Annotated[str, typer.Option("--after", help="Begin after this local id.", metavar="ID")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, in order of the local id.")] = 100,
    output: Shown,
) -> int:
    """List the records that could not be synced, with the reason and what to do."""
    statuses = (*_WAITING, LinkStatus.IGNORED) if show_all else _WAITING
    return anyio.run(_list, selection, statuses, after, limit, output)


@app.command()
@grouped
def show(record_id: RecordId, *, selection: OfObject, output: Shown) -> int:
    """Show what is wrong with one record."""
    return anyio.run(_show, selection, record_id, output)


@app.command()
@grouped
def retry(
    record_ids: Annotated[
        list[str] | None, typer.Argument(help="The records' ids on either side; none: all.", metavar="ID...")
    ] = None,
    *,
    selection: OfObject,
    output: Shown,
) -> int:
    """Try records again now, without reading anything else."""
    return run_interruptible(_retry, selection, record_ids or [], output)


@app.command()
@grouped
def ignore(record_ids: RecordIds, *, selection: OfObject, output: Shown) -> int:
    """Leave records as they are: no sync tries them again until they or the mapping change."""
    return anyio.run(partial(_ignore, selection, record_ids, output, ignored=True))


@app.command()
@grouped
def unignore(record_ids: RecordIds, *, selection: OfObject, output: Shown) -> int:
    """Let the next sync try ignored records again."""
    return anyio.run(partial(_ignore, selection, record_ids, output, ignored=False))


@app.command()
@grouped
def link(
    record_id: RecordId,
    *,
    candidate: Annotated[
        str | None, typer.Option("--candidate", help="The other side's record that it belongs to.", metavar="ID")
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="It belongs to none: create its counterpart.")] = False,
    selection: OfObject,
    output: Shown,
) -> int:
    """Say which of its candidates a record belongs to, and merge the two now; or create a new counterpart."""
    if (candidate is None) is not new:
        raise UsageProblemError("say --candidate ID or --new; `crmsync rejects show ID` lists the candidates")
    return run_interruptible(_link, selection, record_id, candidate, output)


async def _list(selection: Selection, statuses: Sequence[LinkStatus], after: str, limit: int, output: Output) -> int:
    found: list[Reject] = []
    async with open_session(load_config(selection.path)) as session:
        for target in await known_targets(session, selection):
            if room := limit - len(found):
                found += await session.crm.rejects(
                    target.integration.id, target.object_name, statuses=statuses, after=after, limit=room
                )
    view: RenderableType = record_views.rejects_table(found) if found else Text("no record waits")
    output.result({"rejects": [payloads.reject_payload(one) for one in found]}, view)
    return ExitCode.SUCCESS


async def _show(selection: Selection, record_id: str, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        (target, _), *_ = await _grouped(session, selection, [record_id])
        found = await session.crm.reject(target.integration.id, target.object_name, record_id)
    output.result({"reject": payloads.reject_payload(found)}, record_views.reject_view(found))
    return ExitCode.SUCCESS


async def _retry(selection: Selection, record_ids: Sequence[str], output: Output) -> int:
    reports: list[RunReport] = []
    config = load_config(selection.path)
    turns = RunsInTurn(output)
    with turns.ending():
        async with open_session(config) as session:
            due: list[tuple[Target, list[str] | None]] = [
                (target, None) for target in await known_targets(session, selection)
            ]
            if record_ids:
                due = [*await _grouped(session, selection, record_ids)]
            for target, named in turns.each(due, session.parents):
                retry = partial(session.crm.retry_rejects, target.integration.id, target.object_name, record_ids=named)
                with turns.noting(target):
                    local = await session.prepare(target)
                    with session.locating(target):
                        reports.append(await retry(local=local, options=config.content.run))
                    turns.statuses.append(reports[-1].status)
    views = [view for report in reports for view in tables.report_views(report)]
    return turns.end({"runs": [payloads.report_payload(report) for report in reports]}, *views)


async def _ignore(selection: Selection, record_ids: Sequence[str], output: Output, *, ignored: bool) -> int:
    marked: list[Reject] = []
    async with open_session(load_config(selection.path)) as session:
        mark = session.crm.ignore_rejects if ignored else session.crm.unignore_rejects
        for target, named in await _grouped(session, selection, record_ids):
            marked += await mark(target.integration.id, target.object_name, named)
    then = "are ignored until they or the mapping change" if ignored else "are tried again by the next `crmsync sync`"
    text = Text(f"{len(marked)} record(s) {then}")
    output.result({"rejects": [payloads.reject_payload(one) for one in marked]}, text)
    return ExitCode.SUCCESS


async def _link(selection: Selection, record_id: str, candidate: str | None, output: Output) -> int:
    config = load_config(selection.path)
    async with open_session(config) as session:
        ((target, _),) = await _grouped(session, selection, [record_id])
        local = await session.prepare(target)
        with session.locating(target):
            report = await session.crm.choose_candidate(
                target.integration.id,
                target.object_name,
                local,
                record_id=record_id,
                candidate_id=candidate,
                options=config.content.run,
            )
    output.result({"runs": [payloads.report_payload(report)]}, *tables.report_views(report))
    return exit_code_of_runs([report.status])


async def _grouped(session: Session, selection: Selection, record_ids: Sequence[str]) -> list[tuple[Target, list[str]]]:
    """The records by the object that knows them, in the order of runs."""
    groups: dict[tuple[str, str], list[str]] = {}
    for record_id in record_ids:
        places = [(one.integration_id, one.entity_type) for one in await find_links(session, selection, record_id)]
        if len(places) > 1:
            raise UsageProblemError(f"{record_id!r} is known in several places: say which with --object or -i")
        groups.setdefault(places[0], []).append(record_id)
    known = await known_targets(session, selection)
    return [(one, named) for one in known if (named := groups.get((one.integration.id, one.object_name)))]
