"""Campaigns with their member statuses, their members, and the counts that follow from these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.behaviours.behaviour import Behaviour
from crmsync.testing.salesforce.behaviours.people import copy_person
from crmsync.testing.salesforce.errors import RowError

if TYPE_CHECKING:
    from crmsync.testing.salesforce.behaviours.behaviour import Save
    from crmsync.testing.salesforce.store import Row
    from crmsync.testing.salesforce.writing import Writer

#: What every new campaign has ("Salesforce Help", page "Customize Campaign Member Status").
_FIRST_STATUSES: Final[tuple[dict[str, Any], ...]] = (
    {"Label": "Sent", "SortOrder": 1, "IsDefault": True, "HasResponded": False},
    {"Label": "Responded", "SortOrder": 2, "IsDefault": False, "HasResponded": True},
)
_COUNTS: Final = ("NumberOfContacts", "NumberOfLeads", "NumberOfConvertedLeads", "NumberOfResponses")


class Campaigns(Behaviour):
    """A new campaign gets its two member statuses."""

    def saved(self, writer: Writer, save: Save) -> None:
        """Create the statuses of a new campaign."""
        if save.before is None:
            for values in _FIRST_STATUSES:
                given = {"CampaignId": save.row["Id"], **values}
                writer.create(writer.tables["CampaignMemberStatus"], given, save.by, as_system=True)


class MemberStatuses(Behaviour):
    """Of a campaign's statuses one is the default, one at the least a response; labels and sort orders are unique.

    "Object Reference", page "CampaignMemberStatus": the default and a status in use cannot be deleted, SortOrder is a
    unique number, and since version 39.0 there must be a response. The codes of the refusals are not documented.
    """

    def complete(self, writer: Writer, save: Save) -> None:
        """Give a sort order, and refuse what another status of the campaign has."""
        row = save.row
        others = [other for other in _statuses(writer, row.get("CampaignId")) if other["Id"] != row["Id"]]
        row.setdefault("SortOrder", max((other["SortOrder"] for other in others), default=0) + 1)
        for other in others:
            same_label = other["Label"].casefold() == row.get("Label", "").casefold()
            if same_label or other["SortOrder"] == row["SortOrder"]:
                name = "Label" if same_label else "SortOrder"
                message = f"duplicate value found: {name} duplicates value on record with id: {other['Id']}"
                raise RowError("DUPLICATE_VALUE", message)
        if save.before is not None and save.before["IsDefault"] and not row["IsDefault"]:
            message = "A campaign has a default member status."
            raise RowError("FIELD_INTEGRITY_EXCEPTION", message, ("IsDefault",))
        if save.before is not None and save.before["HasResponded"] and not (row["HasResponded"] or _responds(others)):
            message = "A campaign has a member status that counts as a response."
            raise RowError("FIELD_INTEGRITY_EXCEPTION", message, ("HasResponded",))

    def saved(self, writer: Writer, save: Save) -> None:
        """Take the default from the status that had it."""
        if not save.row["IsDefault"] or save.row["IsDeleted"]:
            return
        for other in _statuses(writer, save.row["CampaignId"]):
            if other["IsDefault"] and other["Id"] != save.row["Id"]:
                writer.put(save.table, {**other, "IsDefault": False}, save.now)

    def deleting(self, writer: Writer, row: Row) -> None:
        """Keep the default, what a member has, and the last that counts as a response."""
        members = writer.tables["CampaignMember"].live_matching("CampaignId", row["CampaignId"])
        if row["IsDefault"] or any(member["Status"] == row["Label"] for member in members):
            raise RowError("DELETE_FAILED", "This member status is the default or is in use.")
        others = [other for other in _statuses(writer, row["CampaignId"]) if other["Id"] != row["Id"]]
        if row["HasResponded"] and not _responds(others):
            raise RowError("DELETE_FAILED", "This member status is the last that counts as a response.")


class Members(Behaviour):
    """A person's place in a campaign: status, response, copies of the person's fields, and the campaign's counts."""

    def complete(self, writer: Writer, save: Save) -> None:
        """Choose the person and the status, and copy the person's fields."""
        row = save.row
        if save.before is None:
            _choose_person(row)
        if "LeadId" not in row and "ContactId" not in row:
            message = "Required fields are missing: [LeadId or ContactId]"
            raise RowError("REQUIRED_FIELD_MISSING", message, ("LeadId", "ContactId"))
        _require_first_membership(save)
        _settle_status(writer, save)
        copy_person(writer, row)

    def saved(self, writer: Writer, save: Save) -> None:
        """Move the campaign's counts by what this save changed."""
        before = {} if save.before is None else _contribution(save.before)
        after = _contribution(save.row)
        campaigns = writer.tables["Campaign"]
        campaign = campaigns.newest(save.row["CampaignId"])
        if campaign is None or before == after:
            return
        moved = {name: campaign[name] + after.get(name, 0) - before.get(name, 0) for name in _COUNTS}
        writer.put(campaigns, {**campaign, **moved}, save.now)


def _choose_person(row: Row) -> None:
    # "Object Reference", page "CampaignMember", Usage: with both, only the ContactId is inserted.
    if "ContactId" in row:
        row.pop("LeadId", None)


def _require_first_membership(save: Save) -> None:
    row = save.row
    for name in ("ContactId", "LeadId"):
        person = row.get(name)
        if person is None or (save.before is not None and save.before.get(name) == person):
            continue
        for other in save.table.live_matching(name, person):
            if other["CampaignId"] == row.get("CampaignId") and other["Id"] != row["Id"]:
                raise RowError("DUPLICATE_VALUE", "Already a campaign member.")


def _settle_status(writer: Writer, save: Save) -> None:
    """Set the status to one of the campaign's.

    The default stands in for none and for one that the campaign has not: so the sforce API's documentation of
    CampaignMember, as the developer forum's thread "campaignMember status" quotes it. Only the status tells whether the
    member responded.
    """
    row = save.row
    statuses = _statuses(writer, row.get("CampaignId"))
    given = row.get("Status", "").casefold()
    chosen = next((status for status in statuses if status["Label"].casefold() == given), None)
    chosen = chosen or next((status for status in statuses if status["IsDefault"]), None)
    if chosen is None:
        return
    row["Status"], row["HasResponded"] = chosen["Label"], chosen["HasResponded"]
    if chosen["HasResponded"]:
        row.setdefault("FirstRespondedDate", save.now.date().isoformat())


def _statuses(writer: Writer, campaign_id: str | None) -> list[Row]:
    table = writer.tables["CampaignMemberStatus"]
    return [] if campaign_id is None else table.live_matching("CampaignId", campaign_id)


def _responds(statuses: list[Row]) -> bool:
    return any(status["HasResponded"] for status in statuses)


def _contribution(member: Row) -> dict[str, int]:
    """Return what a member adds to its campaign's counts. A converted lead is counted as a lead and as its contact."""
    if member["IsDeleted"]:
        return {}
    lead, contact = "LeadId" in member, "ContactId" in member
    return {
        "NumberOfContacts": int(contact),
        "NumberOfLeads": int(lead),
        "NumberOfConvertedLeads": int(lead and contact),
        "NumberOfResponses": int(member["HasResponded"]),
    }
