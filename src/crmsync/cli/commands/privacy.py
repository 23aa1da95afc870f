"""``crmsync privacy map``, ``export``, ``erase``, ``verify``, ``allow`` and ``purge``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio
import attrs
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import tables
from crmsync.cli.config import load_config
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.options import InFile, OfIntegration, Selection, Shown, grouped, login_name
from crmsync.cli.output import Format, Output
from crmsync.cli.session import Session, Target, open_session
from crmsync.models.erasure import Person
from crmsync.models.privacy import ErasureReport, FieldPlaces, PersonalData
from crmsync.models.records import Side
from crmsync.protocols.records import RecordStore

app = typer.Typer(help="What is held about a person; erase a person; where values are kept.", no_args_is_help=True)

Emails = Annotated[list[str] | None, typer.Option("--email", help="An e-mail of the person.", metavar="EMAIL")]
LocalIds = Annotated[list[str] | None, typer.Option("--local-id", help="A local id of the person.", metavar="ID")]
CrmIds = Annotated[list[str] | None, typer.Option("--crm-id", help="An id of the person in the CRM.", metavar="ID")]


@app.command("map")
@grouped
def map_(*, selection: OfIntegration, output: Shown) -> int:
    """Show where the values of each mapped field can be, beside the two sides, and for how long."""
    return anyio.run(_map, selection, output)


@app.command()
@grouped
def export(*, email: Emails = None, local_id: LocalIds = None, crm_id: CrmIds = None, selection: OfIntegration) -> int:
    """Print everything held about a person, on both sides and in the bookkeeping, as JSON."""
    person = _person(email, local_id, crm_id)
    return anyio.run(_export, selection, person, Output(Format.JSON))


@app.command()
@grouped
def erase(
    *,
    email: Emails = None,
    local_id: LocalIds = None,
    crm_id: CrmIds = None,
    keep_records: Annotated[
        bool, typer.Option("--keep-records", help="Erase from the bookkeeping; leave the records on both sides.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it only what would be erased is shown.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Stands in the report; do not name the person.")] = "",
    by: Annotated[str | None, typer.Option("--by", help="Who asked for it; by default your login name.")] = None,
    selection: OfIntegration,
    output: Shown,
) -> int:
    """Erase a person from both sides and the bookkeeping, and never take them in again. Cannot be undone."""
    order = _Order(
        _person(email, local_id, crm_id), () if keep_records else tuple(Side), yes, by or login_name(), reason
    )
    return anyio.run(_erase, selection, order, output)


@app.command()
@grouped
def verify(
    report: Annotated[Path, typer.Argument(help="What `privacy erase --format json` printed.", metavar="FILE")],
    *,
    selection: InFile,
    output: Shown,
) -> int:
    """Tell whether a report of an erasure was made here, and says what it said then."""
    return anyio.run(_verify, selection, _reports(report), output)


@app.command()
@grouped
def allow(
    *,
    email: Emails = None,
    local_id: LocalIds = None,
    crm_id: CrmIds = None,
    selection: OfIntegration,
    output: Shown,
) -> int:
    """Let a person who was erased be taken in again, who came back of their own will."""
    return anyio.run(_allow, selection, _person(email, local_id, crm_id), output)


@app.command()
@grouped
def purge(*, selection: OfIntegration, output: Shown) -> int:
    """Forget now what is older than the mappings keep it. Each sync does the same by itself."""
    return anyio.run(_purge, selection, output)


@attrs.frozen
class _Order:
    """An erasure as it was asked for."""

    person: Person
    sides: tuple[Side, ...]
    given: bool
    by: str
    reason: str


def _person(emails: Sequence[str] | None, local_ids: Sequence[str] | None, crm_ids: Sequence[str] | None) -> Person:
    person = Person(*(frozenset(each.strip() for each in some or ()) - {""} for some in (emails, local_ids, crm_ids)))
    if not (person.emails or person.markmail_ids or person.crm_ids):
        raise UsageProblemError("say who is meant: --email, --local-id or --crm-id")
    return person


def _reports(path: Path) -> list[ErasureReport]:
    try:
        given = json.loads(path.read_text("utf-8"))["erasures"]
        return [ErasureReport.model_validate(one) for one in given]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UsageProblemError(f"{path} is no report: keep what `privacy erase --format json` prints") from None


async def _map(selection: Selection, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        found = {one.id: await session.crm.data_map(one.id) for one in await session.known(selection.integration)}
    rows = [(name, *_place(one)) for name, places in found.items() for one in places]
    columns = ("integration", "object", "local field", "CRM field", "conflicts", "history", "shadows")
    payload = [{"integration_id": name, **attrs.asdict(one)} for name, places in found.items() for one in places]
    none: RenderableType = Text("nothing was synced yet")
    output.result({"fields": payload}, tables.table(*columns, rows=rows) if rows else none)
    return ExitCode.SUCCESS


def _place(one: FieldPlaces) -> tuple[str, ...]:
    conflicts = "masked" if one.sensitive else f"{one.conflict_days} days" if one.conflict_days else "while it waits"
    history = "no" if not one.history_days else "masked" if one.sensitive else f"{one.history_days} days"
    return (one.entity_type, one.markmail_field, one.crm_field, conflicts, history, "digest")


async def _export(selection: Selection, person: Person, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        found = [
            await session.crm.personal_data(name, sides, person) for name, sides in await _opened(session, selection)
        ]
    output.result({"integrations": [one.model_dump(mode="json") for one in found]})
    return ExitCode.SUCCESS


async def _erase(selection: Selection, order: _Order, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        opened = await _opened(session, selection)
        if not order.given:
            found = [await session.crm.personal_data(name, sides, order.person) for name, sides in opened]
            output.result({"would_erase": [_counted(one) for one in found]}, *_preview(found, order))
            return ExitCode.SUCCESS
        reports = [
            await session.crm.erase_person(
                name, sides, order.person, sides=order.sides, by=order.by, reason=order.reason
            )
            for name, sides in opened
        ]
    payload = {"erasures": [one.model_dump(mode="json") for one in reports]}
    output.result(payload, *(view for one in reports for view in _report(one)))
    return ExitCode.SUCCESS if all(one.complete for one in reports) else ExitCode.PARTIAL


async def _verify(selection: Selection, reports: Sequence[ErasureReport], output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        genuine = {one.erasure_id: await session.crm.verify_erasure(one) for one in reports}
    said = [f"{name}: {'as it was written' if ok else 'NOT as it was written here'}" for name, ok in genuine.items()]
    output.result({"genuine": genuine}, *map(Text, said))
    return ExitCode.SUCCESS if genuine and all(genuine.values()) else ExitCode.FAILURE


async def _allow(selection: Selection, person: Person, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        known = await session.known(selection.integration)
        marks = {one.id: await session.crm.allow_again(one.id, person) for one in known}
    dropped = sum(marks.values())
    said = f"{dropped} mark(s) dropped: the person is taken in again" if dropped else "nobody like that was erased"
    output.result({"marks": marks}, Text(said))
    return ExitCode.SUCCESS


async def _purge(selection: Selection, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        known = await session.known(selection.integration)
        purged = {one.id: await session.crm.purge(one.id) for one in known}
    rows = [(name, kind, count) for name, counts in purged.items() for kind, count in counts.items()]
    output.result({"purged": purged}, tables.table("integration", "kept", "forgotten", rows=rows))
    return ExitCode.SUCCESS


async def _opened(session: Session, selection: Selection) -> list[tuple[str, dict[str, RecordStore]]]:
    """Each integration that was met, with the local sides of all its objects."""
    opened = []
    for section in await session.known(selection.integration):
        sides = {name: await session.prepare(Target(section, name)) for name in session.objects(section)}
        opened.append((section.id, sides))
    return opened


def _counted(found: PersonalData) -> dict[str, Any]:
    """What there is of a person: ids and counts, no value."""
    return {
        "integration_id": found.integration_id,
        "objects": [
            {
                "entity_type": one.entity_type,
                "records": [{"side": record.side.value, "id": record.id} for record in one.records],
                **{kind: len(getattr(one, kind)) for kind in ("links", "conflicts", "changes", "problems")},
            }
            for one in found.objects
        ],
    }


def _preview(found: Sequence[PersonalData], order: _Order) -> list[RenderableType]:
    rows = [
        (data.integration_id, one.entity_type, tables.SIDE_NAMES[record.side], record.id)
        for data in found
        for one in data.objects
        for record in one.records
    ]
    kept = sum(len(one.links) + len(one.conflicts) + len(one.changes) for data in found for one in data.objects)
    if not rows and not kept:
        return [Text("nothing is held about this person; with --yes they are kept out from now on")]
    verb = "would be deleted" if order.sides else "would stay, and no longer be synced"
    head = Text(f"{len(rows)} record(s) {verb}, and {kept} row(s) of the bookkeeping forgotten. To do it, add --yes.")
    return [tables.table("integration", "object", "side", "id", rows=rows), head]


def _report(report: ErasureReport) -> list[RenderableType]:
    rows = [
        (one.entity_type, tables.SIDE_NAMES[record.side], record.id, "deleted" if record.deleted else record.code)
        for one in report.objects
        for record in one.records
    ]
    forgotten = sum(sum(one.rows.values()) for one in report.objects)
    said = (
        f"{report.integration_id}: erased, {forgotten} row(s) of the bookkeeping forgotten; report {report.erasure_id}"
    )
    views: list[RenderableType] = [tables.table("object", "side", "id", "result", rows=rows)] if rows else []
    views.append(Text(said))
    if not report.complete:
        views.append(Text("not every record was deleted: delete the others where they are", style="yellow"))
    return views
