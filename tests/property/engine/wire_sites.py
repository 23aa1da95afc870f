"""The sites of a history over the wire: a table of the application's, and orgs of the emulator, with people in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from crmsync.testing.salesforce import RowError, SalesforceOrg
from crmsync.testing.world import FakeClock
from tests.property.engine.sites import LATE, OBJECT, Conditions, Sites

NAMES = {
    "Surname": "LastName",
    "Name": "FirstName",
    "City": "MailingCity",
    "Note": "Description",
    "Email": "Email",
    "Tags": "MarkMail_Tags__c",
    "OptedOut": "HasOptedOutOfEmail",
}
"""The stage's names of a CRM's fields, in Salesforce."""

BORN = {"OptedOut": False}
"""What a contact has that was created without it."""

KEY = "MarkMail_Id__c"
"""Where a contact has the application's id, in an org that has such a field."""

REFUSED = "evil"
"""What a rule of the CRM does not want in a name."""


class OrgPeople:
    """The contacts of an org as the stage's people see them, in the browser."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org

    def snapshot(self) -> dict[str, dict[str, object]]:
        """The living ones by id."""
        return {contact["Id"]: shown(contact) for contact in self._records()}

    def keys(self) -> dict[str, str]:
        """The id of the living one that carries each external key."""
        keyed = ((contact.get(KEY), contact["Id"]) for contact in self._records())
        return {key: record for key, record in keyed if key}

    def _records(self) -> list[dict[str, Any]]:
        return list(self.org.records(OBJECT))

    def add(self, values: dict[str, object]) -> str:
        """Somebody enters one."""
        given = {NAMES[name]: _cell(value) for name, value in values.items()}
        return str(self.org.create(OBJECT, {"LastName": str(values["Email"]).partition("@")[0], **given}))

    def edit(self, record_id: str, values: dict[str, object]) -> None:
        """Somebody edits one."""
        self.org.update(OBJECT, record_id, {NAMES[name]: _cell(value) for name, value in values.items()})

    def remove(self, record_id: str, *, merged_into: str | None = None) -> None:
        """Somebody deletes one, or merges it into another."""
        if merged_into is None:
            self.org.delete(OBJECT, record_id)
        else:
            self.org.merge(OBJECT, merged_into, [record_id])

    def restore(self, record_id: str) -> None:
        """Somebody brings one back from the recycle bin."""
        self.org.undelete(OBJECT, record_id)


class TablePeople:
    """The rows of the application's table, as the application writes them."""

    def __init__(self, engine: sa.Engine, *, scanned: bool) -> None:
        self._engine = engine
        self._scanned = scanned
        times = () if scanned else (sa.Column("updated_at", sa.DateTime), sa.Column("deleted_at", sa.DateTime))
        texts = ("email", "surname", "name", "city", "note", "tags")
        self._values = (*texts, "opted_out")
        self.table = sa.Table(
            "people",
            sa.MetaData(),
            sa.Column("id", sa.String(64), primary_key=True),
            *(sa.Column(name, sa.String(255)) for name in texts),
            sa.Column("opted_out", sa.Boolean),
            *times,
        )
        self.table.metadata.create_all(engine)
        self._made = 0

    def options(self) -> dict[str, Any]:
        """How to open it as a side."""
        times = {} if self._scanned else {"updated_at": "updated_at", "deleted_at": "deleted_at"}
        types = {"tags": "tags", "opted_out": "boolean", "email": "email"}
        return {"url": str(self._engine.url), "table": "people", "types": types, **times}

    def snapshot(self) -> dict[str, dict[str, object]]:
        """The living ones by id."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(self.table)).mappings().all()
        living = [row for row in rows if row.get("deleted_at") is None]
        return {row["id"]: {name: _shown(name, row[name]) for name in self._values} for row in living}

    def add(self, values: dict[str, object]) -> str:
        """Somebody enters one."""
        self._made += 1
        row = {"id": f"m{self._made}", "surname": str(values["email"]).partition("@")[0], **self._cells(values)}
        self._execute(sa.insert(self.table).values(row))
        return str(row["id"])

    def edit(self, record_id: str, values: dict[str, object]) -> None:
        """Somebody edits one."""
        self._execute(sa.update(self.table).where(self.table.c.id == record_id).values(self._cells(values)))

    def remove(self, record_id: str, *, merged_into: str | None = None) -> None:
        """Somebody deletes one; merged are only records of a CRM."""
        assert merged_into is None
        mine = self.table.c.id == record_id
        if self._scanned:
            self._execute(sa.delete(self.table).where(mine))
        else:
            self._execute(sa.update(self.table).where(mine).values(deleted_at=_now(), updated_at=_now()))

    def _cells(self, values: dict[str, object]) -> dict[str, object]:
        times = {} if self._scanned else {"updated_at": _now()}
        return {name: _cell(value) for name, value in values.items()} | times

    def _execute(self, statement: sa.Executable) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement)


class WireSites(Sites):
    """The sites, in the places of the stores in memory. ``by_run`` is whether a run is saving, and not a person."""

    refused = REFUSED
    refusal = "FirstName", "FIELD_CUSTOM_VALIDATION_EXCEPTION"

    def __init__(self, conditions: Conditions, clock: FakeClock, places: dict[str, Any]) -> None:
        super().__init__(conditions, clock)
        self.places = places
        self.by_run = False
        self.late = False

    def __getitem__(self, site: str) -> Any:
        return self.places[site]

    def settle(self, org: SalesforceOrg) -> None:
        """No trouble but what belongs to the org: a rule against bad names, and people whose saves commit late."""
        org.clear_faults()
        org.faults.reject(self._rule)
        if self.conditions.late:
            org.faults.commit_late(LATE.total_seconds(), lambda _name, _row: self.late)

    def _rule(self, name: str, row: Mapping[str, Any]) -> RowError | None:
        by_run = self.by_run and self.strict and not row.get("IsDeleted")
        bad = by_run and name == OBJECT and self.refused in str(row.get("FirstName"))
        return RowError(self.refusal[1], "refused by a rule", self.refusal[:1]) if bad else None


def shown(contact: Mapping[str, Any]) -> dict[str, object]:
    """A contact's values by the stage's names."""
    return {name: _shown(name, contact[field]) for name, field in NAMES.items()}


def _shown(name: str, value: Any) -> object:
    if name in ("tags", "Tags"):
        return tuple(part for part in (value or "").split(";") if part) or None
    return value


def _cell(value: object) -> object:
    return ";".join(value) or None if isinstance(value, tuple) else value


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
