"""The human view of single records: links, conflicts and rejects."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from crmsync.cli.output import plain
from crmsync.cli.tables import SHORT_ID, SIDE_NAMES, both_ids, candidate, candidates_line, shown_value, table
from crmsync.engine.tombstones import deleted_in
from crmsync.models.inbox import Reject, RejectReason
from crmsync.models.records import Side
from crmsync.models.state import Conflict, Link, LinkStatus


def conflicts_table(conflicts: Sequence[Conflict]) -> Table:
    """Conflicts, with both values. Their ids are cut; the commands take what is left."""
    rows = [
        (
            one.id[:SHORT_ID],
            Text(f"{plain(one.entity_type)}\n{plain(one.markmail_id)}"),
            one.field if one.field == one.crm_field else Text(f"{plain(one.field)}\n{plain(one.crm_field)}"),
            _held(one, one.local_value),
            _held(one, one.remote_value),
            one.status.value + (f": {winner}" if (winner := _winner(one)) else ""),
        )
        for one in conflicts
    ]
    return table("id", "record", "field", "local value", "CRM value", "status", rows=rows, tight=("id",))


def links_table(links: Sequence[Link]) -> Table:
    """Which records belong together, and how they stand; since when, `link_view` says."""
    troubled = any(one.problems for one in links)
    rows = [
        (
            *(one.entity_type, one.markmail_id, one.crm_id or "", one.status.value),
            *([one.problems[0].message if one.problems else ""] if troubled else []),
        )
        for one in links
    ]
    columns = ("object", "local id", "CRM id", "status", *(["problem"] if troubled else []))
    return table(*columns, rows=rows, tight=("local id", "CRM id", "status"))


def link_view(link: Link) -> RenderableType:
    """All that is known of one record."""
    names = (("local id", link.markmail_id), ("CRM id", link.crm_id or "(none)"), ("status", link.status.value))
    rows = [
        *names,
        *([("deleted in", _tombstone(link))] if link.status is LinkStatus.DELETED else []),
        ("first seen in", SIDE_NAMES[link.born]),
        *((f"problem in {p.path}" if p.path else "problem", f"{p.message}; {p.remedy}") for p in link.problems),
        *(("candidate", candidate(one)) for one in link.candidates),
        ("failed attempts", link.attempts),
        *([("since (UTC)", f"{link.updated_at:%Y-%m-%d %H:%M:%S}")] if link.updated_at else []),
    ]
    return table(f"{link.integration_id} {link.entity_type}", "", rows=rows)


def _tombstone(link: Link) -> str:
    gone = deleted_in(link)
    if len(gone) > 1:
        return "both sides; neither record is made again"
    return ", ".join(f"{SIDE_NAMES[side]}; linked again if it comes back there" for side in gone)


def rejects_table(rejects: Sequence[Reject]) -> Table:
    """Records that could not be synced, with the reasons and what to do."""
    rows = [
        (
            Text(f"{plain(one.entity_type)}\n") + _reject_ids(one) + Text(f"\n{one.status.value}"),
            Text("\n").join([*map(_why, one.reasons), *_candidates(one), Text(", ".join(_tries(one)), style="dim")]),
        )
        for one in rejects
    ]
    return table("record", "reason, and what to do", rows=rows)


def _tries(reject: Reject) -> Iterable[str]:
    yield f"{reject.attempts} attempt(s)"
    if reject.failing_since is not None:
        yield f"since {_when(reject.failing_since)}"
    yield f"next try {_next_try(reject)}"


def _next_try(reject: Reject) -> str:
    return "when it or the mapping changes" if reject.ignored else "in the next run"


def reject_view(reject: Reject) -> Table:
    """One of them in full."""
    rows: list[tuple[str, object]] = [
        ("local id", reject.markmail_id if reject.linked or reject.born is Side.LOCAL else "(none)"),
        ("CRM id", reject.crm_id or "(none)"),
        ("first seen in", SIDE_NAMES[reject.born]),
        ("status", reject.status.value),
        *(("reason", _why(reason)) for reason in reject.reasons),
        *(("candidate", candidate(one)) for one in reject.candidates),
        ("failed attempts", reject.attempts),
        ("since", _when(reject.failing_since)),
        ("last tried", _when(reject.last_tried_at)),
        ("next try", _next_try(reject)),
    ]
    return table(f"{plain(reject.integration_id)} {plain(reject.entity_type)}", "", rows=rows)


def _reject_ids(reject: Reject) -> Text:
    """The ids of records that there are: that of a twin to be is no use to a person."""
    ours = reject.markmail_id if reject.linked or reject.born is Side.LOCAL else None
    return both_ids(ours, reject.crm_id)


def _why(reason: RejectReason) -> Text:
    where = f"{reason.field}: " if reason.field else ""
    why = Text(plain(f"{where}{reason.message} [{reason.code}]"))
    if reason.remedy:
        why.append(f"\n{plain(reason.remedy)}", style="dim")
    return why


def _candidates(reject: Reject) -> list[Text]:
    return [Text(candidates_line(reject.candidates))] if reject.candidates else []


def _held(conflict: Conflict, value: object) -> Text:
    return Text("(erased)", style="dim") if conflict.erased_at else Text(shown_value(value))


def _winner(conflict: Conflict) -> str:
    if conflict.winner is not None:
        return SIDE_NAMES[conflict.winner]
    return "" if conflict.decided_at is None else "a given value"


def conflict_view(conflict: Conflict) -> Table:
    """One conflict in full, values uncut."""
    rows = [(name, text) for name, text in _conflict_rows(conflict) if text]
    return table("conflict", "", rows=rows)


def _conflict_rows(conflict: Conflict) -> Iterable[tuple[str, str]]:
    yield "id", conflict.id
    yield "object", f"{conflict.integration_id} {conflict.entity_type}"
    yield "local id", conflict.markmail_id
    yield "CRM id", conflict.crm_id or ""
    yield "field", f"{conflict.field} / {conflict.crm_field}"
    if not conflict.erased_at:
        yield "local value", "(blank)" if conflict.local_value is None else str(conflict.local_value)
        yield "CRM value", "(blank)" if conflict.remote_value is None else str(conflict.remote_value)
        yield "given value", "" if conflict.given_value is None else str(conflict.given_value)
    yield "local record changed", _when(conflict.local_changed_at, conflict.local_changed_by)
    yield "CRM record changed", _when(conflict.remote_changed_at, conflict.remote_changed_by)
    yield "policy", conflict.policy
    yield "why", conflict.explanation
    yield "status", conflict.status.value
    yield "winner", _winner(conflict)
    yield "found", _when(conflict.created_at)
    yield "found by run", conflict.run_id
    yield "decided", _when(conflict.decided_at, conflict.decided_by)
    yield "settled", _when(conflict.resolved_at)
    yield "settled by run", conflict.resolved_run_id or ""
    yield "values erased", _when(conflict.erased_at)


def _when(moment: dt.datetime | None, by: str | None = None) -> str:
    when = f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""
    return f"{when} by {by}".strip() if by else when
