"""Person accounts: an account and its only contact hold the values of one person, and change together.

"Person Account Record Types" (SOAP API Developer Guide): the contact can be modified, but neither created nor deleted
by itself. "Updating a Person Account" (Change Data Capture Developer Guide): every change moves the stamps of both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crmsync.testing.salesforce import saving
from crmsync.testing.salesforce.errors import RowError
from crmsync.testing.salesforce.persons import (
    BUSINESS_TYPE,
    PERSON,
    PERSON_CONTACT,
    PERSON_TYPE,
    RECORD_TYPE,
    pairs,
    person_only,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crmsync.testing.salesforce.behaviours.behaviour import Save
    from crmsync.testing.salesforce.store import Row, Table
    from crmsync.testing.salesforce.writing import Writer

_STAMPS: Final = ("LastModifiedDate", "LastModifiedById", "SystemModstamp")


def complete_account(writer: Writer, save: Save) -> None:
    """Tell what kind of account it is: one of the record type for persons or, of a new one that is given no record
    type, one with a last name ("Accessing sObject Fields", Apex Developer Guide). It stays of this kind.

    :raises RowError: it is given the other kind's fields or record type.
    """
    definition = save.table.definition
    if PERSON not in definition.fields:
        return
    if save.before is None:
        kind = save.row.setdefault(RECORD_TYPE, PERSON_TYPE if "LastName" in save.row else BUSINESS_TYPE)
        save.row[PERSON] = kind == PERSON_TYPE
    if save.row.get(RECORD_TYPE) not in (None, PERSON_TYPE if save.row[PERSON] else BUSINESS_TYPE):
        message = "Record Type ID: this ID value isn't valid for the user"
        raise RowError("INVALID_CROSS_REFERENCE_KEY", message, (RECORD_TYPE,))
    person = save.row[PERSON]
    _refuse(save, ("Name",) if person else person_only(definition, writer.tables["Contact"].definition))
    if person and "LastName" not in save.row:
        raise RowError("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", ("LastName",))


def complete_contact(save: Save) -> None:
    """Leave a person's contact with its account.

    :raises RowError: it is given another.
    """
    if not save.as_system and save.before is not None and save.before.get(PERSON):
        _refuse(save, ("AccountId",))


def _refuse(save: Save, names: Iterable[str]) -> None:
    """As "Error 'bad field names' when you import Person Accounts" (Salesforce Help 000386207) has it."""
    bad = tuple(sorted(set(names) & save.changed.keys()))
    if bad:
        message = f"Account: bad field names on insert/update call: {', '.join(bad)}"
        raise RowError("INVALID_FIELD_FOR_INSERT_UPDATE", message, bad)


def account_saved(writer: Writer, save: Save) -> None:
    """Let the contact of a person account follow."""
    if not save.row.get(PERSON) or save.row.get("IsDeleted"):
        return
    contacts = writer.tables["Contact"]
    names = pairs(contacts.definition, save.table.definition)
    values = {ours: save.row.get(theirs) for ours, theirs in names.items()}
    if save.before is None:
        _bear(writer, save, contacts, values)
    else:
        _follow(writer, save, contacts, save.row.get(PERSON_CONTACT), values)


def contact_saved(writer: Writer, save: Save) -> None:
    """Let the account of a person's contact follow."""
    if not save.row.get(PERSON) or save.row.get("IsDeleted"):
        return
    accounts = writer.tables["Account"]
    names = pairs(save.table.definition, accounts.definition)
    values = {theirs: save.row.get(ours) for ours, theirs in names.items()}
    _follow(writer, save, accounts, save.row.get("AccountId"), values)


def _bear(writer: Writer, save: Save, contacts: Table, values: Row) -> None:
    fields = contacts.definition.fields
    given = {name: value for name, value in values.items() if value is not None and fields[name].createable}
    born = writer.create(contacts, {**given, "AccountId": save.row["Id"]}, save.by, as_system=True)
    writer.put(contacts, {**writer.existing(contacts, born), PERSON: True}, save.now)
    writer.put(save.table, {**save.row, PERSON_CONTACT: born}, save.now)


def _follow(writer: Writer, save: Save, table: Table, record_id: str | None, values: Row) -> None:
    row = table.newest(record_id or "")
    if row is None or row.get("IsDeleted"):
        return
    stamps = {name: save.row[name] for name in _STAMPS}
    fresh = saving.applied({**row, **stamps}, {name: value for name, value in values.items() if value != row.get(name)})
    saving.require_unique(table, fresh, values)
    writer.put(table, fresh, save.now)
