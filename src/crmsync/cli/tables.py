"""The human view of what the facade returns. Every string from outside goes through `plain`."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from crmsync.cli.fitting import FittingTable
from crmsync.cli.output import plain
from crmsync.models.candidates import Candidate
from crmsync.models.plans import MappingChange, Plan, PlannedRecord
from crmsync.models.problems import Problem
from crmsync.models.records import Side
from crmsync.models.results import ConnectionReport
from crmsync.models.runs import ObjectStatus, RecordProblem, RunReport, RunStatus, RunWarning
from crmsync.models.schema import FieldSchema, ObjectSchema
from crmsync.models.state import CallUsage, SyncLog

SIDE_NAMES: Final = {Side.LOCAL: "local", Side.REMOTE: "CRM"}
PROBLEMS_SHOWN: Final = 20
SHORT_ID: Final = 8
_WIDEST_VALUE: Final = 60
_WIDEST_SETTING: Final = 60
_STATUS_STYLES: Final = {
    RunStatus.SUCCESS: "bold green",
    RunStatus.PARTIAL: "bold yellow",
    RunStatus.STOPPED: "bold red",
    RunStatus.FAILED: "bold red",
}
_COUNT_NAMES: Final = {"unchanged": "same", "echoes_dropped": "echoes", "api_calls": "calls"}
_COUNTS: Final = (
    "read",
    "created",
    "updated",
    "deleted",
    "unchanged",
    "conflicts",
    "rejected",
    "echoes_dropped",
    "api_calls",
)


def table(
    *columns: str, rows: Iterable[Sequence[object]], title: str | None = None, tight: Container[str] = ()
) -> Table:
    """A plain table of these columns that breaks no word. The ``tight`` ones never wrap: their content is short."""
    made = FittingTable(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        made.add_column(column, overflow="fold", no_wrap=column in tight)
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row))
    return made


def report_views(report: RunReport) -> list[RenderableType]:
    """One run: a line on how it ended, the counts for each side, the problems."""
    what = "plan" if report.dry_run else f"{report.sync_type} run"
    head = Text.assemble(
        (plain(f"{report.integration_id} {report.entity_type}"), "bold"),
        f": {what} ",
        (report.status.value, _STATUS_STYLES[report.status]),
        f" in {report.seconds:.1f} s, {report.linked} linked, {report.written} ",
        "to write" if report.dry_run else "written",
    )
    if report.conflicts_open:
        head.append(f", {report.conflicts_open} conflict(s) waiting: see `crmsync conflicts list`", style="yellow")
    if report.ignored:
        head.append(f", {report.ignored} ignored", style="dim")
    views: list[RenderableType] = [head, _counts(report)]
    if report.error:
        views.append(Text(plain(report.error), style="red"))
    if report.dry_run and (report.local.overwritten or report.remote.overwritten):
        replaced = f"{report.local.overwritten} local and {report.remote.overwritten} CRM value(s)"
        views.append(Text(f"would overwrite {replaced} that are not blank"))
    if report.would_stop:
        views.append(Text(f"a guard would stop this: {plain(report.would_stop)}", style="red"))
    if erased := report.local.erased + report.remote.erased:
        views.append(Text(f"{erased} record(s) of people who were erased were left alone", style="dim"))
    views += warning_views(report.warnings)
    if report.problems:
        views.append(problems_table(report.problems, report.problem_count))
    return views


def warning_views(warnings: Iterable[RunWarning | Problem]) -> list[Text]:
    """What works less well than one may think, a line each."""
    return [Text(f"warning: {plain(each.message)}; {plain(each.remedy)}", style="yellow") for each in warnings]


def call_views(plan: Plan) -> list[RenderableType]:
    """What a plan took of the CRM's API calls, what a sync will take, and what the plan as it is would, if known."""
    if plan.calls is None or plan.sync_calls is None:
        return []
    told = f"API calls: {plan.reading_calls} to read for this plan; a sync reads anew and takes about {plan.sync_calls}"
    if plan.writes:
        told += f"; this very plan, once approved, about {plan.calls.likely}, at most {plan.calls.most}"
    return [Text(told, style="dim")]


