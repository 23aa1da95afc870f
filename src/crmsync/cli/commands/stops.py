"""``crmsync stops list``, ``show``, ``approve`` and ``drop``."""

from __future__ import annotations

from typing import Annotated, Final

import anyio
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import payloads, stop_views
from crmsync.cli.config import load_config
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.interruption import run_interruptible
from crmsync.cli.options import OfObject, Selection, Shown, grouped, login_name
from crmsync.cli.output import Output
from crmsync.cli.session import Session, Target, open_session
from crmsync.cli.targets import known_targets
from crmsync.errors import NotFoundError
from crmsync.models.stops import Stop

app = typer.Typer(help="Look at what stopped runs would have done; approve or drop it.", no_args_is_help=True)

_RECORDS: Final = 50


@app.command("list")
@grouped
def list_(*, selection: OfObject, output: Shown) -> int:
    """List the runs that a guard has stopped and nothing was done about yet."""
    return anyio.run(_list, selection, output)


@app.command()
@grouped
def show(
    *,
    selection: OfObject,
    anew: Annotated[bool, typer.Option("--anew", help="Find out again what a run would do now.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help=f"Show every record, not the first {_RECORDS}.")] = False,
    output: Shown,
) -> int:
    """Show what a stopped run would have done: counts, fields, ids, and the digest to approve. Writes nothing."""
    return run_interruptible(_show, selection, anew, None if show_all else _RECORDS, output)


@app.command()
@grouped
def approve(
    digest: Annotated[str, typer.Argument(help="The plan's digest, as `stops show` says it.", metavar="DIGEST")],
    *,
    by: Annotated[str | None, typer.Option("--by", help="Who approves it; by default your login name.")] = None,
    selection: OfObject,
    output: Shown,
) -> int:
    """Let the next sync carry out exactly this plan, past the guards."""
    return anyio.run(_approve, selection, digest, by or _approver(), output)


@app.command()
@grouped
def drop(*, selection: OfObject, output: Shown) -> int:
    """Forget a stop with its plan. The next sync stops again if what it would do is still too much."""
    return anyio.run(_drop, selection, output)


async def _list(selection: Selection, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        found = [stop for _, stop in await _stops(session, selection)]
    view: RenderableType = stop_views.stops_table(found) if found else Text("no run is stopped")
    output.result({"stops": [payloads.stop_payload(stop) for stop in found]}, view)
    return ExitCode.SUCCESS


async def _show(selection: Selection, anew: bool, limit: int | None, output: Output) -> int:
    config = load_config(selection.path)
    async with open_session(config) as session:
        target = await _only(session, selection)
        local = await session.prepare(target)
        stop = await session.crm.stopped_plan(
            target.integration.id, target.object_name, local, anew=anew, options=config.content.run
        )
        records = await session.crm.stopped_records(target.integration.id, target.object_name, limit=limit)
    whole = payloads.stop_payload(stop, with_digest=True)
    payload = {**whole, "records": [payloads.stopped_record_payload(one) for one in records]}
    output.result({"stop": payload}, *stop_views.stop_views(stop, records))
    return ExitCode.SUCCESS


async def _approve(selection: Selection, digest: str, by: str, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        target = await _only(session, selection)
        (waiting,) = await session.crm.stops(target.integration.id, target.object_name)
        if waiting.plan is None:
            raise NotFoundError("nobody has looked at what it would do: `crmsync stops show` says so, and the digest")
        stop = await session.crm.approve_stop(target.integration.id, target.object_name, digest, by=by)
    done = Text(f"approved by {stop.approved_by}; the next `crmsync sync` carries out exactly this plan")
    output.result({"stop": payloads.stop_payload(stop)}, done)
    return ExitCode.SUCCESS


async def _drop(selection: Selection, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        target = await _only(session, selection)
        stop = await session.crm.drop_stop(target.integration.id, target.object_name)
    done = Text(
        "dropped; nothing was written, and the next `crmsync sync` stops again unless what it would do is mended"
    )
    output.result({"stop": payloads.stop_payload(stop)}, done)
    return ExitCode.SUCCESS


async def _stops(session: Session, selection: Selection) -> list[tuple[Target, Stop]]:
    """The stops of all that is selected, and known to the bookkeeping."""
    return [
        (target, stop)
        for target in await known_targets(session, selection)
        for stop in await session.crm.stops(target.integration.id, target.object_name)
    ]


async def _only(session: Session, selection: Selection) -> Target:
    """The object whose run is stopped.

    :raises NotFoundError: none is. :raises UsageProblemError: several are.
    """
    found = [target for target, _ in await _stops(session, selection)]
    if not found:
        raise NotFoundError("no run is stopped: `crmsync logs` lists the last ones")
    if len(found) > 1:
        names = ", ".join(f"-i {target.integration.id} -o {target.object_name}" for target in found)
        raise UsageProblemError(f"several runs are stopped; say which: {names}")
    return found[0]


def _approver() -> str:
    name = login_name()
    if not name:
        raise UsageProblemError("your login name is unknown; say who approves it with --by NAME")
    return name
