"""From a request's properties to a new job, or the refusal of one."""

from __future__ import annotations

import json
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.bulk import jobs
from crmsync.testing.salesforce.bulk.csv_text import DELIMITERS, LINE_ENDINGS, Dialect
from crmsync.testing.salesforce.bulk.jobs import IngestJob, QueryJob
from crmsync.testing.salesforce.bulk.query import take_snapshot
from crmsync.testing.salesforce.bulk.refusals import bad_property, named_refusal, refusal
from crmsync.testing.salesforce.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from crmsync.testing.salesforce.routes.call import Call
    from crmsync.testing.salesforce.schema import ObjectDef

#: "Create a Job": what a multipart request can bring.
MAX_MULTIPART_CHARACTERS: Final = 100_000
NO_HARD_DELETE: Final = (
    "hardDelete operation requires special user profile permission, please contact your system administrator"
)


def new_ingest_job(call: Call) -> IngestJob:
    """Create the job that a request describes.

    :raises CallError: as Salesforce refuses it.
    """
    kind = call.headers.get("content-type", "")
    body, content = _parts(kind, call.body) if kind.startswith("multipart/") else (call.json_object(), None)
    bulk, now = call.org.bulk, call.org.now()
    operation = _chosen(body, "operation", jobs.INGEST_OPERATIONS)
    definition = object_for(call, operation, str(body.get("object") or ""))
    job = IngestJob(
        id=bulk.next_id(),
        operation=operation,
        object_name=definition.name,
        external_id_field=external_id_field(definition, body) if operation == "upsert" else None,
        assignment_rule_id=body.get("assignmentRuleId"),
        version=call.version,
        created_by=call.user_id,
        created_at=now,
        modified_at=now,
        state=jobs.OPEN,
        data=content,
        dialect=_dialect(body),
    )
    bulk.ingest[job.id] = job
    if content is not None:
        bulk.close(job, now, call.org.faults.bulk.take())
    return job


def new_query_job(call: Call) -> QueryJob:
    """Create the job that a request describes, with its results.

    :raises CallError: as Salesforce refuses it.
    """
    body, bulk, now = call.json_object(), call.org.bulk, call.org.now()
    operation = _chosen(body, "operation", jobs.QUERY_OPERATIONS)
    text = body.get("query")
    if not isinstance(text, str) or not text.strip():
        raise bad_property("query", text)
    used, limit = bulk.query_jobs_used(now), bulk.options.query_jobs_a_day
    if used >= limit:
        message = f"Max bulk v2 query jobs ({limit}) per 24 hrs has been reached ({used})"
        raise refusal("LIMIT_EXCEEDED", message)
    job = QueryJob(
        id=bulk.next_id(),
        operation=operation,
        object_name="",
        version=call.version,
        created_by=call.user_id,
        created_at=now,
        modified_at=now,
        state=jobs.UPLOAD_COMPLETE,
        query=text,
        dialect=_dialect(body),
    )
    take_snapshot(call.org, job, now)
    bulk.query[job.id] = job
    bulk.query_jobs.append((now, 1))
    bulk.close(job, now, call.org.faults.bulk.take())
    return job


def _parts(kind: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n" + body)
    parts: dict[str, bytes] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        payload = part.get_payload(decode=True)
        name = part.get_param("name", header="content-disposition")
        parts[str(name)] = payload if isinstance(payload, bytes) else b""
    try:
        job = json.loads(parts["job"])
        content = parts["content"]
    except (KeyError, ValueError):
        message_text = "The multipart request needs the parts 'job', in JSON, and 'content'"
        raise refusal("BULK_API_ERROR", message_text) from None
    if not isinstance(job, dict):
        raise CallError(400, "JSON_PARSER_ERROR", "The part 'job' must be an object at [line:1, column:1]")
    if len(content.decode("utf-8", "replace")) > MAX_MULTIPART_CHARACTERS:
        message_text = f"The content of a multipart request is limited to {MAX_MULTIPART_CHARACTERS} characters"
        raise refusal("BULK_API_ERROR", message_text)
    return job, content


def object_for(call: Call, operation: str, name: str) -> ObjectDef:
    """Return the object that a job is to save the records of.

    :raises CallError: there is no such object, or it or the operation is not for bulk jobs.
    """
    table = call.find_table(name)
    if table is None:
        raise named_refusal("InvalidJob", f"Unable to find object: {name}")
    definition = table.definition
    if not definition.createable:
        raise named_refusal("InvalidEntity", f"Entity '{definition.name}' is not supported by the Bulk API.")
    if operation == "hardDelete" and not call.org.bulk.options.hard_delete:
        raise named_refusal("FeatureNotEnabled", NO_HARD_DELETE)
    return definition


def external_id_field(definition: ObjectDef, body: Mapping[str, Any]) -> str:
    """Return the field that an upsert goes by.

    :raises CallError: the request names none.
    """
    name = str(body.get("externalIdFieldName") or "")
    field = definition.find(name)
    if field is None or not (field.external_id or field.name == "Id"):
        raise named_refusal(
            "InvalidJob", f"Field name provided, {name} does not match an External ID for {definition.name}"
        )
    return field.name


def _dialect(body: Mapping[str, Any]) -> Dialect:
    _chosen(body, "contentType", ("CSV",), default="CSV")
    return Dialect(
        column_delimiter=_chosen(body, "columnDelimiter", DELIMITERS, default="COMMA"),
        line_ending=_chosen(body, "lineEnding", LINE_ENDINGS, default="LF"),
    )


def _chosen(body: Mapping[str, Any], name: str, allowed: Collection[str], default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or value not in allowed:
        raise bad_property(name, value)
    return value