def _counts(report: RunReport) -> Table:
    """The counts of both sides; a count that is 0 on both is left out."""
    shown = [name for name in _COUNTS if getattr(report.local, name) or getattr(report.remote, name)]
    padding = (0, 1, 0, 0) if len(shown) < len(_COUNTS) else 0
    made = FittingTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=padding)
    made.add_column("", no_wrap=True)
    for name in shown or ["read"]:
        made.add_column(_COUNT_NAMES.get(name, name), justify="right", no_wrap=True)
    for side_name, side in (("local", report.local), ("CRM", report.remote)):
        made.add_row(Text(side_name), *(Text(str(getattr(side, name))) for name in shown or ["read"]))
    return made


def problems_table(problems: Sequence[RecordProblem], count: int) -> Table:
    """The records that could not be synced, with the reason and what to do."""
    shown = problems[:PROBLEMS_SHOWN]
    rows = [(both_ids(one.markmail_id, one.crm_id), one.field or "", _reason(one)) for one in shown]
    title = f"{count} problem(s)" + (f", the first {len(rows)}" if count > len(rows) else "")
    return table("record", "field", "reason, and what to do", rows=rows, title=title)


def _reason(problem: RecordProblem) -> Text:
    where = f"{SIDE_NAMES[Side(problem.side)]}: " if problem.side in set(Side) else ""
    reason = Text(plain(f"{where}{problem.message} [{problem.code}]"))
    if problem.candidates:
        reason.append(f"\n{candidates_line(problem.candidates)}")
    if problem.remedy:
        reason.append(f"\n{plain(problem.remedy)}", style="dim")
    return reason


def candidates_line(candidates: Sequence[Candidate]) -> str:
    """Candidates, with their sides."""
    return f"candidates: {', '.join(map(candidate, candidates))}"


def candidate(one: Candidate) -> str:
    """A candidate's id after its side, if that is known."""
    return plain(f"{SIDE_NAMES[one.side]} {one.id}" if one.side else one.id)


def plan_table(plan: Plan, limit: int | None) -> Table:
    """What the plan writes, record by record. ``limit`` None shows all."""
    shown = plan.records if limit is None else plan.records[:limit]
    left = len(plan.records) - len(shown)
    title = f"{plan.writes} write(s) planned" + (f"; {left} more record(s), see them with --all" if left else "")
    return writes_table(shown, title)


def writes_table(records: Sequence[PlannedRecord], title: str) -> Table:
    """What is to be written, record by record."""
    rows = [row for record in records for row in _planned(record)]
    return table("record", "write", "fields", rows=rows, title=title, tight=("write",))


def _planned(record: PlannedRecord) -> Iterable[tuple[object, ...]]:
    ids = both_ids(record.markmail_id, record.crm_id)
    for write in record.writes:
        yield ids, f"{write.kind.value} {SIDE_NAMES[write.side]}", Text(_fields(write.fields))
        ids = Text()


def _fields(fields: Mapping[str, object]) -> str:
    if not fields:
        return "(only the local id, which links the two)"
    return "\n".join(f"{plain(name)} = {shown_value(value)}" for name, value in fields.items())


def both_ids(markmail_id: str | None, crm_id: str | None) -> Text:
    """The ids of a record on both sides, one a line."""
    return Text("\n".join(plain(one) for one in (markmail_id, crm_id) if one))


def shown_value(value: object) -> str:
    """A record's value on one line, cut when long; nothing at all shows as ``(blank)``."""
    if value is None:
        return "(blank)"
    text = plain("; ".join(map(str, value)) if isinstance(value, (tuple, list)) else value)
    return text if len(text) <= _WIDEST_VALUE else f"{text[: _WIDEST_VALUE - 1]}…"


def mapping_change_views(changes: Sequence[MappingChange]) -> Iterator[Table]:
    """What differs between two mappings; nothing if they are the same."""
    if changes:
        rows = [(one.field or "(the object)", one.setting, *_before_and_after(one)) for one in changes]
        yield table("mapping", "setting", "before", "after", rows=rows)


def _before_and_after(one: MappingChange) -> tuple[str, str]:
    if one.field and not one.setting:
        return _whole(one.before), _whole(one.after)
    return _setting(one.before), _setting(one.after)


def _whole(settings: object) -> str:
    """A field mapping that came or went, with the settings that are not as by default."""
    if settings is None:
        return "(not mapped)"
    return _setting(settings) if settings else "mapped"


def _setting(part: object) -> str:
    text = "" if part is None else json.dumps(part, ensure_ascii=False)
    return text if len(text) <= _WIDEST_SETTING else f"{text[: _WIDEST_SETTING - 1]}…"


