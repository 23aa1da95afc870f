"""The records that an org has before anyone works in it: its users and its Organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crmsync.testing.salesforce import saving
from crmsync.testing.salesforce.ids import make_id
from crmsync.testing.salesforce.times import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from crmsync.testing.salesforce.org import SalesforceOrg
    from crmsync.testing.salesforce.store import Row, Table

API_USER_ID: Final = make_id("005", 1)
#: Who edits in the browser unless a test says otherwise.
OTHER_USER_ID: Final = make_id("005", 2)
API_USERNAME: Final = "api.user@emulator.example"


def seed_system_records(org: SalesforceOrg, user_ids: Iterable[str] = ()) -> None:
    """Give a new org its Organization and its users: the API's, the browser's and further ones."""
    now = org.now()
    people = {
        org.user_id: ("API", "User", API_USERNAME),
        OTHER_USER_ID: ("Other", "Person", "other.person@emulator.example"),
    }
    for user_id in user_ids:
        people.setdefault(user_id, ("Further", "Person", f"{user_id.lower()}@emulator.example"))
    for user_id, person in people.items():
        _put_user(org.tables["User"], user_id, person, now)
    organization: Row = {
        **saving.defaults(org.tables["Organization"].definition),
        "Id": org.org_id,
        "Name": "Emulated Org",
        "OrganizationType": "Developer Edition",
        "InstanceName": "EMU1",
        "CreatedDate": stamp(org.created),
        "CreatedById": org.user_id,
        **saving.touch(now, org.user_id),
    }
    org.tables["Organization"].put(organization)


def _put_user(table: Table, user_id: str, person: tuple[str, str, str], now: datetime) -> None:
    first, last, mail = person
    table.serial += 1
    row: Row = {
        **saving.defaults(table.definition),
        "Id": user_id,
        "FirstName": first,
        "LastName": last,
        "Name": f"{first} {last}",
        "Username": mail,
        "Email": mail,
        "Alias": first[:8].lower(),
        "UserType": "Standard",
        "CreatedDate": stamp(now),
        "CreatedById": user_id,
        **saving.touch(now, user_id),
    }
    table.put(row)
