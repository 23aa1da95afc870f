from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx2
import pytest
from pydantic import SecretStr

from crmsync.engine.budget import RunBudget
from crmsync.engine.clock import SystemClock
from crmsync.errors import ConfigurationError
from crmsync.models.campaigns import CRMCampaign, EmailActivity, EmailActivityType
from crmsync.models.contacts import CRMContact
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce.auth import AccessToken, TokenEndpoint
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.settings import SalesforceSettings
from crmsync.providers.salesforce.sf.provider import SfProvider
from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "https://acme.my.salesforce.com"


@asynccontextmanager
async def opened(org: SalesforceOrg) -> AsyncIterator[SfProvider]:
    settings = SalesforceSettings(instance_url=URL)
    async with httpx2.AsyncClient(transport=InProcessTransport(org)) as http:
        auth = AccessToken(SecretStr(org.access_token), URL, TokenEndpoint(http, settings))
        yield SfProvider(SalesforceClient(settings, auth, ProviderContext(SystemClock(), RunBudget()), http))


def person(number: int) -> CRMContact:
    return CRMContact(email=f"p{number}@example.org", last_name="Ng")


def event(number: int) -> EmailActivity:
    return EmailActivity(type=EmailActivityType.SENT, email="p0@example.org", occurred_at=NOON, message_id=str(number))


async def test_single_contacts_are_refused_above_a_handful_in_a_row() -> None:
    org = SalesforceOrg()
    async with opened(org) as provider:
        for number in range(5):
            await provider.sync_contact(person(number))
        calls = org.api_calls
        with pytest.raises(ConfigurationError, match=r"about a second .* bulk_sync_contacts"):
            await provider.sync_contact(person(5))
        assert (org.api_calls, len(org.records("Contact"))) == (calls, 5)
        await provider.bulk_sync_contacts([person(number) for number in range(9)])
        assert await provider.get_contact("p8@example.org") is not None
        assert len(org.records("Contact")) == 9


@pytest.mark.parametrize(
    "verb,instead",
    [
        (lambda provider, n: provider.log_email_activity(event(n)), "log_email_activities"),
        (lambda provider, n: provider.log_email_activities([event(n)]), "log_email_activities"),
        (lambda provider, n: provider.bulk_sync_contacts([person(n)]), "bulk_sync_contacts"),
        (lambda provider, n: provider.sync_campaign(CRMCampaign(name=f"C{n}")), "object Campaign"),
        (lambda provider, n: provider.get_campaign(f"701{n:012}"), "object Campaign"),
    ],
    ids=["event", "events of one", "contacts of one", "campaign", "look at a campaign"],
)
async def test_so_is_whatever_else_takes_one_record_at_a_time(
    verb: Callable[[SfProvider, int], Awaitable[object]], instead: str
) -> None:
    org = SalesforceOrg()
    org.create("Contact", {"LastName": "Ng", "Email": "p0@example.org"})
    async with opened(org) as provider:
        for number in range(5):
            await verb(provider, number)
        calls = org.api_calls
        with pytest.raises(ConfigurationError, match=instead):
            await verb(provider, 5)
        assert org.api_calls == calls
        await provider.log_email_activities([event(6), event(7)])
        await verb(provider, 5)
