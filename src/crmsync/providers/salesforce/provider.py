"""One connection to an org as a `CRMProvider`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import anyio

from crmsync.errors import ConfigurationError, SchemaChangedError
from crmsync.models.campaigns import CRMCampaign, EmailActivity
from crmsync.models.contacts import CRMList
from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.results import BulkSyncResult, ConnectionReport, CRMFeature, CRMSyncResult
from crmsync.models.schema import FieldType
from crmsync.providers.contact_verbs import ContactVerbs
from crmsync.providers.salesforce import retrieving
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.records import SalesforceRecordStore
from crmsync.providers.salesforce.schema import SObject, read_describe

CONTACT_FIELDS: Final = (
    two_way("email", "Email", field_type=FieldType.EMAIL),
    two_way("first_name", "FirstName"),
    two_way("last_name", "LastName", required=True),
    two_way("company", "MarkMail_Company__c"),
    two_way("phone", "Phone", field_type=FieldType.PHONE),
    two_way("tags", "MarkMail_Tags__c", field_type=FieldType.TAGS),
    two_way("opted_out", "HasOptedOutOfEmail", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE),
)
"""The default mapping of a Contact. Its own ``Company`` is the Account's name and not a field of Contact."""

_FEATURES: Final = frozenset(
    {CRMFeature.CONTACTS, CRMFeature.CUSTOM_FIELDS, CRMFeature.BULK, CRMFeature.DELETED_FEED, CRMFeature.MERGE_FEED}
)
_USER: Final = "user_id"
_NEARLY: Final = 0.9
_IN_FLIGHT: Final = 4
"""Collection calls at once; an org allows 25 that last over 20 seconds ("API Request Limits and Allocations")."""
_IDENTIFIER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class SalesforceProvider(ContactVerbs):
    """An open connection. Safe for concurrent calls."""

    provider_name = "salesforce"

    def __init__(self, client: SalesforceClient) -> None:
        super().__init__()
        self._client = client
        self._sobjects: dict[str, SObject] = {}
        self._user: Mapping[str, Any] | None = None
        self._lock = anyio.Lock()
        self._limiter = anyio.CapacityLimiter(_IN_FLIGHT)

    def supports_feature(self, feature: CRMFeature) -> bool:
        """`EXTERNAL_KEY` is known once an object was opened: the org may lack the field."""
        if feature is CRMFeature.EXTERNAL_KEY:
            field = self._client.settings.external_id_field
            return any(sobject.external_key(field) for sobject in self._sobjects.values())
        return feature in _FEATURES

    def contact_mapping(self) -> ObjectMapping:
        """The mapping behind the contact-level verbs."""
        return ObjectMapping(fields=CONTACT_FIELDS)

    async def records(self, object_name: str) -> SalesforceRecordStore:
        """Open the record store of an sObject, by its exact API name."""
        return SalesforceRecordStore(self._client, await self._describe(object_name), self._user_id, self._limiter)

    async def test_connection(self) -> ConnectionReport:
        """Sign in, describe Contact, read the limits; 4 or 5 calls."""
        self._client.forget()
        user = await self._identity()
        version = await self._client.version()
        warnings = _contact_warnings(await self._describe("Contact"), self._client.settings.external_id_field)
        rows = await retrieving.query_all(self._client, "SELECT Name FROM Organization LIMIT 1")
        usage = self._client.usage
        if usage is not None and usage.used >= _NEARLY * usage.limit:
            warnings.append(f"{usage.used} of the org's {usage.limit} API calls of 24 hours are used up")
        return ConnectionReport(
            organisation=str(rows[0].get("Name") or "") if rows else "",
            user=str(user.get("preferred_username") or user.get("user_id") or ""),
            api_version=version,
            calls_used=usage.used if usage else None,
            calls_limit=usage.limit if usage else None,
            warnings=tuple(warnings),
        )

    async def revoke(self) -> bool:
        """See `SupportsRevocation`."""
        return await self._client.revoke()

    async def sync_campaign(self, campaign: CRMCampaign) -> CRMSyncResult:
        """:raises ConfigurationError: not offered by this version."""
        raise _not_offered("campaigns")

    async def log_email_activity(self, activity: EmailActivity) -> CRMSyncResult:
        """:raises ConfigurationError: not offered by this version."""
        raise _not_offered("e-mail activity")

    async def sync_list_membership(self, members: CRMList) -> BulkSyncResult:
        """:raises ConfigurationError: not offered by this version."""
        raise _not_offered("list membership")

    async def _describe(self, object_name: str) -> SObject:
        """The object's describe, read once a connection.

        :raises SchemaChangedError: there is no such object, or the user cannot see it.
        """
        if not _IDENTIFIER.fullmatch(object_name):
            raise SchemaChangedError(f"{object_name!r} is no API name of a Salesforce object")
        async with self._lock:
            if object_name not in self._sobjects:
                try:
                    answer = await self._client.call("GET", f"/sobjects/{object_name}/describe")
                except SchemaChangedError:
                    msg = f"the org has no object {object_name!r}, or hides it from this user"
                    raise SchemaChangedError(msg) from None
                self._sobjects[object_name] = read_describe(answer.body)
            return self._sobjects[object_name]

    async def _identity(self) -> Mapping[str, Any]:
        """Who the token belongs to ("UserInfo Endpoint", Identity URLs); read once a connection."""
        async with self._lock:
            if self._user is None:
                answer = await self._client.send("GET", "/services/oauth2/userinfo", repeatable=True)
                self._user = answer.body if isinstance(answer.body, Mapping) else {}
            return self._user

    async def _user_id(self) -> str | None:
        remembered = self._client.remembered(_USER)
        if remembered is not None:
            return remembered
        found = (await self._identity()).get("user_id")
        if found:
            self._client.remember(_USER, str(found))
        return str(found) if found else None


def _contact_warnings(contact: SObject, key_field: str) -> list[str]:
    warnings = []
    if not contact.external_key(key_field):
        warnings.append(
            f"Contact has no external id field {key_field} that this user may write: contacts are looked up by e-mail"
            f" before each create. Add it (Text 64, External ID, Unique) and give the user access"
        )
    opt_out = contact.fields.get("HasOptedOutOfEmail")
    if opt_out is None:
        warnings.append("HasOptedOutOfEmail is hidden by field-level security: opt-outs do not sync")
    elif not opt_out.updateable:
        warnings.append("HasOptedOutOfEmail cannot be written: opt-outs of MarkMail do not reach Salesforce")
    warnings += [
        f"{name} cannot be written by this user"
        for name in ("Email", "FirstName", "LastName", "Phone")
        if (field := contact.fields.get(name)) is None or not field.updateable
    ]
    return warnings


def _not_offered(what: str) -> ConfigurationError:
    return ConfigurationError(f"the Salesforce provider of this version does not offer {what}; see supports_feature()")
