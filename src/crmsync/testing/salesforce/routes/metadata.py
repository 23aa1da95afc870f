"""Versions, resources and describes."""

from __future__ import annotations

from typing import Final

from crmsync.testing.salesforce.describing import describe_object, summarize_object
from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable
from crmsync.testing.salesforce.routes.conditions import is_unchanged, last_modified

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
    names = (
        *("tooling", "queryAll", "search", "composite", "parameterizedSearch"),
        *("limits", "query", "jobs", "sobjects"),
    )
    body = {name: f"{call.data_root}/{name}" for name in names}
    return Reply({**body, "identity": f"{call.base_url}/id/{call.org.org_id}/{call.user_id}"})


def describe_global(call: Call) -> Reply:
    """List the objects, or 304 where none has changed since ``If-Modified-Since``."""
    changed = call.org.described.replace(microsecond=0)
    if is_unchanged(call, changed):
        return Reply(status=304, headers=last_modified(changed))
    objects = [summarize_object(table.definition, data_root=call.data_root) for table in call.tables.values()]
    body = {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": objects}
    return Reply(body, headers=last_modified(changed))


def basic_information(call: Call) -> Reply:
    """Return an object's summary and its recent items, of which the emulator keeps none."""
    summary = summarize_object(call.table().definition, data_root=call.data_root)
    return Reply({"objectDescribe": summary, "recentItems": []})


def describe(call: Call) -> Reply:
    """Return an object's describe, or 304 where it has not changed since ``If-Modified-Since``."""
    definition = call.table().definition
    changed = call.org.described.replace(microsecond=0)
    if is_unchanged(call, changed):
        return Reply(status=304, headers=last_modified(changed))
    objects = {name: table.definition for name, table in call.tables.items()}
    body = describe_object(definition, objects, data_root=call.data_root, instance_url=call.base_url)
    return Reply(body, headers=last_modified(changed))


ROUTES: RouteTable = (
    ("", {"GET": resources}),
    ("/sobjects", {"GET": describe_global}),
    ("/sobjects/{object}/describe", {"GET": describe}),
)
