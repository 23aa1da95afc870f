"""Requests and answers in XML or JSON: whichever the request is in, by its Content-Type.

"JobInfo", "BatchInfo" and the pages of the requests, Bulk API 2.0 and Bulk API Developer Guide. XML's datetimes end in
Z, those of JSON in +0000.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from crmsync.testing.salesforce.dataload.content import NAMESPACE, local_name
from crmsync.testing.salesforce.dataload.jobs import COMPLETED, FAILED, FINAL_STATES, IN_PROGRESS, QUEUED
from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.routes.call import Reply
from crmsync.testing.salesforce.times import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crmsync.testing.salesforce.dataload.jobs import Batch, LoadJob

XML: Final = "application/xml"
JSON: Final = "application/json"
CSV: Final = "text/csv"
#: Codes of the REST API that this one has other names for.
_NAMES: Final = {
    "REQUEST_LIMIT_EXCEEDED": "ExceededQuota",
    "NOT_FOUND": "InvalidUrl",
    "METHOD_NOT_ALLOWED": "InvalidUrl",
    "GONE": "InvalidVersion",
}
# What an answer in XML has of a job or a batch; that in JSON has the same in alphabetical order.
_TIMES: Final = ("createdDate", "systemModstamp")


def exception(code: str, message: str, *, status: int = 400) -> CallError:
    """Return a refusal of this API: its ``exceptionCode`` and ``exceptionMessage``."""
    return CallError(status, code, message)


def is_json(headers: Mapping[str, str]) -> bool:
    """Whether a request is in JSON."""
    return "json" in headers.get("content-type", "").lower()


def read_info(body: bytes, *, json_form: bool) -> dict[str, Any]:
    """Return the properties of a request's ``jobInfo``.

    :raises CallError: it is none.
    """
    if json_form:
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise exception("InvalidJob", "Unable to parse Job")
        return found
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        raise exception("InvalidXML", "Unable to parse the XML of the request") from None
    if local_name(root) != "jobInfo":
        raise exception("InvalidXML", "The request's element is not a jobInfo")
    return {local_name(element): element.text or "" for element in root}


def job_info(job: LoadJob) -> dict[str, Any]:
    """Return what is told of a job."""
    known = {"externalIdFieldName": job.external_id_field} if job.external_id_field else {}
    over = [batch for batch in job.batches if batch.state in FINAL_STATES]
    return {
        "id": job.id,
        "operation": job.operation,
        "object": job.object_name,
        "createdById": job.created_by,
        "createdDate": stamp(job.created_at),
        "systemModstamp": stamp(job.modified_at),
        "state": job.state,
        **known,
        "concurrencyMode": job.concurrency,
        "contentType": job.content_type,
        "numberBatchesQueued": job.count(QUEUED),
        "numberBatchesInProgress": job.count(IN_PROGRESS),
        "numberBatchesCompleted": job.count(COMPLETED),
        "numberBatchesFailed": job.count(FAILED),
        "numberBatchesTotal": len(job.batches),
        "numberRecordsProcessed": sum(batch.processed for batch in job.batches),
        "numberRetries": 0,
        "apiVersion": float(job.version),
        "numberRecordsFailed": sum(batch.failed for batch in job.batches),
        "totalProcessingTime": sum(batch.took for batch in over),
        "apiActiveProcessingTime": sum(batch.took for batch in over),
        "apexProcessingTime": 0,
    }


def batch_info(batch: Batch) -> dict[str, Any]:
    """Return what is told of a batch."""
    message = {"stateMessage": batch.message} if batch.message else {}
    return {
        "id": batch.id,
        "jobId": batch.job_id,
        "state": batch.state,
        **message,
        "createdDate": stamp(batch.created_at),
        "systemModstamp": stamp(batch.modified_at),
        "numberRecordsProcessed": batch.processed,
        "numberRecordsFailed": batch.failed,
        "totalProcessingTime": batch.took,
        "apiActiveProcessingTime": batch.took,
        "apexProcessingTime": 0,
    }


def told(name: str, info: Mapping[str, Any], *, json_form: bool, status: int = 200) -> Reply:
    """Return a ``jobInfo`` or a ``batchInfo`` as an answer."""
    if json_form:
        return as_json(dict(sorted(info.items())), status)
    return as_xml(name, _elements(info), status)


def told_all(batches: Iterable[Batch], *, json_form: bool) -> Reply:
    """Return the list of a job's batches."""
    infos = [batch_info(batch) for batch in batches]
    if json_form:
        return as_json({"batchInfo": [dict(sorted(info.items())) for info in infos]})
    return as_xml("batchInfoList", "".join(f"<batchInfo>{_elements(info)}</batchInfo>" for info in infos))


def told_results(batch: Batch, content_type: str) -> Reply:
    """Return what became of the rows of a batch, in their order."""
    if content_type == "JSON":
        return as_json(batch.results)
    if content_type == "CSV":
        lines = ['"Id","Success","Created","Error"', *(_csv_result(result) for result in batch.results)]
        return Reply("".join(f"{line}\n" for line in lines), headers={"Content-Type": CSV})
    return as_xml("results", "".join(f"<result>{_xml_result(result)}</result>" for result in batch.results))


def told_files(result_id: str, content_type: str) -> Reply:
    """Return the ids of a query batch's files."""
    if content_type == "JSON":
        return as_json([result_id])
    return as_xml("result-list", f"<result>{result_id}</result>")


def refused(error: CallError, *, json_form: bool) -> Reply:
    """Return a failure as an answer. Refusals that Bulk API 2.0 shares begin their message with the code."""
    name, found, rest = error.message.partition(" : ")
    shared = found and name.upper() == error.code
    code, message = (name, rest) if shared else (_NAMES.get(error.code, error.code), error.message)
    info = {"exceptionCode": code, "exceptionMessage": message}
    return as_json(info, error.status) if json_form else as_xml("error", _elements(info), error.status)


def as_json(body: Any, status: int = 200) -> Reply:
    """Return an answer in JSON."""
    return Reply(json.dumps(body, ensure_ascii=False), status=status, headers={"Content-Type": JSON})


def as_xml(name: str, content: str, status: int = 200) -> Reply:
    """Return an answer in XML; ``content`` is escaped already."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><{name}\n   xmlns="{NAMESPACE}">{content}</{name}>'
    return Reply(text, status=status, headers={"Content-Type": XML})


def _elements(info: Mapping[str, Any]) -> str:
    return "".join(f"<{name}>{escape(_xml_text(name, value))}</{name}>" for name, value in info.items())


def _xml_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text.replace("+0000", "Z") if name in _TIMES else text


def _csv_result(result: Mapping[str, Any]) -> str:
    error = "".join(
        f"{one['statusCode']}:{one['message']}:{','.join(one['fields'])}{' ' if one['fields'] else ''}--"
        for one in result["errors"]
    )
    cells = [result["id"] or "", _xml_text("", result["success"]), _xml_text("", result["created"]), error]
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


def _xml_result(result: Mapping[str, Any]) -> str:
    errors = "".join(
        f"<errors>{''.join(_elements({'fields': name}) for name in one['fields'])}"
        f"{_elements({'message': one['message'], 'statusCode': one['statusCode']})}</errors>"
        for one in result["errors"]
    )
    known = {"id": result["id"]} if result["id"] else {}
    return errors + _elements({**known, "success": result["success"], "created": result["created"]})
