"""The mapping that each object has by default; what the two sides do not have is left out when it is first synced."""

from __future__ import annotations

from typing import Final

from crmsync.models.mappings import ConflictPolicy, FieldMapping, MatchKeys, ObjectMapping, SyncDirection, two_way
from crmsync.models.schema import FieldType
from crmsync.providers.salesforce.objects.options import NOT_PROVIDED
from crmsync.providers.salesforce.people.options import PeopleMode

CONTACT_COMPANY: Final = two_way("company", "MarkMail_Company__c")
CONTACT_FIELDS: Final = (
    two_way("email", "Email", field_type=FieldType.EMAIL),
    two_way("first_name", "FirstName"),
    two_way("last_name", "LastName", required=True),
    CONTACT_COMPANY,
    two_way("phone", "Phone", field_type=FieldType.PHONE),
    two_way("tags", "MarkMail_Tags__c", field_type=FieldType.TAGS),
    two_way("opted_out", "HasOptedOutOfEmail", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE),
)
"""The default mapping of a Contact. Its own ``Company`` is the Account's name and not a field of Contact."""


def _from_crm(markmail_field: str, crm_field: str, field_type: FieldType = FieldType.TEXT) -> FieldMapping:
    return FieldMapping(
        markmail_field=markmail_field,
        crm_field=crm_field,
        field_type=field_type,
        sync_direction=SyncDirection.FROM_CRM,
    )


def _to_crm(markmail_field: str, crm_field: str) -> FieldMapping:
    return FieldMapping(
        markmail_field=markmail_field,
        crm_field=crm_field,
        field_type=FieldType.DECIMAL,
        sync_direction=SyncDirection.TO_CRM,
    )


def fields_of(
    people: PeopleMode, lead_company: str = NOT_PROVIDED, contact_company: str | None = None
) -> tuple[FieldMapping, ...]:
    """The default mapping of people.

    ``lead_company`` is what a lead gets that has none. Contacts and leads as one need no such default: their record
    store puts it, and takes it away. ``contact_company`` is the field of a contact's company, if not the custom one.
    """
    mapped = {
        PeopleMode.CONTACT: two_way("company", contact_company) if contact_company else CONTACT_COMPANY,
        PeopleMode.LEAD: two_way("company", "Company", default=lead_company),
        PeopleMode.LEAD_THEN_CONTACT: two_way("company", "Company"),
    }[people]
    return tuple(mapped if each is CONTACT_COMPANY else each for each in CONTACT_FIELDS)


LEAD: Final = ObjectMapping(local_object="leads", fields=fields_of(PeopleMode.LEAD))
PERSON: Final = ObjectMapping(fields=fields_of(PeopleMode.LEAD_THEN_CONTACT))

CAMPAIGN: Final = ObjectMapping(
    local_object="campaigns",
    fields=(
        two_way("name", "Name", required=True),
        two_way("status", "Status"),
        two_way("start_date", "StartDate", field_type=FieldType.DATE),
        two_way("end_date", "EndDate", field_type=FieldType.DATE),
        two_way("description", "Description"),
        _to_crm("sent", "NumberSent"),
        *(
            _to_crm(name, f"MarkMail_{name.title()}__c")
            for name in ("delivered", "opened", "clicked", "bounced", "unsubscribed", "complained")
        ),
        _from_crm("contact_count", "NumberOfContacts", FieldType.INTEGER),
        _from_crm("lead_count", "NumberOfLeads", FieldType.INTEGER),
        _from_crm("response_count", "NumberOfResponses", FieldType.INTEGER),
    ),
    # At the first meeting campaigns are told by their names.
    match=MatchKeys(local_email="name", remote_email="Name"),
)

CAMPAIGN_MEMBER: Final = ObjectMapping(
    local_object="list_members",
    fields=(
        two_way("crm_campaign_id", "CampaignId", field_type=FieldType.REFERENCE, required=True),
        two_way("crm_contact_id", "ContactId", field_type=FieldType.REFERENCE),
        two_way("crm_lead_id", "LeadId", field_type=FieldType.REFERENCE),
        two_way("status", "Status"),
        _from_crm("responded", "HasResponded", FieldType.BOOLEAN),
        _from_crm("contact_email", "Contact.Email", FieldType.EMAIL),
        _from_crm("lead_email", "Lead.Email", FieldType.EMAIL),
        _from_crm("campaign_name", "Campaign.Name"),
    ),
    match=MatchKeys(local_email="", remote_email=""),
)

CAMPAIGN_MEMBER_STATUS: Final = ObjectMapping(
    local_object="list_member_statuses",
    fields=(
        _from_crm("crm_campaign_id", "CampaignId", FieldType.REFERENCE),
        _from_crm("campaign_name", "Campaign.Name"),
        _from_crm("label", "Label"),
        _from_crm("is_default", "IsDefault", FieldType.BOOLEAN),
        _from_crm("responded", "HasResponded", FieldType.BOOLEAN),
    ),
    match=MatchKeys(local_email="", remote_email=""),
    create_in_crm=False,
)
