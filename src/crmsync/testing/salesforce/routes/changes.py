"""The replication feeds: ids changed and ids deleted in a stretch of time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable
from crmsync.testing.salesforce.store import DELETED_DATE
from crmsync.testing.salesforce.times import parse_datetime, stamp

UPDATED_WINDOW: Final = timedelta(days=30)
DELETED_WINDOW: Final = timedelta(days=15)


def updated(call: Call) -> Reply:
    """Return the ids whose SystemModstamp is in the stretch, those in the recycle bin left out."""
    table = call.table()
    start, end = _stretch(call, UPDATED_WINDOW)
    rows = table.slice((stamp(start), ""), (stamp(end), ""))
    ids = [row["Id"] for row in rows if not row.get("IsDeleted")]
    _check_number(call, len(ids))
    return Reply({"ids": ids, "latestDateCovered": stamp(_covered(call, end))})


def deleted(call: Call) -> Reply:
    """Return the ids that went to the recycle bin in the stretch and are still there."""
    table = call.table()
    start, end = _stretch(call, DELETED_WINDOW)
    first, last = stamp(start), stamp(end)
    gone = [row for row in table.rows.values() if DELETED_DATE in row and first <= row[DELETED_DATE] < last]
    _check_number(call, len(gone))
    gone.sort(key=lambda row: (row[DELETED_DATE], row["Id"]))
    earliest = call.org.delete_log_start.get(table.definition.name, call.org.created)
    body = {
        "deletedRecords": [{"deletedDate": row[DELETED_DATE], "id": row["Id"]} for row in gone],
        "earliestDateAvailable": stamp(earliest),
        "latestDateCovered": stamp(_covered(call, end)),
    }
    return Reply(body)


def _stretch(call: Call, window: timedelta) -> tuple[datetime, datetime]:
    """Return the minutes that are asked for.

    An end in the future is taken: in "Get a List of Updated Records Within a Given Timeframe" and the page beside it on
    deleted ones (REST API Developer Guide) both answers cover the same minute, a day before the end, and in "Enterprise
    GetDeleted" (wiki.apexdevnet.com, recorded in 2007) the end is ten hours after the answer's Date header.

    :raises CallError: the object is none that can be replicated, or there is no such stretch. Of the first the status
        and the message are those of an org (github.com/MinnPost/object-sync-for-salesforce, issue 109, a getDeleted by
        API 40.0); clients go by the message alone (Databasedotcom's get_updated and get_deleted look for "is not
        replicable"). Its code was found in no recording, looked for twice: of the two faults that the partner WSDL has
        for these calls, InvalidSObjectFault fits.
    """
    definition = call.table().definition
    if not definition.replicateable:
        raise CallError(400, "INVALID_TYPE", f"sObject type {definition.name} is not replicable")
    start, end = _moment(call, "start"), _moment(call, "end")
    # "REST API Developer Guide", pages "sObject Get Updated" and "sObject Get Deleted": the seconds are ignored.
    start, end = start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0)
    now = call.org.now()
    if start >= end:
        raise _refused("endDate must be at least one minute greater than startDate")
    if start < now - window:
        raise _refused(f"startDate cannot be more than {window.days} days ago")
    if start < call.org.created:
        raise _refused("startDate before org replication enabled date")
    return start, end


def _check_number(call: Call, ids: int) -> None:
    if ids > call.org.faults.replicated_ids:
        raise CallError(400, "EXCEEDED_ID_LIMIT", "Too many ids in this time range. Choose a shorter one.")


def _moment(call: Call, name: str) -> datetime:
    # A plus sign that a client did not encode arrives as a space, which Salesforce refuses too.
    moment = parse_datetime(call.query.get(name, ""))
    if moment is None:
        raise CallError(400, "INVALID_REPLICATION_DATE", f"{name} is not a valid date-time with a time zone")
    return moment


def _refused(message: str) -> CallError:
    return CallError(400, "INVALID_REPLICATION_DATE", message)


def _covered(call: Call, end: datetime) -> datetime:
    """Until when everything is told. "GetUpdatedResult" (SOAP API Developer Guide): while a transaction runs on the
    instance, on whatever object, it is the beginning of that one, which may be before the start that was asked for.
    """
    org = call.org
    late = [entry.row["SystemModstamp"] for table in org.tables.values() for entry in table.late.values()]
    begun = [moment for text in late if (moment := parse_datetime(text)) is not None]
    return min([end, org.now() - timedelta(seconds=org.faults.covered_lag), *begun])


ROUTES: RouteTable = (
    ("/sobjects/{object}/updated", {"GET": updated}),
    ("/sobjects/{object}/deleted", {"GET": deleted}),
)
