"""``/jobs/ingest`` and ``/jobs/query``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.bulk import info, jobs, results
from crmsync.testing.salesforce.bulk.creating import new_ingest_job, new_query_job
from crmsync.testing.salesforce.bulk.refusals import bad_property, named_refusal, refusal, wrong_state
from crmsync.testing.salesforce.errors import not_found
from crmsync.testing.salesforce.ids import make_id
from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crmsync.testing.salesforce.bulk.jobs import IngestJob, Job, QueryJob
    from crmsync.testing.salesforce.errors import CallError

FIRST_INGEST_VERSION: Final = 41.0
FIRST_QUERY_VERSION: Final = 47.0
FIRST_VERSION_WITH_RESULT_PAGES: Final = 58.0
LISTED_JOBS: Final = 1_000
PARALLEL_PAGES: Final = 5
#: The locator of a list of jobs, to which the place is added.
LIST_LOCATOR: Final = make_id("01g", 750)
CSV: Final = "text/csv"


def create_ingest(call: Call) -> Reply:
    """Create a job. In a multipart request that brings its data, the job is closed at once."""
    _require_version(call, FIRST_INGEST_VERSION)
    job = new_ingest_job(call)
    return Reply(info.created_info(job))


def list_ingest(call: Call) -> Reply:
    """List the ingest jobs."""
    _require_version(call, FIRST_INGEST_VERSION)
    bulk = call.org.bulk
    bulk.forget_old(call.org.now())
    return _listed(call, "ingest", bulk.ingest.values(), "V2Ingest")


def read_ingest(call: Call) -> Reply:
    """Tell how a job stands."""
    return Reply(info.full_info(_ingest(call), call.org.bulk.options))


def upload(call: Call) -> Reply:
    """Take the data of an open job, once: 201."""
    job = _ingest(call)
    if job.state != jobs.OPEN:
        raise named_refusal("InvalidJobState", f"Job must be in state Open to take data, it is {job.state}")
    if job.data is not None:
        message = (
            f"Found multipe contents for job: <{job.id[:15]}>, please 'Close' / 'Abort' / 'Delete' the current Job"
            " then create a new Job and make sure you only do 'PUT' once on a given Job."
        )
        raise refusal("BULK_API_ERROR", message)
    if not call.org.bulk.options.takes(call.body):
        # "Upload Job Data" gives the limit, but no answer.
        limit = call.org.bulk.options.max_upload_bytes
        message = f"Job data is limited to {limit} bytes of base64 encoded content"
        raise named_refusal("ExceededQuota", message, status=413)
    job.data = call.body
    return Reply(status=201)


def close_or_abort_ingest(call: Call) -> Reply:
    """Let Salesforce begin with a job, or give it up."""
    job, now = _ingest(call), call.org.now()
    wanted = call.json_object().get("state")
    if wanted == jobs.UPLOAD_COMPLETE:
        if job.state != jobs.OPEN:
            raise _already("Closing", job)
        call.org.bulk.close(job, now, call.org.faults.bulk.take())
    elif wanted == jobs.ABORTED:
        _abort(call, job)
    else:
        raise bad_property("state", wanted)
    return Reply(info.short_info(job))


def delete_ingest(call: Call) -> Reply:
    """Forget a job that is not at work: 204."""
    job = _ingest(call)
    # "Delete a Job": UploadComplete, JobComplete, Aborted or Failed.
    if job.state in (jobs.OPEN, jobs.IN_PROGRESS):
        raise named_refusal("InvalidJobState", f"Deleting a Job in state {job.state} not allowed")
    del call.org.bulk.ingest[job.id]
    return Reply(status=204)


_INGEST_RESULTS: Final[dict[str, Callable[[IngestJob], str]]] = {
    "successfulresults": results.successful,
    "failedresults": results.failed,
    "unprocessedrecords": results.unprocessed,
}


def ingest_results(call: Call) -> Reply:
    """Return records of a job that is over as CSV. Clients write ``unprocessedrecords`` with and without a capital."""
    job = _ingest(call)
    make = _INGEST_RESULTS.get(call.params["resource"].lower())
    if make is None:
        raise not_found()
    if not job.is_final:
        raise named_refusal("InvalidJobState", f"Job has no results yet, its state is {job.state}")
    return Reply(make(job), media_type=CSV)


def create_query(call: Call) -> Reply:
    """Create a query job, which is closed from the start."""
    _require_version(call, FIRST_QUERY_VERSION)
    return Reply(info.created_info(new_query_job(call)))


def list_query(call: Call) -> Reply:
    """List the query jobs, or with ``jobType=V2Ingest`` the others."""
    _require_version(call, FIRST_QUERY_VERSION)
    bulk = call.org.bulk
    bulk.forget_old(call.org.now())
    if call.query.get("jobType") == "V2Ingest":
        return _listed(call, "query", bulk.ingest.values(), "V2Ingest")
    return _listed(call, "query", bulk.query.values(), "V2Query")


def read_query(call: Call) -> Reply:
    """Tell how a job stands."""
    return Reply(info.full_info(_query(call), call.org.bulk.options))


def abort_query(call: Call) -> Reply:
    """Give a job up."""
    job = _query(call)
    wanted = call.json_object().get("state")
    if wanted != jobs.ABORTED:
        raise bad_property("state", wanted)
    _abort(call, job)
    return Reply(info.short_info(job))


def delete_query(call: Call) -> Reply:
    """Forget a job that is over: 204."""
    job = _query(call)
    if not job.is_final:
        raise named_refusal("InvalidJobState", f"Deleting a Job in state {job.state} not allowed")
    del call.org.bulk.query[job.id]
    return Reply(status=204)


def query_results(call: Call) -> Reply:
    """Return a page of a job's results as CSV."""
    job = _complete_query(call)
    page = results.page(job, call.query.get("locator"), _page_size(call))
    headers = {"Sforce-NumberOfRecords": str(page.count), "Sforce-Locator": page.next_locator or "null"}
    return Reply(page.text, headers=headers, media_type=CSV)


