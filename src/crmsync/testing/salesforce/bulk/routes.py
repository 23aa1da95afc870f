"""``/jobs/ingest`` and ``/jobs/query``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.bulk import jobs, results
from crmsync.testing.salesforce.bulk.creating import new_ingest_job, new_query_job
from crmsync.testing.salesforce.errors import CallError, not_found
from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crmsync.testing.salesforce.bulk.jobs import IngestJob, Job, QueryJob

FIRST_INGEST_VERSION: Final = 41.0
FIRST_QUERY_VERSION: Final = 47.0
FIRST_VERSION_WITH_RESULT_PAGES: Final = 58.0
LISTED_JOBS: Final = 1_000
PARALLEL_PAGES: Final = 5
CSV: Final = "text/csv"


def create_ingest(call: Call) -> Reply:
    """Create a job. In a multipart request that brings its data, the job is closed at once."""
    _require_version(call, FIRST_INGEST_VERSION)
    job = new_ingest_job(call)
    return Reply(jobs.created_info(job))


def list_ingest(call: Call) -> Reply:
    """List the ingest jobs."""
    _require_version(call, FIRST_INGEST_VERSION)
    return _listed(call, "ingest", call.org.bulk.ingest.values(), "V2Ingest")


def read_ingest(call: Call) -> Reply:
    """Tell how a job stands."""
    return Reply(jobs.full_info(_ingest(call)))


def upload(call: Call) -> Reply:
    """Take the data of an open job, once: 201."""
    job = _ingest(call)
    if job.state != jobs.OPEN:
        raise jobs.invalid_state(f"InvalidJobState : Job must be in state Open to take data, it is {job.state}")
    if job.data is not None:
        message = (
            f"Found multipe contents for job: <{job.id[:15]}>, please 'Close' / 'Abort' / 'Delete' the current Job"
            " then create a new Job and make sure you only do 'PUT' once on a given Job."
        )
        raise CallError(400, "BULK_API_ERROR", message, code_first=True)
    job.data = jobs.within_upload_limit(call.org.bulk.options, call.body)
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
        raise jobs.bad_property("state", wanted)
    return Reply(jobs.short_info(job))


def delete_ingest(call: Call) -> Reply:
    """Forget a job that is not at work: 204."""
    job = _ingest(call)
    # "Delete a Job": UploadComplete, JobComplete, Aborted or Failed.
    if job.state in (jobs.OPEN, jobs.IN_PROGRESS):
        raise jobs.invalid_state(f"InvalidJobState : Deleting a Job in state {job.state} not allowed")
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
        raise jobs.invalid_state(f"InvalidJobState : Job has no results yet, its state is {job.state}")
    return Reply(make(job), media_type=CSV)


def create_query(call: Call) -> Reply:
    """Create a query job, which is closed from the start."""
    _require_version(call, FIRST_QUERY_VERSION)
    return Reply(jobs.created_info(new_query_job(call)))


def list_query(call: Call) -> Reply:
    """List the query jobs, or with ``jobType=V2Ingest`` the others."""
    _require_version(call, FIRST_QUERY_VERSION)
    bulk = call.org.bulk
    if call.query.get("jobType") == "V2Ingest":
        return _listed(call, "query", bulk.ingest.values(), "V2Ingest")
    return _listed(call, "query", bulk.query.values(), "V2Query")


def read_query(call: Call) -> Reply:
    """Tell how a job stands."""
    return Reply(jobs.full_info(_query(call)))


def abort_query(call: Call) -> Reply:
    """Give a job up."""
    job = _query(call)
    wanted = call.json_object().get("state")
    if wanted != jobs.ABORTED:
        raise jobs.bad_property("state", wanted)
    _abort(call, job)
    return Reply(jobs.short_info(job))


def delete_query(call: Call) -> Reply:
    """Forget a job that is over: 204."""
    job = _query(call)
    if not job.is_final:
        raise jobs.invalid_state(f"InvalidJobState : Deleting a Job in state {job.state} not allowed")
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
    return call.org.bulk.find_ingest(call.params["job"])


def _query(call: Call) -> QueryJob:
    _require_version(call, FIRST_QUERY_VERSION)
    return call.org.bulk.find_query(call.params["job"])


def _complete_query(call: Call) -> QueryJob:
    job = _query(call)
    if job.version != call.version:
        # "Get Results for a Query Job" names the status, not the code.
        message = f"InvalidVersion : The job was created with API version {job.version}"
        raise CallError(409, "INVALIDVERSION", message, code_first=True)
    if job.state != jobs.JOB_COMPLETE:
        # As "Get Results for a Query Job" showed it for v48.0; later editions do not show the body.
        message = (
            "can only download query results of successfully completed bulk job with status: JOB_COMPLETE. Current"
            f" status: {jobs.UPPER_STATES[job.state]}"
        )
        raise CallError(412, "JOB_NOT_COMPLETE", message, code_first=True)
    return job


def _page_size(call: Call) -> int:
    text = call.query.get("maxRecords")
    if text is None:
        return call.org.bulk.options.page_records
    if not text.isdecimal() or int(text) < 1:
        raise jobs.bad_property("maxRecords", text)
    return int(text)


def _abort(call: Call, job: Job) -> None:
    if job.is_final:
        raise _already("Aborting", job)
    job.move(jobs.ABORTED, call.org.now())


def _already(verb: str, job: Job) -> CallError:
    done = {jobs.JOB_COMPLETE: "Completed", jobs.UPLOAD_COMPLETE: "Closed", jobs.IN_PROGRESS: "Closed"}
    return jobs.invalid_state(f"{verb} already {done.get(job.state, job.state)} Job not allowed")


def _listed(call: Call, kind: str, found: Iterable[Job], job_type: str) -> Reply:
    wanted, query = list(found), call.query
    if query.get("isPkChunkingEnabled", "").lower() == "true" or query.get("jobType", job_type) != job_type:
        wanted = []
    start = _list_place(query.get("queryLocator"))
    stop = start + LISTED_JOBS
    done = stop >= len(wanted)
    url = None if done else f"{call.data_root}/jobs/{kind}?queryLocator={jobs.LIST_LOCATOR}-{stop}"
    body: dict[str, Any] = {"done": done, "records": [jobs.listed_info(job) for job in wanted[start:stop]]}
    return Reply({**body, "nextRecordsUrl": url})


def _list_place(locator: str | None) -> int:
    if locator is None:
        return 0
    head, _, place = locator.rpartition("-")
    if head != jobs.LIST_LOCATOR or not place.isdecimal():
        raise CallError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
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
