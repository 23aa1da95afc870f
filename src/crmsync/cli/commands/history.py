"""``crmsync history`` and ``undo``."""

from __future__ import annotations

from typing import Annotated, Any

import anyio
import attrs
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import payloads, tables
from crmsync.cli.config import load_config
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.interruption import run_interruptible
from crmsync.cli.options import OfObject, Selection, Shown, grouped, run_options
from crmsync.cli.output import Output, plain
from crmsync.cli.run_exits import exit_code_of_runs
from crmsync.cli.session import Session, Target, open_session
from crmsync.cli.targets import known_targets
from crmsync.errors import NotFoundError
from crmsync.models.history import RecordChange, untagged
from crmsync.models.runs import RunReport

RunId = Annotated[str, typer.Argument(help="The run, from `crmsync logs`; its beginning will do.", metavar="RUN_ID")]


@grouped
def history(
    record_id: Annotated[
        str | None, typer.Argument(help="A record's id on either side; by default all.", metavar="ID")
    ] = None,
    *,
    selection: OfObject,
    run: Annotated[str | None, typer.Option("--run", help="What one run wrote.", metavar="RUN_ID")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many writes, newest first.")] = 50,
    output: Shown,
) -> int:
    """Show what syncs wrote, field by field. Objects with `history_days` in the configuration have a history."""
    return anyio.run(_history, selection, record_id, run, limit, output)


@grouped
def undo(
    run_id: RunId,
    *,
    selection: OfObject,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written.")] = False,
    allow_deletes: Annotated[
        int | None, typer.Option("--allow-deletes", min=0, help="Allow so many deletes of records that it created.")
    ] = None,
    output: Shown,
) -> int:
    """Take back what a run wrote on both sides, as far as nobody changed it since."""
    return run_interruptible(_undo, selection, run_id, allow_deletes, dry_run, output)


async def _history(selection: Selection, record_id: str | None, run: str | None, limit: int, output: Output) -> int:
    found: list[RecordChange] = []
    records = [record_id] if record_id else []
    async with open_session(load_config(selection.path)) as session:
        for target in await known_targets(session, selection):
            run_id = (await _run_of(session, target, run))[0] if run else None
            found += await session.crm.history(
                target.integration.id, target.object_name, run_id=run_id, record_ids=records, limit=limit
            )
    found = sorted(found, key=lambda one: one.id, reverse=True)[:limit]
    none = Text("nothing is kept; objects with `history_days` in the configuration have a history")
    view: RenderableType = _table(found) if found else none
    output.result({"changes": [_payload(one) for one in found]}, view)
    return ExitCode.SUCCESS


async def _undo(selection: Selection, given: str, allow_deletes: int | None, dry_run: bool, output: Output) -> int:
    config = load_config(selection.path)
    options = run_options(config.content.run, {"allow_deletes": allow_deletes})
    async with open_session(config) as session:
        target, run_id = await _target_of(session, selection, given)
        place = (target.integration.id, target.object_name, await session.prepare(target))
        with session.locating(target):
            if dry_run:
                preview = await session.crm.preview_undo(*place, run_id=run_id, options=options)
                report, records = preview.report, preview.records
                head: RenderableType = tables.writes_table(records, f"{len(records)} write(s) to take back")
            else:
                report = await session.crm.undo(*place, run_id=run_id, options=options)
                head = Text(_told(run_id, report))
    output.result({"run": run_id, "undo": payloads.report_payload(report)}, head, *tables.report_views(report))
    return _exit_code(report)


def _told(run_id: str, report: RunReport) -> str:
    if not report.problem_count:
        return f"what run {run_id} wrote is taken back"
    left = f"{report.written} write(s) of run {run_id} are taken back, wholly or in part"
    return f"{left}; the problems below say what could not be"


def _exit_code(report: RunReport) -> int:
    return ExitCode.PARTIAL if report.problems else exit_code_of_runs([report.status])


async def _run_of(session: Session, target: Target, given: str) -> list[str]:
    """The runs of an object whose id begins so; a full id that the log has forgotten stands for itself."""
    logs = await session.crm.logs(target.integration.id, target.object_name, limit=10_000)
    return [log.id for log in logs if log.id.startswith(given)] or [given]


async def _target_of(session: Session, selection: Selection, given: str) -> tuple[Target, str]:
    """The one object that has a history of a run, and the run's whole id."""
    found = [
        (target, run_id)
        for target in await known_targets(session, selection)
        for run_id in await _run_of(session, target, given)
        if await session.crm.history(target.integration.id, target.object_name, run_id=run_id, limit=1)
    ]
    if len(found) > 1:
        raise UsageProblemError(f"{len(found)} runs have an id that begins with {given!r}: give more of it")
    if not found:
        raise NotFoundError(f"no history of a run {given!r} is kept; objects with `history_days` have one")
    return found[0]


def _table(changes: list[RecordChange]) -> RenderableType:
    rows = [
        (
            f"{one.written_at:%Y-%m-%d %H:%M:%S}" if one.written_at and not n else "",
            Text(f"{plain(one.markmail_id)}\n{plain(one.crm_id or '')}") if not n else "",
            f"{one.kind.value} {tables.SIDE_NAMES[one.side]}" if not n else "",
            field.field,
            tables.shown_value(untagged(field.before)),
            tables.shown_value(untagged(field.after)),
            field.cause,
            one.run_id[: tables.SHORT_ID] if not n else "",
        )
        for one in changes
        for n, field in enumerate(one.fields)
    ]
    return tables.table("written (UTC)", "record", "write", "field", "before", "after", "because", "run", rows=rows)


def _payload(one: RecordChange) -> dict[str, Any]:
    fields = [
        {**attrs.asdict(f), "before": payloads.value(untagged(f.before)), "after": payloads.value(untagged(f.after))}
        for f in one.fields
    ]
    return {
        "id": one.id,
        "integration_id": one.integration_id,
        "entity_type": one.entity_type,
        "run_id": one.run_id,
        "side": one.side.value,
        "kind": one.kind.value,
        "markmail_id": one.markmail_id,
        "crm_id": one.crm_id,
        "written_at": one.written_at.isoformat() if one.written_at else None,
        "fields": fields,
    }