def status_views(statuses: Sequence[tuple[str, ObjectStatus]]) -> list[RenderableType]:
    """Where each object stands, by integration id."""
    if not statuses:
        return [Text("nothing is known yet: `crmsync connect --test` says whether all is ready, `crmsync sync` begins")]
    others = ("conflicts", "rejected", "quarantined", "ignored", "deleted", "unlinked")
    # On a narrow terminal, columns of zeros would leave no room for the names.
    counts = ("synced", *(name for name in others if any(getattr(one, name) for _, one in statuses)))
    rows = [(f"{owner} {one.entity_type}", *(getattr(one, name) for name in counts)) for owner, one in statuses]
    columns = ("in step", *counts[1:])
    views: list[RenderableType] = [table("", *columns, rows=rows, tight=columns)]
    views += [Text(f"{plain(owner)} {plain(one.entity_type)}: {_standing(one)}") for owner, one in statuses]
    return views


def call_usage_view(owner: str, usage: CallUsage, limit: int | None) -> Text:
    """The calls of the day, and what the CRM counts."""
    budget = f" of its budget of {limit}" if limit is not None else ""
    seen = usage.allowance
    org = f"; the CRM counted {seen.used} of {seen.limit} at {seen.seen_at:%H:%M} UTC" if seen else ""
    return Text(f"{plain(owner)}: {usage.taken} API calls today{budget}{org}")


def _standing(one: ObjectStatus) -> str:
    paused = "paused until `crmsync resume`; " if one.paused else ""
    return f"{paused}{_last_run(one.last_run)}"


def drift_views(owner: str, one: ObjectStatus) -> list[Text]:
    """What the CRM's administrator changed for the worse."""
    return [
        Text(f"{plain(owner)} {plain(one.entity_type)}: {plain(each.message)} ({plain(each.remedy)})", style="yellow")
        for each in one.drift
    ]


def _last_run(report: RunReport | None) -> str:
    if report is None:
        return "never run"
    moment = f"{report.finished_at:%Y-%m-%d %H:%M:%S}"
    stopped = ": see `crmsync stops show`" if report.status is RunStatus.STOPPED else ""
    return f"last run {moment} UTC, {report.status.value}{stopped}, {report.written} written"


def logs_table(logs: Sequence[SyncLog]) -> Table:
    """Runs, newest first."""
    rows = [
        (
            one.id[:SHORT_ID],
            f"{one.started_at:%Y-%m-%d %H:%M}",
            one.entity_type,
            one.sync_type,
            one.entity_count,
            one.success_count,
            one.error_count,
            f"{(one.completed_at - one.started_at).total_seconds():.1f} s" if one.completed_at else "not finished",
        )
        for one in logs
    ]
    columns = ("run", "started (UTC)", "object", "type", "read", "written", "failed", "took")
    return table(*columns, rows=rows, tight=set(columns) - {"object"})


def fields_table(schema: ObjectSchema) -> Table:
    """The fields of an object."""
    rows = [(one.name, one.label, one.type.value, one.length or "", _traits(one)) for one in schema.fields]
    title = f"{schema.name}: {len(schema.fields)} field(s)"
    return table("field", "label", "type", "length", "", rows=rows, title=title)


def _traits(field: FieldSchema) -> str:
    traits = {
        "required": field.required,
        "read only": not (field.createable or field.updateable),
        "hidden": not field.readable,
        "unique": field.unique,
        "external id": field.external_id,
        "custom": field.custom,
        f"depends on {field.controlled_by}": bool(field.controlled_by),
    }
    return ", ".join(name for name, holds in traits.items() if holds)


def connection_views(integration_id: str, report: ConnectionReport) -> list[RenderableType]:
    """What a connection test found."""
    verdict = ("connected", "bold green") if report.ok else ("not usable", "bold red")
    views: list[RenderableType] = [Text.assemble((plain(integration_id), "bold"), ": ", verdict)]
    rows = [("organisation", report.organisation), ("user", report.user), ("API version", report.api_version)]
    if report.calls_used is not None and report.calls_limit is not None:
        rows.append(("API calls today", f"{report.calls_used} of {report.calls_limit}"))
    views += [Text(f"  {name}: {plain(value)}") for name, value in rows if value]
    views += [Text(f"  warning: {plain(warning)}", style="yellow") for warning in report.warnings]
    return views