def result_pages(call: Call) -> Reply:
    """Return the URLs of up to five pages of results, to be fetched side by side."""
    _require_version(call, FIRST_VERSION_WITH_RESULT_PAGES)
    job = _complete_query(call)
    size = call.org.bulk.options.page_records
    start = results.place_of(job, call.query.get("locator"))
    stop = start + PARALLEL_PAGES * size
    root = f"{call.data_root}/jobs/query/{job.id}"
    pages = [
        {"resultUrl": f"{root}/results?locator={results.locator_of(job, place)}"}
        for place in range(start, max(min(stop, len(job.rows)), start + 1), size)
    ]
    done = stop >= len(job.rows)
    following = None if done else f"{root}/resultPages?locator={results.locator_of(job, stop)}"
    return Reply({"resultPages": pages, "nextRecordsUrl": following, "done": done})


def _require_version(call: Call, first: float) -> None:
    if float(call.version) < first:
        raise not_found()


def _ingest(call: Call) -> IngestJob:
    _require_version(call, FIRST_INGEST_VERSION)
    call.org.bulk.forget_old(call.org.now())
    return call.org.bulk.find_ingest(call.params["job"])


def _query(call: Call) -> QueryJob:
    _require_version(call, FIRST_QUERY_VERSION)
    call.org.bulk.forget_old(call.org.now())
    return call.org.bulk.find_query(call.params["job"])


def _complete_query(call: Call) -> QueryJob:
    job = _query(call)
    if job.version != call.version:
        # "Get Results for a Query Job" names the status, not the code.
        raise named_refusal("InvalidVersion", f"The job was created with API version {job.version}", status=409)
    if job.state != jobs.JOB_COMPLETE:
        # As "Get Results for a Query Job" showed it for v48.0; later editions do not show the body.
        message = (
            "can only download query results of successfully completed bulk job with status: JOB_COMPLETE. Current"
            f" status: {jobs.UPPER_STATES[job.state]}"
        )
        raise refusal("JOB_NOT_COMPLETE", message, status=412)
    return job


def _page_size(call: Call) -> int:
    text = call.query.get("maxRecords")
    if text is None:
        return call.org.bulk.options.page_records
    if not text.isdecimal() or int(text) < 1:
        raise bad_property("maxRecords", text)
    return int(text)


def _abort(call: Call, job: Job) -> None:
    if job.is_final:
        raise _already("Aborting", job)
    job.move(jobs.ABORTED, call.org.now())


def _already(verb: str, job: Job) -> CallError:
    done = {jobs.JOB_COMPLETE: "Completed", jobs.UPLOAD_COMPLETE: "Closed", jobs.IN_PROGRESS: "Closed"}
    return wrong_state(f"{verb} already {done.get(job.state, job.state)} Job not allowed")


def _listed(call: Call, kind: str, found: Iterable[Job], job_type: str) -> Reply:
    wanted, query = list(found), call.query
    if query.get("isPkChunkingEnabled", "").lower() == "true" or query.get("jobType", job_type) != job_type:
        wanted = []
    start = _list_place(query.get("queryLocator"))
    stop = start + LISTED_JOBS
    done = stop >= len(wanted)
    url = None if done else f"{call.data_root}/jobs/{kind}?queryLocator={LIST_LOCATOR}-{stop}"
    body: dict[str, Any] = {"done": done, "records": [info.listed_info(job) for job in wanted[start:stop]]}
    return Reply({**body, "nextRecordsUrl": url})


def _list_place(locator: str | None) -> int:
    if locator is None:
        return 0
    head, _, place = locator.rpartition("-")
    if head != LIST_LOCATOR or not place.isdecimal():
        raise refusal("INVALID_QUERY_LOCATOR", "invalid query locator")
    return int(place)


ROUTES: RouteTable = (
    ("/jobs/ingest", {"GET": list_ingest, "POST": create_ingest}),
    ("/jobs/ingest/{job}", {"GET": read_ingest, "PATCH": close_or_abort_ingest, "DELETE": delete_ingest}),
    ("/jobs/ingest/{job}/batches", {"PUT": upload}),
    ("/jobs/ingest/{job}/{resource}", {"GET": ingest_results}),
    ("/jobs/query", {"GET": list_query, "POST": create_query}),
    ("/jobs/query/{job}", {"GET": read_query, "PATCH": abort_query, "DELETE": delete_query}),
    ("/jobs/query/{job}/results", {"GET": query_results}),
    ("/jobs/query/{job}/resultPages", {"GET": result_pages}),
)
