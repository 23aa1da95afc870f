"""Saving one row of an ingest job, for each of the operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from attrs import define, field

from crmsync.testing.salesforce.errors import RowError
from crmsync.testing.salesforce.ids import canonical_id
from crmsync.testing.salesforce.org import MultipleMatchesError

if TYPE_CHECKING:
    from crmsync.testing.salesforce.org import SalesforceOrg
    from crmsync.testing.salesforce.schema import FieldDef
    from crmsync.testing.salesforce.store import Table

#: The id of a saved record and whether it was created.
Outcome: TypeAlias = tuple[str, bool]


@define
class RowSaver:
    """Saves the rows of a job as its creator.

    One external id may come once in a chunk: the chunk is a transaction of its own, and a second row of the same id is
    refused. In a later chunk it is an update.
    """

    org: SalesforceOrg
    table: Table
    by: str
    operation: str
    key: FieldDef | None = None
    _seen: set[str] = field(factory=set)

    def begin_chunk(self) -> None:
        """Forget the external ids of the chunk before."""
        self._seen.clear()

    def known_id(self, values: Mapping[str, Any]) -> str:
        """Return the id of the record that a refused row is about, empty if there is none."""
        if self.key is not None and self.key.name != "Id":
            found = self.table.live_matching(self.key.name, str(values.get(self.key.name) or ""))
            return str(found[0]["Id"]) if len(found) == 1 else ""
        return str(values.get("Id") or "")

    def save(self, values: dict[str, Any]) -> Outcome:
        """Save a row by the job's operation.

        :raises RowError: as Salesforce would refuse it.
        """
        return _OPERATIONS[self.operation](self, values)

    def insert(self, values: dict[str, Any]) -> Outcome:
        """Create a record."""
        if "Id" in values:
            raise RowError("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ("Id",))
        return self.org.create(self.table.definition.name, values, by=self.by), True

    def update(self, values: dict[str, Any]) -> Outcome:
        """Change the record whose id the row has."""
        record_id = self._taken_id(values, "update")
        self.org.update(self.table.definition.name, record_id, values, by=self.by)
        return record_id, False

    def delete(self, values: dict[str, Any]) -> Outcome:
        """Move a record to the recycle bin."""
        record_id = self._taken_id(values, "delete")
        self.org.delete(self.table.definition.name, record_id, by=self.by)
        return record_id, False

    def hard_delete(self, values: dict[str, Any]) -> Outcome:
        """Delete a record past the recycle bin."""
        record_id, created = self.delete(values)
        self.table.remove(record_id)
        return record_id, created

    def upsert(self, values: dict[str, Any]) -> Outcome:
        """Create or change the record that holds the row's external id."""
        key = self.key
        assert key is not None
        external_id = str(values.pop(key.name, None) or "").strip()
        if key.name == "Id":
            return self.update({**values, "Id": external_id}) if external_id else self.insert(values)
        if not external_id:
            raise RowError("MISSING_ARGUMENT", f"{key.name} not specified")
        folded = external_id if key.case_sensitive else external_id.casefold()
        if folded in self._seen:
            raise RowError("DUPLICATE_VALUE", f"Duplicate external id specified: {external_id}", (key.name,))
        self._seen.add(folded)
        try:
            outcome = self.org.upsert(self.table.definition.name, key.name, external_id, values, by=self.by)
        except MultipleMatchesError as error:
            message = f"{key.name}: more than one record found for external id field: [{', '.join(error.ids)}]"
            raise RowError("DUPLICATE_EXTERNAL_ID", message) from None
        return outcome.id, outcome.created

    def _taken_id(self, values: dict[str, Any], operation: str) -> str:
        text = values.pop("Id", None)
        if not text:
            raise RowError("MISSING_ARGUMENT", f"Id not specified in an {operation} call", ("Id",))
        known = canonical_id(text)
        if known is None or not known.startswith(self.table.definition.key_prefix):
            message = f"{self.table.definition.label} ID: id value of incorrect type: {text}"
            raise RowError("MALFORMED_ID", message, ("Id",))
        return known


_OPERATIONS: Final[Mapping[str, Callable[[RowSaver, dict[str, Any]], Outcome]]] = {
    "insert": RowSaver.insert,
    "update": RowSaver.update,
    "upsert": RowSaver.upsert,
    "delete": RowSaver.delete,
    "hardDelete": RowSaver.hard_delete,
}


class SavesRows(Protocol):
    """A job, as far as saving its rows depends on it."""

    object_name: str
    operation: str
    created_by: str
    external_id_field: str | None


def saver_for(org: SalesforceOrg, job: SavesRows) -> RowSaver:
    """Return what saves the rows of a job."""
    table = org.tables[job.object_name]
    key = None if job.external_id_field is None else table.definition.fields[job.external_id_field]
    return RowSaver(org=org, table=table, by=job.created_by, operation=job.operation, key=key)
