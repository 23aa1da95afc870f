"""Accounts, contacts and leads, whose values show on the records that belong to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.behaviours import persons
from crmsync.testing.salesforce.behaviours.behaviour import Behaviour
from crmsync.testing.salesforce.errors import RowError
from crmsync.testing.salesforce.persons import PERSON

if TYPE_CHECKING:
    from crmsync.testing.salesforce.behaviours.behaviour import Save
    from crmsync.testing.salesforce.store import Row
    from crmsync.testing.salesforce.writing import Writer

#: A CampaignMember's read-only fields that have the person's name for them, and those of an address.
_SAME_NAMES: Final = (
    "Salutation",
    "FirstName",
    "LastName",
    "Name",
    "Title",
    "Email",
    "Phone",
    "Fax",
    "MobilePhone",
    "Description",
    "DoNotCall",
    "HasOptedOutOfEmail",
    "HasOptedOutOfFax",
    "LeadSource",
)
_ADDRESS_PARTS: Final = ("Street", "City", "State", "PostalCode", "Country")
_COPIED: Final = frozenset(
    {*_SAME_NAMES, *_ADDRESS_PARTS, "CompanyOrAccount", "Type", "LeadOrContactId", "LeadOrContactOwnerId"}
)


def copy_person(writer: Writer, member: Row) -> None:
    """Set the fields of a campaign member that are copies of its person's."""
    for name in _COPIED:
        member.pop(name, None)
    kind = "Contact" if "ContactId" in member else "Lead"
    copies = _copies(writer, kind, member[f"{kind}Id"])
    for name, entry in writer.tables["CampaignMember"].definition.fields.items():
        value = copies.get(name)
        if name in _COPIED and (value is not None or entry.default is not None):
            member[name] = entry.default if value is None else value


def _copies(writer: Writer, kind: str, person_id: str) -> dict[str, Any]:
    person = writer.tables[kind].newest(person_id) or {}
    copies = {name: person.get(name) for name in _SAME_NAMES}
    address = "Mailing" if kind == "Contact" else ""
    copies |= {part: person.get(address + part) for part in _ADDRESS_PARTS}
    account = writer.tables["Account"].newest(person.get("AccountId", "")) or {}
    return {
        **copies,
        "CompanyOrAccount": person.get("Company") if kind == "Lead" else account.get("Name"),
        "Type": kind,
        "LeadOrContactId": person_id,
        "LeadOrContactOwnerId": person.get("OwnerId"),
    }


def _refresh_members(writer: Writer, save: Save, reference: str, person_id: str) -> None:
    """Copy a person's values to its memberships, without a stamp: the copies are not the member's own values."""
    members = writer.tables["CampaignMember"]
    for member in members.newest_matching(reference, person_id):
        fresh = dict(member)
        copy_person(writer, fresh)
        if fresh != member:
            writer.put(members, fresh, save.now)


class Accounts(Behaviour):
    """An account's name shows on the memberships of its contacts. A person account has a contact of its own."""

    def complete(self, writer: Writer, save: Save) -> None:
        """Tell persons from businesses."""
        persons.complete_account(writer, save)

    def saved(self, writer: Writer, save: Save) -> None:
        """Copy a new name, and what a person's contact has too."""
        persons.account_saved(writer, save)
        renamed = save.before is not None and save.before.get("Name") != save.row.get("Name")
        if renamed or (save.before is not None and save.row.get(PERSON)):
            for contact in writer.tables["Contact"].live_matching("AccountId", save.row["Id"]):
                _refresh_members(writer, save, "ContactId", contact["Id"])


class Contacts(Behaviour):
    """A contact's values show on its memberships. One of a person account goes with its account only."""

    def deleting(self, writer: Writer, row: Row) -> None:
        """Keep it ("Person Account Record Types", SOAP API Developer Guide; the code is not documented)."""
        if row.get(PERSON):
            raise RowError("DELETE_FAILED", "A person account's contact is deleted with its account.")

    def complete(self, writer: Writer, save: Save) -> None:
        """Leave a person's contact where it is."""
        persons.complete_contact(save)

    def saved(self, writer: Writer, save: Save) -> None:
        """Copy the values."""
        persons.contact_saved(writer, save)
        if save.before is not None:
            _refresh_members(writer, save, "ContactId", save.row["Id"])


class Leads(Behaviour):
    """A lead's values show on its memberships, until it is converted, from when on it cannot be changed."""

    def complete(self, writer: Writer, save: Save) -> None:
        """Refuse to change a converted lead ("Object Reference", page "Lead": converted leads are read-only)."""
        if save.before is not None and save.before["IsConverted"]:
            message = "cannot reference converted lead"
            raise RowError("CANNOT_UPDATE_CONVERTED_LEAD", message)

    def saved(self, writer: Writer, save: Save) -> None:
        """Copy the values."""
        if save.before is not None:
            _refresh_members(writer, save, "LeadId", save.row["Id"])
