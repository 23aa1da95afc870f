"""The control API, ``/__emulator__/``: what a test or a demo does to the org from outside. Bodies are JSON objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.bulk.control import set_bulk
from crmsync.testing.salesforce.conversion import Conversion
from crmsync.testing.salesforce.oauth.control import set_sign_in
from crmsync.testing.salesforce.routes.control_faults import set_faults
from crmsync.testing.salesforce.routes.control_rules import set_permissions, set_rules
from crmsync.testing.salesforce.seeding import OTHER_USER_ID
from crmsync.testing.salesforce.state import dump_state, load_state, save_file
from crmsync.testing.salesforce.times import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crmsync.testing.salesforce.org import SalesforceOrg


def status(org: SalesforceOrg, _: Any) -> dict[str, Any]:
    """Return the clock, the counters and the number of live records of each object."""
    counts = {
        name: sum(1 for row in table.all_newest() if not row.get("IsDeleted")) for name, table in org.tables.items()
    }
    return {"now": stamp(org.now()), "api_calls": org.api_calls, "calls": dict(org.calls), "records": counts}


def reset_counters(org: SalesforceOrg, _: Any) -> dict[str, Any]:
    """Forget the calls counted."""
    org.reset_counters()
    return {}


def advance(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Set the clock forward by ``seconds``."""
    org.advance(float(body["seconds"]))
    return {"now": stamp(org.now())}


def save_records(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Create, or with an ``Id`` change, ``records`` of ``object`` as user ``by``; all or none."""
    name, by = str(body["object"]), str(body.get("by", OTHER_USER_ID))
    ids: list[str] = []
    with org.transaction():
        for record in body["records"]:
            values = {key: value for key, value in record.items() if key != "Id"}
            if "Id" in record:
                org.update(name, record["Id"], values, by=by)
                ids.append(record["Id"])
            else:
                ids.append(org.create(name, values, by=by))
    return {"ids": ids}


def delete_records(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Move the records ``ids`` of ``object`` to the recycle bin as user ``by``; all or none."""
    with org.transaction():
        for record_id in body["ids"]:
            org.delete(str(body["object"]), record_id, by=str(body.get("by", OTHER_USER_ID)))
    return {}


def undelete_records(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the records ``ids`` of ``object`` back from the recycle bin as user ``by``; all or none."""
    with org.transaction():
        for record_id in body["ids"]:
            org.undelete(str(body["object"]), record_id, by=str(body.get("by", OTHER_USER_ID)))
    return {}


def merge_records(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the records ``losers`` of ``object`` into ``master``, which gets ``values``, as user ``by``."""
    by = str(body.get("by", OTHER_USER_ID))
    org.merge(str(body["object"]), body["master"], body["losers"], body.get("values"), by=by)
    return {}


def convert_lead(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Convert ``lead`` as user ``by``; the other members are those of :class:`Conversion`."""
    options = {key: value for key, value in body.items() if key not in ("lead", "by")}
    converted = org.convert_lead(body["lead"], Conversion(**options), by=str(body.get("by", OTHER_USER_ID)))
    return {"contact_id": converted.contact_id, "account_id": converted.account_id}


def read_records(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the records of ``object``; with ``deleted`` those in the recycle bin too."""
    return {"records": org.records(str(body["object"]), deleted=bool(body.get("deleted", False)))}


def dump(org: SalesforceOrg, _: Any) -> dict[str, Any]:
    """Return the org's whole state."""
    return dump_state(org)


def load(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the org's state by one that ``dump`` returned."""
    load_state(org, body)
    return {}


def save(org: SalesforceOrg, _: Any) -> dict[str, Any]:
    """Write the state file now.

    :raises ValueError: the org has none.
    """
    if org.state_file is None:
        raise ValueError("this emulator keeps no state file")
    save_file(org, org.state_file)
    return {"path": str(org.state_file)}


Act = Callable[["SalesforceOrg", Any], Any]
ROUTES: Final[tuple[tuple[str, tuple[str, ...], Act], ...]] = (
    ("/__emulator__", ("GET",), status),
    ("/__emulator__/reset-counters", ("POST",), reset_counters),
    ("/__emulator__/advance", ("POST",), advance),
    ("/__emulator__/records", ("POST",), save_records),
    ("/__emulator__/records/read", ("POST",), read_records),
    ("/__emulator__/records/delete", ("POST",), delete_records),
    ("/__emulator__/records/undelete", ("POST",), undelete_records),
    ("/__emulator__/records/merge", ("POST",), merge_records),
    ("/__emulator__/records/convert", ("POST",), convert_lead),
    ("/__emulator__/faults", ("POST",), set_faults),
    ("/__emulator__/bulk", ("POST",), set_bulk),
    ("/__emulator__/rules", ("POST",), set_rules),
    ("/__emulator__/permissions", ("POST",), set_permissions),
    ("/__emulator__/oauth", ("POST",), set_sign_in),
    ("/__emulator__/state", ("GET",), dump),
    ("/__emulator__/state", ("PUT",), load),
    ("/__emulator__/save", ("POST",), save),
)
