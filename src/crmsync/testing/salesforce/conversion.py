"""Lead conversion, which the REST API does not offer: SOAP's ``convertLead()``, Apex and the browser do.

"SOAP API Developer Guide", page "convertLead()": the lead becomes a contact at an account, new or existing. Into an
existing record only what is blank there is written. The lead stays, read-only. Opportunities are not made here, as with
``doNotCreateOpportunity``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from crmsync.testing.salesforce.errors import RowError

if TYPE_CHECKING:
    from crmsync.testing.salesforce.store import Row
    from crmsync.testing.salesforce.writing import Writer

CONVERTED_STATUSES: Final = ("Closed - Converted",)
#: "Salesforce Help", page "Lead Conversion Field Mapping": lead field to contact field, where the names differ.
_ADDRESS: Final = ("Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude", "GeocodeAccuracy")
_TO_CONTACT: Final[Mapping[str, str]] = {
    **{name: name for name in ("Salutation", "FirstName", "LastName", "Title", "Email", "Phone", "MobilePhone", "Fax")},
    **{name: name for name in ("LeadSource", "Description", "HasOptedOutOfEmail", "OwnerId", "IndividualId")},
    **{name: f"Mailing{name}" for name in _ADDRESS},
}
_TO_ACCOUNT: Final[Mapping[str, str]] = {
    "Company": "Name",
    **{name: name for name in ("Phone", "Fax", "Website", "Industry", "Rating", "AnnualRevenue", "NumberOfEmployees")},
    "OwnerId": "OwnerId",
    **{name: f"Billing{name}" for name in _ADDRESS},
}


@frozen(kw_only=True)
class Conversion:
    """What a lead is converted into.

    :param account_id: an existing account; a new one by default, or that of ``contact_id``.
    :param contact_id: an existing contact of the account; a new one by default.
    :param status: one of :data:`CONVERTED_STATUSES`.
    :param custom: the admin's mapping of custom fields, lead field to contact field; none by default.
    """

    account_id: str | None = None
    contact_id: str | None = None
    status: str = CONVERTED_STATUSES[0]
    custom: Mapping[str, str] = field(factory=dict)


@frozen
class Converted:
    """The records that a lead became."""

    lead_id: str
    contact_id: str
    account_id: str


def convert(writer: Writer, lead_id: str, target: Conversion, by: str) -> Converted:
    """Convert a lead; all or nothing.

    :raises RowError: the lead is converted or not there, or the target does not fit.
    """
    leads = writer.tables["Lead"]
    lead = writer.existing(leads, lead_id)
    if lead["IsConverted"]:
        raise RowError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    if target.status not in CONVERTED_STATUSES:
        raise RowError("INVALID_STATUS", f"invalid convertedStatus: {target.status}")
    with writer.transaction():
        account_id = _account(writer, lead, target, by)
        contact_id = _contact(writer, lead, target, account_id, by)
        _hand_over(writer, lead["Id"], contact_id, by)
        values = {
            "IsConverted": True,
            "Status": target.status,
            "ConvertedDate": writer.clock.now().date().isoformat(),
            "ConvertedAccountId": account_id,
            "ConvertedContactId": contact_id,
            "IsUnreadByOwner": False,
        }
        writer.change(leads, lead, values, by)
    return Converted(lead["Id"], contact_id, account_id)


def _account(writer: Writer, lead: Row, target: Conversion, by: str) -> str:
    accounts = writer.tables["Account"]
    contact = None if target.contact_id is None else writer.existing(writer.tables["Contact"], target.contact_id)
    own = None if contact is None else contact.get("AccountId")
    account_id = target.account_id or own
    if account_id is None:
        return writer.create(accounts, _mapped(lead, _TO_ACCOUNT), by)
    account = writer.existing(accounts, account_id)
    if own is not None and own != account["Id"]:
        raise RowError("FIELD_INTEGRITY_EXCEPTION", "The contact does not belong to the account", ("AccountId",))
    _fill_blanks(writer, "Account", account, _mapped(lead, _TO_ACCOUNT), by)
    return str(account["Id"])


def _contact(writer: Writer, lead: Row, target: Conversion, account_id: str, by: str) -> str:
    contacts = writer.tables["Contact"]
    values = {**_mapped(lead, {**_TO_CONTACT, **target.custom}), "AccountId": account_id}
    if target.contact_id is None:
        return writer.create(contacts, values, by)
    contact = writer.existing(contacts, target.contact_id)
    _fill_blanks(writer, "Contact", contact, values, by)
    return str(contact["Id"])


def _mapped(lead: Row, mapping: Mapping[str, str]) -> dict[str, Any]:
    return {theirs: lead[ours] for ours, theirs in mapping.items() if ours in lead}


def _fill_blanks(writer: Writer, name: str, row: Row, values: Mapping[str, Any], by: str) -> None:
    blank = {key: value for key, value in values.items() if row.get(key) is None}
    if blank:
        writer.update(writer.tables[name], row["Id"], blank, by)


def _hand_over(writer: Writer, lead_id: str, contact_id: str, by: str) -> None:
    """Give the lead's activities to the contact. A campaign member stays the lead's and is the contact's too."""
    for name, reference in (("Task", "WhoId"), ("EmailMessageRelation", "RelationId")):
        for row in writer.tables[name].live_matching(reference, lead_id):
            writer.change(writer.tables[name], row, {reference: contact_id}, by)
    members = writer.tables["CampaignMember"]
    for member in members.live_matching("LeadId", lead_id):
        try:
            writer.change(members, member, {"ContactId": contact_id}, by)
        except RowError as error:
            if error.code != "DUPLICATE_VALUE":
                raise
            writer.delete(members, member["Id"], by)
