"""The JSON form of what the facade returns."""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs

from crmsync.engine.tombstones import deleted_in
from crmsync.models.checks import ObjectDescription
from crmsync.models.inbox import Reject
from crmsync.models.plans import Plan
from crmsync.models.runs import RunReport
from crmsync.models.state import CallUsage, Conflict, Link, SyncLog
from crmsync.models.stops import Stop, StoppedRecord


def report_payload(report: RunReport) -> dict[str, Any]:
    """A run report, with the number of records written on each side and on both."""
    payload = report.model_dump(mode="json")
    payload["local"]["written"] = report.local.written
    payload["remote"]["written"] = report.remote.written
    return {**payload, "written": report.written}


def plan_payload(plan: Plan) -> dict[str, Any]:
    """A plan with every record and the values to be written: the user's own data, asked for by the user."""
    return {
        "plan_id": plan.plan_id,
        "integration_id": plan.integration_id,
        "entity_type": plan.entity_type,
        "mapping_version": plan.mapping_version,
        "created_at": plan.created_at.isoformat(),
        "digest": plan.digest,
        "writes": plan.writes,
        "calls": {"most": plan.calls.most, "likely": plan.calls.likely} if plan.calls else None,
        "reading_calls": plan.reading_calls,
        "sync_calls": plan.sync_calls,
        "records": [
            {
                "markmail_id": record.markmail_id,
                "crm_id": record.crm_id,
                "writes": [
                    {"side": write.side.value, "kind": write.kind.value, "fields": values(write.fields)}
                    for write in record.writes
                ],
            }
            for record in plan.records
        ],
        "report": report_payload(plan.report),
    }


def description_payload(found: ObjectDescription) -> dict[str, Any]:
    """An object of the CRM with its fields, and what its runs may work better with."""
    return {**found.schema.model_dump(mode="json"), "warnings": [attrs.asdict(each) for each in found.warnings]}


def stop_payload(stop: Stop, *, with_digest: bool = False) -> dict[str, Any]:
    """A stopped run, with what is known of its plan. The digest, which approves it, is for where the plan is shown."""
    plan = stop.plan
    told = with_digest or stop.approved_at is not None
    return {
        "integration_id": stop.integration_id,
        "entity_type": stop.entity_type,
        "run_id": stop.run_id,
        "code": stop.code,
        "message": stop.message,
        "stopped_at": _moment(stop.stopped_at),
        "times": stop.times,
        "plan": {
            "digest": plan.digest if told else None,
            "mapping_version": plan.mapping_version,
            "made_at": _moment(plan.made_at),
            "records": plan.records,
            "writes": dict(plan.writes),
            "fields": dict(plan.fields),
            "would_stop": plan.would_stop,
            "calls": {"most": plan.calls.most, "likely": plan.calls.likely} if plan.calls else None,
        }
        if plan
        else None,
        "approved_by": stop.approved_by,
        "approved_at": _moment(stop.approved_at),
    }


def stopped_record_payload(record: StoppedRecord) -> dict[str, Any]:
    """A record of a stopped plan: which fields, never what they would hold."""
    return {
        "markmail_id": record.markmail_id,
        "crm_id": record.crm_id,
        "writes": [
            {"side": write.side.value, "kind": write.kind.value, "fields": list(write.fields)}
            for write in record.writes
        ],
    }


def conflict_payload(conflict: Conflict) -> dict[str, Any]:
    """A conflict with both values."""
    return {
        "id": conflict.id,
        "integration_id": conflict.integration_id,
        "entity_type": conflict.entity_type,
        "markmail_id": conflict.markmail_id,
        "crm_id": conflict.crm_id,
        "field": conflict.field,
        "crm_field": conflict.crm_field,
        "policy": conflict.policy,
        "explanation": conflict.explanation,
        "status": conflict.status.value,
        "local_value": value(conflict.local_value),
        "remote_value": value(conflict.remote_value),
        "local_changed_at": _moment(conflict.local_changed_at),
        "local_changed_by": conflict.local_changed_by,
        "remote_changed_at": _moment(conflict.remote_changed_at),
        "remote_changed_by": conflict.remote_changed_by,
        "winner": conflict.winner.value if conflict.winner else None,
        "given_value": value(conflict.given_value),
        "decided_by": conflict.decided_by,
        "decided_at": _moment(conflict.decided_at),
        "run_id": conflict.run_id,
        "resolved_run_id": conflict.resolved_run_id,
        "created_at": _moment(conflict.created_at),
        "resolved_at": _moment(conflict.resolved_at),
        "erased_at": _moment(conflict.erased_at),
    }


def link_payload(link: Link) -> dict[str, Any]:
    """What is known of a record; without values, which the bookkeeping does not hold."""
    return {
        "integration_id": link.integration_id,
        "entity_type": link.entity_type,
        "markmail_id": link.markmail_id,
        "crm_id": link.crm_id,
        "status": link.status.value,
        "deleted_in": [side.value for side in deleted_in(link)],
        "born": link.born.value,
        "last_sync_hash": link.last_sync_hash,
        "attempts": link.attempts,
        "problems": [attrs.asdict(problem) for problem in link.problems],
        "candidates": [each.model_dump(mode="json") for each in link.candidates],
        "created_at": _moment(link.created_at),
        "updated_at": _moment(link.updated_at),
    }


def reject_payload(reject: Reject) -> dict[str, Any]:
    """A record that could not be synced. ``next_try`` is null for an ignored one."""
    payload = reject.model_dump(mode="json")
    return {**payload, "next_try": None if reject.ignored else "next run"}


def log_payload(log: SyncLog) -> dict[str, Any]:
    """A row of the run log."""
    return {
        "id": log.id,
        "integration_id": log.integration_id,
        "sync_type": log.sync_type,
        "entity_type": log.entity_type,
        "entity_count": log.entity_count,
        "success_count": log.success_count,
        "error_count": log.error_count,
        "started_at": _moment(log.started_at),
        "completed_at": _moment(log.completed_at),
        "error_details": log.error_details,
    }


def call_usage_payload(usage: CallUsage, limit: int | None) -> dict[str, Any]:
    """The API calls of a day, and what the CRM said last of its own allowance."""
    seen = usage.allowance
    return {
        "day": usage.day.isoformat(),
        "taken": usage.taken,
        "limit": limit,
        "org_used": seen.used if seen else None,
        "org_limit": seen.limit if seen else None,
        "org_seen_at": _moment(seen.seen_at) if seen else None,
    }


def values(fields: Mapping[str, object]) -> dict[str, Any]:
    """Record values by field."""
    return {name: value(one) for name, one in fields.items()}


def value(one: object) -> Any:
    """A record's value in JSON: numbers and flags as they are, a decimal as text, times in ISO 8601, sets as lists."""
    match one:
        case float() if not math.isfinite(one):
            return str(one)
        case None | bool() | int() | float() | str():
            return one
        case Decimal():
            return str(one)
        case dt.datetime() | dt.date() | dt.time():
            return one.isoformat()
        case bytes():
            return base64.b64encode(one).decode("ascii")
        case tuple() | list() | set() | frozenset():
            return [value(element) for element in one]
        case Mapping():
            return values({str(name): element for name, element in one.items()})
        case _:
            return str(one)


def _moment(moment: dt.datetime | None) -> str | None:
    return moment.isoformat() if moment else None
