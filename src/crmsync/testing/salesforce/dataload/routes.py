"""``/services/async/XX.X/job``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.bulk.creating import external_id_field, object_for
from crmsync.testing.salesforce.dataload import forms
from crmsync.testing.salesforce.dataload.forms import exception, is_json
from crmsync.testing.salesforce.dataload.jobs import (
    ABORTED,
    CLOSED,
    COMPLETED,
    CONTENT_TYPES,
    NOT_PROCESSED,
    OPEN,
    READING,
    SAVING,
    Batch,
    LoadJob,
)
from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.routes.answering import handler_for, live_version
from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crmsync.testing.salesforce.org import SalesforceOrg
    from crmsync.testing.salesforce.routes.call import Handler

MAX_BATCH_BYTES: Final = 10_000_000
#: simple-salesforce sends the numbers.
_MODES: Final = {"0": "Parallel", "1": "Serial", "parallel": "Parallel", "serial": "Serial", "": "Parallel"}
_CONTENT_TYPES: Final = {"CSV": forms.CSV, "JSON": forms.JSON, "XML": forms.XML}


def create_job(call: Call) -> Reply:
    """Create a job: 201."""
    body, now = forms.read_info(call.body, json_form=is_json(call.headers)), call.org.now()
    operation, content_type = str(body.get("operation") or ""), str(body.get("contentType") or "XML")
    if operation not in (*SAVING, *READING):
        raise exception("InvalidJob", f"Unknown operation: {operation}")
    if content_type not in CONTENT_TYPES or (operation in READING and content_type == "XML"):
        raise exception("InvalidJob", f"Unsupported content type: {content_type}")
    mode = _MODES.get(str(body.get("concurrencyMode", "")).lower())
    if mode is None:
        raise exception("InvalidJob", f"Unknown concurrencyMode: {body['concurrencyMode']}")
    definition = object_for(call, operation, str(body.get("object") or ""))
    job = LoadJob(
        id=call.org.bulk.next_id(),
        operation=operation,
        object_name=definition.name,
        content_type=content_type,
        version=call.version,
        created_by=call.user_id,
        created_at=now,
        modified_at=now,
        concurrency=mode,
        external_id_field=external_id_field(definition, body) if operation == "upsert" else None,
    )
    call.org.loads.by_id[job.id] = job
    return forms.told("jobInfo", forms.job_info(job), json_form=is_json(call.headers), status=201)


def read_job(call: Call) -> Reply:
    """Tell how a job stands."""
    return forms.told("jobInfo", forms.job_info(_job(call)), json_form=is_json(call.headers))


def close_or_abort(call: Call) -> Reply:
    """Take no further batches of a job, or give it up with those that are not done."""
    job, now = _job(call), call.org.now()
    wanted = forms.read_info(call.body, json_form=is_json(call.headers)).get("state")
    if wanted not in (CLOSED, ABORTED):
        raise exception("InvalidJobState", f"Unknown state: {wanted}")
    if job.state == ABORTED or (job.state == CLOSED and wanted == CLOSED):
        raise exception("InvalidJobState", f"Closing already {job.state} Job not allowed")
    job.state, job.modified_at = wanted, now
    if wanted == ABORTED:
        for batch in job.batches:
            if not batch.is_final:
                batch.move(NOT_PROCESSED, now)
    return forms.told("jobInfo", forms.job_info(job), json_form=is_json(call.headers))


def add_batch(call: Call) -> Reply:
    """Take a batch: 201. Salesforce begins with it at once."""
    job, org = _job(call), call.org
    now = org.now()
    if job.state != OPEN:
        raise exception("InvalidJobState", f"Unable to add batch to {job.state} job")
    if len(call.body) > MAX_BATCH_BYTES:
        raise exception("ClientInputError", f"Failed to read request. Exceeded max size limit of {MAX_BATCH_BYTES}")
    sent = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != _CONTENT_TYPES[job.content_type]:
        raise exception(
            "InvalidBatch", f"Content type of request, {sent}, does not match the job's, {job.content_type}"
        )
    if org.bulk.batches_used(now) >= org.bulk.options.batches_a_day:
        raise exception("ExceededQuota", "ApiBatchItems Limit exceeded.")
    org.bulk.batches.append((now, 1))
    batch = Batch(
        id=org.loads.next_id("751"),
        job_id=job.id,
        data=call.body,
        created_at=now,
        modified_at=now,
        closed_at=now,
        fault=org.faults.bulk.take(),
    )
    job.batches.append(batch)
    return forms.told("batchInfo", forms.batch_info(batch), json_form=is_json(call.headers), status=201)


def list_batches(call: Call) -> Reply:
    """Tell how all batches of a job stand."""
    return forms.told_all(_job(call).batches, json_form=is_json(call.headers))


def read_batch(call: Call) -> Reply:
    """Tell how a batch stands."""
    return forms.told("batchInfo", forms.batch_info(_batch(call, _job(call))), json_form=is_json(call.headers))


def read_request(call: Call) -> Reply:
    """Return a batch as it was sent."""
    job = _job(call)
    text = _batch(call, job).data.decode("utf-8", "replace")
    return Reply(text, headers={"Content-Type": _CONTENT_TYPES[job.content_type]})


def read_results(call: Call) -> Reply:
    """Return what became of a batch's rows, or the ids of a query's files."""
    job, batch = _done(call)
    if job.reads:
        return forms.told_files(batch.result_id, job.content_type)
    return forms.told_results(batch, job.content_type)


def read_file(call: Call) -> Reply:
    """Return the file of a query batch."""
    job, batch = _done(call)
    if not job.reads or call.params["result"] != batch.result_id:
        raise exception("InvalidBatch", f"Unable to find result: {call.params['result']}")
    return Reply(batch.result, headers={"Content-Type": _CONTENT_TYPES[job.content_type]})


def _job(call: Call) -> LoadJob:
    job = call.org.loads.find(call.params["job"], call.org.now())
    if job is None:
        raise exception("InvalidJob", f"Unable to find job: {call.params['job']}")
    if job.version != call.version:
        raise exception("InvalidVersion", f"The job was created with API version {job.version}")
    return job


def _batch(call: Call, job: LoadJob) -> Batch:
    batch = job.find(call.params["batch"])
    if batch is None:
        raise exception("InvalidBatch", f"Unable to find batch: {call.params['batch']}")
    return batch


def _done(call: Call) -> tuple[LoadJob, Batch]:
    job = _job(call)
    batch = _batch(call, job)
    if not batch.is_final:
        raise exception("InvalidBatch", "Batch not completed")
    if batch.state != COMPLETED and not batch.results:
        raise exception("InvalidBatch", "Records not processed")
    return job, batch


ROUTES: RouteTable = (
    ("/job", {"POST": create_job}),
    ("/job/{job}", {"GET": read_job, "POST": close_or_abort}),
    ("/job/{job}/batch", {"GET": list_batches, "POST": add_batch}),
    ("/job/{job}/batch/{batch}", {"GET": read_batch}),
    ("/job/{job}/batch/{batch}/request", {"GET": read_request}),
    ("/job/{job}/batch/{batch}/result", {"GET": read_results}),
    ("/job/{job}/batch/{batch}/result/{result}", {"GET": read_file}),
)


def serve(org: SalesforceOrg, template: str, handlers: Mapping[str, Handler], **request: Any) -> Reply:
    """Answer a call, failures too. ``request`` is what a :class:`Call` is made of.

    A session is told by ``X-SFDC-Session``; one that is not, or no longer, known gets 400, as recorded.
    """
    headers: Mapping[str, str] = request["headers"]
    try:
        token = headers.get("x-sfdc-session")
        if not token:
            raise exception("InvalidSessionId", "Unable to find session id")
        session = org.oauth.use_session(token, org.now())
        if session is None or not {"api", "full"} & set(session.scopes):
            raise exception("InvalidSessionId", "Invalid session id")
        version = live_version(org, request.pop("version"))
        handler = handler_for(handlers, request["method"])
        if not org.spend_call(f"{request['method']} /services/async{template}"):
            raise exception("ExceededQuota", "TotalRequests Limit exceeded.")
        return handler(Call(org=org, version=version, user_id=session.user_id, **request))
    except CallError as error:
        return forms.refused(error, json_form=is_json(headers))
