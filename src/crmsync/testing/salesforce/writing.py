"""Every change that can happen to a record: create, update, delete, undelete, merge, and what follows from each."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from attrs import define, field

from crmsync.testing.salesforce import saving
from crmsync.testing.salesforce.behaviours import BEHAVIOURS, PLAIN
from crmsync.testing.salesforce.behaviours.behaviour import Save
from crmsync.testing.salesforce.errors import RowError
from crmsync.testing.salesforce.ids import canonical_id, make_id
from crmsync.testing.salesforce.rules import SaveOptions
from crmsync.testing.salesforce.store import DELETED_DATE, DELETED_WITH, Row, Saved, Table
from crmsync.testing.salesforce.times import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from crmsync.testing.salesforce.behaviours.behaviour import Behaviour
    from crmsync.testing.salesforce.clock import Clock
    from crmsync.testing.salesforce.faults import Faults
    from crmsync.testing.salesforce.locking import Locks
    from crmsync.testing.salesforce.permissions import Permissions
    from crmsync.testing.salesforce.rules import Rules
    from crmsync.testing.salesforce.schema import ObjectDef


@define
class Writer:
    """Changes the rows of an org's tables by Salesforce's rules. Its caller holds the org's lock.

    ``options`` are those of the call at hand. ``watchers`` are told of each row that a transaction changed once it is
    over: its table, the row before (None: there was none) and after.
    """

    tables: Mapping[str, Table]
    clock: Clock
    faults: Faults
    rules: Rules
    permissions: Permissions
    locks: Locks
    options: SaveOptions = field(factory=SaveOptions)
    watchers: list[Callable[[Table, Row | None, Row], None]] = field(factory=list)
    _undo: list[tuple[Table, str, Saved]] | None = None
    _children: dict[str, Sequence[tuple[Table, str]]] = field(factory=dict, repr=False)

    def create(self, table: Table, values: Mapping[str, Any], by: str, *, as_system: bool = False) -> str:
        """Create a record and return its id.

        :param as_system: whether the org itself does it, past the user's permissions and the admin's rules.
        :raises RowError: as Salesforce would refuse it.
        """
        definition = table.definition if as_system else self._seen(table, by)
        if not definition.createable:
            raise RowError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be inserted: {table.name}")
        changed = self._changes(definition, values, creating=True)
        changed = {name: value for name, value in changed.items() if value is not None}
        now = self.clock.now()
        row = saving.applied({**saving.defaults(table.definition), **self._birth(table, now, by)}, changed)
        self._save(Save(table=table, before=None, row=row, changed=changed, now=now, by=by, as_system=as_system))
        return str(row["Id"])

    def update(self, table: Table, record_id: str, values: Mapping[str, Any], by: str) -> None:
        """Change a record.

        :raises RowError: as Salesforce would refuse it.
        """
        before = self.existing(table, record_id)
        definition = self._seen(table, by)
        if not definition.updateable:
            raise RowError("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
        changed = self._changes(definition, values, creating=False)
        self.change(table, before, changed, by, as_system=False)

    def change(self, table: Table, before: Row, changed: Mapping[str, Any], by: str, *, as_system: bool = True) -> None:
        """Change a record by stored values of any of its fields, also those that nobody may write.

        :param as_system: whether the org itself does it, past the admin's rules.
        """
        now = self.clock.now()
        row = saving.applied({**before, **_touch(table, now, by)}, changed)
        self._save(Save(table=table, before=before, row=row, changed=changed, now=now, by=by, as_system=as_system))

    def delete(self, table: Table, record_id: str, by: str) -> None:
        """Move a record to the recycle bin, and the records that are deleted with it.

        :raises RowError: the id is unknown or already there, or the record may not go.
        """
        row = self.existing(table, record_id)
        if not self._seen(table, by).deletable:
            raise RowError("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
        if refusal := self.faults.refusal(table.name, {**row, "IsDeleted": True}):
            raise refusal
        self.locks.take(table, row, row)
        behaviour_of(table).deleting(self, row)
        with self.transaction():
            self._discard(table, row, by, {})

    def undelete(self, table: Table, record_id: str, by: str) -> None:
        """Bring a record back from the recycle bin, and those that were deleted with it.

        :raises RowError: the id is not in the bin, or a unique value has a new holder.
        """
        row = table.newest(canonical_id(record_id) or record_id)
        if row is None or not row["IsDeleted"] or not table.definition.undeletable:
            raise RowError("UNDELETE_FAILED", "Entity is not in the recycle bin")
        with self.transaction():
            self._revive(table, row, by)

    def merge(self, table: Table, master_id: str, loser_ids: Iterable[str], values: Mapping[str, Any], by: str) -> None:
        """Merge records into the master; all or nothing.

        :raises RowError: one of the records is not there, or ``values`` for the master are refused.
        """
        if not table.definition.mergeable:
            raise RowError("INVALID_TYPE", f"entity type cannot be merged: {table.name}")
        with self.transaction():
            master = self.existing(table, master_id)["Id"]
            for loser_id in loser_ids:
                loser = self.existing(table, loser_id)
                self.repoint(table.name, loser["Id"], master, by)
                self._discard(table, loser, by, {"MasterRecordId": master})
            self.update(table, master, values, by)

    def repoint(self, object_name: str, old: str, new: str, by: str) -> None:
        """Let the live records that refer to ``old``, a record of the object, refer to ``new``.

        One of which the new parent has a like, such as a second membership in a campaign, is deleted.

        :raises RowError: one of them is refused for another reason.
        """
        for table, reference in self.children(object_name):
            for child in table.live_matching(reference, old):
                if child["Id"] == new:
                    continue
                try:
                    self.change(table, child, {reference: new}, by)
                except RowError as error:
                    if error.code != "DUPLICATE_VALUE":
                        raise
                    self._discard(table, child, by, {})

    def children(self, object_name: str) -> Sequence[tuple[Table, str]]:
        """Return the fields by which records belong to an object's record, with their tables."""
        found = self._children.get(object_name)
        if found is None:
            found = self._children[object_name] = [
                (table, entry.name)
                for table in self.tables.values()
                for entry in table.definition.fields.values()
                if object_name in entry.references and entry.is_indexed and (entry.children or entry.updateable)
            ]
        return found

    def existing(self, table: Table, record_id: str) -> Row:
        """Return the live record of this id.

        :raises RowError: ENTITY_IS_DELETED or INVALID_CROSS_REFERENCE_KEY.
        """
        row = table.newest(canonical_id(record_id) or record_id)
        if row is None:
            raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if row.get("IsDeleted"):
            raise RowError("ENTITY_IS_DELETED", "entity is deleted", status=404)
        return row

    def put(self, table: Table, row: Row, now: datetime) -> None:
        """Save a row as it is, undone with the transaction around it."""
        table.settle(now)
        if self._undo is not None:
            self._undo.append((table, row["Id"], table.saved(row["Id"])))
        delay = self.faults.delay(table.name, row)
        table.put(row, visible_at=now + timedelta(seconds=delay) if delay else None)

    @contextmanager
    def using(self, options: SaveOptions) -> Iterator[None]:
        """Save by the options of a call in the block."""
        outer, self.options = self.options, options
        try:
            yield
        finally:
            self.options = outer

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Undo every change of the block if it raises."""
        outer, self._undo = self._undo, []
        try:
            yield
        except BaseException:
            for table, record_id, saved in reversed(self._undo):
                table.restore(record_id, saved)
            raise
        else:
            if outer is not None:
                outer.extend(self._undo)
            elif self.watchers:
                self._tell(self._undo)
        finally:
            self._undo = outer

    def _tell(self, saves: Iterable[tuple[Table, str, Saved]]) -> None:
        before: dict[tuple[str, str], tuple[Table, Saved]] = {}
        for table, record_id, saved in saves:
            before.setdefault((table.name, record_id), (table, saved))
        for (_, record_id), (table, saved) in before.items():
            row = table.newest(record_id)
            assert row is not None
            for watcher in self.watchers:
                watcher(table, saved.newest, row)

    def _seen(self, table: Table, by: str) -> ObjectDef:
        seen = self.permissions.tables_of(by).get(table.name)
        if seen is None:
            raise RowError("INVALID_TYPE", f"sObject type '{table.name}' is not supported.")
        return seen.definition

    def _changes(self, definition: ObjectDef, values: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
        triggers = self.rules.triggers.get(definition.name, {})
        return saving.changes(definition, values, triggers, creating=creating)

    def _birth(self, table: Table, now: datetime, by: str) -> Row:
        row: Row = {
            "Id": make_id(table.definition.key_prefix, table.next_serial()),
            "CreatedDate": stamp(now),
            "CreatedById": by,
            **_touch(table, now, by),
        }
        if "OwnerId" in table.definition.fields:
            row["OwnerId"] = by
        return row

    def _save(self, save: Save) -> None:
        table, row = save.table, save.row
        behaviour = behaviour_of(table)
        behaviour.complete(self, save)
        saving.require(table.definition, row, None if save.before is None else save.changed)
        saving.require_references(self.tables, table.definition, save.changed)
        if refusal := self.faults.refusal(table.name, row):
            raise refusal
        self.locks.take(table, row, save.before)
        saving.require_unique(table, row, save.changed)
        if not save.as_system:
            self.rules.check(table, row, self.options, creating=save.before is None)
        with self.transaction():
            self.put(table, row, save.now)
            behaviour.saved(self, save)

    def _discard(self, table: Table, row: Row, by: str, marks: Mapping[str, str]) -> None:
        now = self.clock.now()
        gone = {**row, **_touch(table, now, by), "IsDeleted": True, DELETED_DATE: stamp(now), **marks}
        self.put(table, gone, now)
        behaviour_of(table).saved(self, Save(table=table, before=row, row=gone, changed={}, now=now, by=by))
        for child_table, reference in self.children(table.name):
            if child_table.definition.fields[reference].cascade:
                for child in child_table.live_matching(reference, row["Id"]):
                    self._discard(child_table, child, by, {DELETED_WITH: row["Id"]})

    def _revive(self, table: Table, row: Row, by: str) -> None:
        now = self.clock.now()
        revived = {**row, **_touch(table, now, by), "IsDeleted": False}
        for name in (DELETED_DATE, DELETED_WITH, "MasterRecordId"):
            revived.pop(name, None)
        saving.require_unique(table, revived, revived)
        self.put(table, revived, now)
        behaviour_of(table).saved(self, Save(table=table, before=row, row=revived, changed={}, now=now, by=by))
        for child_table, reference in self.children(table.name):
            for child in child_table.newest_matching(reference, row["Id"]):
                if child["IsDeleted"] and child.get(DELETED_WITH) == row["Id"]:
                    self._revive(child_table, child, by)


def behaviour_of(table: Table) -> Behaviour:
    """Return what the table's object does besides storing rows."""
    return BEHAVIOURS.get(table.name, PLAIN)


def _touch(table: Table, now: datetime, by: str) -> Row:
    """Return what a save sets of the audit fields that the object has."""
    fields = table.definition.fields
    return {name: value for name, value in saving.touch(now, by).items() if name in fields}
