"""Resources, describes, limits and record counts."""

from __future__ import annotations

from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final

from crmsync.testing.salesforce.describing import describe_object, summarize_object
from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable

FIRST_LISTED_VERSION: Final = 41
#: The API End-of-Life policy: 21.0 to 30.0 retired in Summer '25, so 31.0 is the oldest that still answers.
FIRST_LIVE_VERSION: Final = 31
_SEASONS: Final = ("Winter", "Spring", "Summer")


def versions(newest: int) -> list[dict[str, str]]:
    """Return the answer of ``/services/data``: v41.0 is Winter '18, and three versions come a year."""
    listed: list[dict[str, str]] = []
    for number in range(FIRST_LISTED_VERSION, newest + 1):
        year, season = divmod(number - FIRST_LISTED_VERSION, 3)
        label = f"{_SEASONS[season]} '{18 + year}"
        listed.append({"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"})
    return listed


def resources(call: Call) -> Reply:
    """List the resources of a version."""
    names = ("sobjects", "query", "queryAll", "limits", "composite", "jobs")
    body = {name: f"{call.data_root}/{name}" for name in names}
    return Reply({**body, "identity": f"{call.base_url}/id/{call.org.org_id}/{call.user_id}"})


def describe_global(call: Call) -> Reply:
    """List the objects."""
    objects = [summarize_object(table.definition, data_root=call.data_root) for table in call.tables.values()]
    return Reply({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects})


def basic_information(call: Call) -> Reply:
    """Return an object's summary and its recent items, of which the emulator keeps none."""
    summary = summarize_object(call.table().definition, data_root=call.data_root)
    return Reply({"objectDescribe": summary, "recentItems": []})


def describe(call: Call) -> Reply:
    """Return an object's describe, or 304 where it has not changed since ``If-Modified-Since``."""
    definition = call.table().definition
    changed = call.org.described.replace(microsecond=0)
    headers = {"Last-Modified": format_datetime(changed, usegmt=True)}
    since = call.headers.get("if-modified-since")
    if since is not None and changed <= _http_date(since):
        return Reply(status=304, headers=headers)
    objects = {name: table.definition for name, table in call.tables.items()}
    body = describe_object(definition, objects, data_root=call.data_root, instance_url=call.base_url)
    return Reply(body, headers=headers)


def _http_date(text: str) -> Any:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        raise CallError(400, "MALFORMED_DATE", f"invalid HTTP date: {text}") from None


def limits(call: Call) -> Reply:
    """Return the org's limits: API calls and bulk jobs are counted, the others as in an untouched Developer Edition."""
    bulk, now = call.org.bulk, call.org.now()
    counted = {
        "DailyApiRequests": (call.org.daily_limit, call.org.api_calls),
        "DailyBulkApiBatches": (bulk.options.batches_a_day, bulk.batches_used(now)),
        "DailyBulkV2QueryJobs": (bulk.options.query_jobs_a_day, bulk.query_jobs_used(now)),
    }
    untouched = {
        "DailyBulkV2QueryFileStorageMB": 976_562,
        "DailyAsyncApexExecutions": 250_000,
        "DataStorageMB": 5,
        "FileStorageMB": 20,
        "SingleEmail": 15,
        "MassEmail": 10,
    }
    body = {name: {"Max": limit, "Remaining": max(limit - used, 0)} for name, (limit, used) in counted.items()}
    body |= {name: {"Max": number, "Remaining": number} for name, number in untouched.items()}
    return Reply(dict(sorted(body.items())))


def record_count(call: Call) -> Reply:
    """Count the records outside the recycle bin, of all objects or those of ``?sObjects=``."""
    names = [name.strip() for name in call.query.get("sObjects", "").split(",") if name.strip()]
    tables = call.tables if not names else {n: t for n, t in call.tables.items() if n in names}
    now = call.org.now()
    counts: list[dict[str, Any]] = []
    for name, table in tables.items():
        table.settle(now)
        counts.append({"count": sum(1 for row in table.rows.values() if not row.get("IsDeleted")), "name": name})
    return Reply({"sObjects": counts})


ROUTES: RouteTable = (
    ("", {"GET": resources}),
    ("/sobjects", {"GET": describe_global}),
    ("/sobjects/{object}/describe", {"GET": describe}),
    ("/limits", {"GET": limits}),
    ("/limits/recordCount", {"GET": record_count}),
)
