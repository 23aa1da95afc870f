"""Tasks and e-mails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.behaviours.behaviour import Behaviour
from crmsync.testing.salesforce.errors import RowError
from crmsync.testing.salesforce.times import stamp

if TYPE_CHECKING:
    from crmsync.testing.salesforce.behaviours.behaviour import Save
    from crmsync.testing.salesforce.store import Row, Table
    from crmsync.testing.salesforce.writing import Writer

_DRAFT: Final = "5"
_NEW_TO_READ: Final = ("0", "1")
_MAX_COMMENT: Final = 32_000
_MAX_SUBJECT: Final = 255


class Tasks(Behaviour):
    """A task's state and account follow from its other values."""

    def complete(self, writer: Writer, save: Save) -> None:
        """Derive IsClosed, CompletedDateTime, IsHighPriority and AccountId."""
        row = save.row
        row["IsHighPriority"] = row.get("Priority") == "High"
        row["IsClosed"] = row.get("Status") == "Completed"
        if row["IsClosed"]:
            row.setdefault("CompletedDateTime", stamp(save.now))
        else:
            row.pop("CompletedDateTime", None)
        account = _account_of(writer, row)
        if account is None:
            row.pop("AccountId", None)
        else:
            row["AccountId"] = account


def _account_of(writer: Writer, task: Row) -> str | None:
    """Return the AccountId of a task: "Object Reference", page "Task", AccountId."""
    what = task.get("WhatId")
    if what is not None and writer.tables["Account"].newest(what):
        return str(what)
    contact = writer.tables["Contact"].newest(task.get("WhoId", "")) or {}
    return contact.get("AccountId")


class EmailMessages(Behaviour):
    """An e-mail that is no draft is a record of the past: it has a task, and hardly anything of it can change.

    "Object Reference", page "EmailMessage": only IsExternallyVisible and custom fields of such a message can be
    updated, and its status from New to Read; ActivityId may be given for e-mails on cases alone, of which this org has
    none, and is made by itself for others; ids in ToIds, CcIds and BccIds become EmailMessageRelations. The code of the
    refusals is not documented.
    """

    def complete(self, writer: Writer, save: Save) -> None:
        """Refuse changes of a message that was sent."""
        if save.before is None:
            if "ActivityId" in save.changed:
                message = "ActivityId can only be specified for emails on cases."
                raise RowError("FIELD_INTEGRITY_EXCEPTION", message, ("ActivityId",))
        elif save.before["Status"] != _DRAFT:
            self._require_still(save, save.before)
        for name in save.table.definition.junctions:
            save.row.pop(name, None)

    @staticmethod
    def _require_still(save: Save, before: Row) -> None:
        fields = save.table.definition.fields
        for name, value in save.changed.items():
            free = name == "IsExternallyVisible" or (name in fields and fields[name].custom)
            read = name == "Status" and (before["Status"], value) == _NEW_TO_READ
            # The emulator's own links, which no request can name.
            derived = name == "ActivityId" or (name in fields and not fields[name].updateable)
            if not (free or read or derived or before.get(name) == value):
                message = "Only draft email messages can be changed."
                raise RowError("INSUFFICIENT_ACCESS_OR_READONLY", message, (name,))

    def saved(self, writer: Writer, save: Save) -> None:
        """Relate the recipients, and make the task."""
        if save.row["IsDeleted"]:
            return
        self._relate(writer, save)
        if save.row["Status"] != _DRAFT and "ActivityId" not in save.row:
            task = writer.create(writer.tables["Task"], self._task(writer, save), save.by, as_system=True)
            writer.put(save.table, {**save.row, "ActivityId": task}, save.now)

    @staticmethod
    def _relate(writer: Writer, save: Save) -> None:
        relations = writer.tables["EmailMessageRelation"]
        for name, kind in save.table.definition.junctions.items():
            if name not in save.changed:
                continue
            for old in relations.live_matching("EmailMessageId", save.row["Id"]):
                if old["RelationType"] == kind:
                    writer.delete(relations, old["Id"], save.by)
            for person in save.changed[name] or ():
                given = {"EmailMessageId": save.row["Id"], "RelationId": person, "RelationType": kind}
                writer.create(relations, given, save.by, as_system=True)

    @staticmethod
    def _task(writer: Writer, save: Save) -> dict[str, Any]:
        row = save.row
        people = writer.tables["EmailMessageRelation"].live_matching("EmailMessageId", row["Id"])
        contacts_and_leads = [
            one["RelationId"] for one in people if one.get("RelationObjectType") in ("Contact", "Lead")
        ]
        values = {
            "Subject": f"Email: {row.get('Subject', '')}"[:_MAX_SUBJECT],
            "Status": "Completed",
            "TaskSubtype": "Email",
            "ActivityDate": row.get("MessageDate", stamp(save.now))[:10],
            "Description": row.get("TextBody", "")[:_MAX_COMMENT],
            "WhatId": row.get("RelatedToId"),
            "WhoId": contacts_and_leads[0] if contacts_and_leads else None,
        }
        return {name: value for name, value in values.items() if value is not None}


class EmailRelations(Behaviour):
    """A recipient of an e-mail: its object and its address follow from the person."""

    def complete(self, writer: Writer, save: Save) -> None:
        """Derive RelationObjectType and, where none is given, RelationAddress."""
        person_id = save.row.get("RelationId")
        table = None if person_id is None else _table_of(writer, person_id)
        if table is None or person_id is None:
            return
        save.row["RelationObjectType"] = table.name
        person = table.newest(person_id) or {}
        if "Email" in person:
            save.row.setdefault("RelationAddress", person["Email"])


def _table_of(writer: Writer, record_id: str) -> Table | None:
    return next((t for t in writer.tables.values() if record_id.startswith(t.definition.key_prefix)), None)
