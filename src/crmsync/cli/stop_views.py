"""The human view of stopped runs. Every string from outside goes through `plain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from crmsync.cli.output import plain
from crmsync.cli.tables import SIDE_NAMES, table
from crmsync.models.records import Side
from crmsync.models.stops import Stop, StoppedPlan, StoppedRecord


def stops_table(stops: Sequence[Stop]) -> Table:
    """One row for each stop."""
    rows = [
        (
            f"{stop.integration_id} {stop.entity_type}",
            f"{stop.stopped_at:%Y-%m-%d %H:%M}",
            stop.times,
            stop.message,
            _state(stop),
        )
        for stop in stops
    ]
    return table("stopped", "last (UTC)", "times", "why", "plan", rows=rows, tight=("last (UTC)", "times"))


def _state(stop: Stop) -> str:
    if stop.plan is None:
        return "not looked at: `crmsync stops show`"
    if stop.approved_at is None:
        return "waits for an approval: `crmsync stops show`"
    return f"{stop.plan.digest[:12]}, approved by {stop.approved_by}"


def stop_views(stop: Stop, records: Sequence[StoppedRecord]) -> list[RenderableType]:
    """One stop with its plan and some of the plan's records."""
    head = Text.assemble((plain(f"{stop.integration_id} {stop.entity_type}"), "bold"), f": {plain(stop.message)}")
    if stop.plan is None:
        return [head]
    views: list[RenderableType] = [head, _facts(stop, stop.plan), _counts("writes", stop.plan.writes)]
    if stop.plan.fields:
        views.append(_counts("fields", stop.plan.fields))
    rows = [(one.markmail_id or "", one.crm_id or "", _writes(one)) for one in records]
    title = f"{stop.plan.records} record(s)" + (f", the first {len(rows)}" if stop.plan.records > len(rows) else "")
    views.append(table("local id", "CRM id", "would be written", rows=rows, title=title))
    return views


def _facts(stop: Stop, plan: StoppedPlan) -> Table:
    rows = [
        ("digest", plan.digest),
        ("found out", f"{plan.made_at:%Y-%m-%d %H:%M:%S} UTC"),
        (
            "calls",
            f"about {plan.calls.likely}, at most {plan.calls.most}; then the run reads on" if plan.calls else "unknown",
        ),
        ("a guard says", plan.would_stop or "nothing any more"),
        ("approved", f"by {stop.approved_by}, {stop.approved_at:%Y-%m-%d %H:%M} UTC" if stop.approved_at else "no"),
    ]
    return table("plan", "", rows=rows, tight=("plan",))


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    return table(title, "records", rows=[(_named(name), count) for name, count in counts.items()], tight=("records",))


def _named(counted: str) -> str:
    side, _, rest = counted.partition(" ")
    return f"{SIDE_NAMES[Side(side)]} {rest}"


def _writes(record: StoppedRecord) -> str:
    return "; ".join(
        f"{SIDE_NAMES[write.side]} {write.kind.value} {', '.join(write.fields)}".strip() for write in record.writes
    )
