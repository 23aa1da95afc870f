from __future__ import annotations

import httpx2
import pytest
from pydantic import SecretStr

from crmsync.engine.budget import RunBudget
from crmsync.engine.clock import SystemClock
from crmsync.errors import ConfigurationError
from crmsync.models.contacts import CRMContact
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce.auth import AccessToken, TokenEndpoint
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.settings import SalesforceSettings
from crmsync.providers.salesforce.sf.provider import SfProvider
from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport

pytestmark = pytest.mark.anyio

URL = "https://acme.my.salesforce.com"


async def test_single_contacts_are_refused_above_a_handful_in_a_row() -> None:
    org = SalesforceOrg()
    settings = SalesforceSettings(instance_url=URL)
    async with httpx2.AsyncClient(transport=InProcessTransport(org)) as http:
        auth = AccessToken(SecretStr(org.access_token), URL, TokenEndpoint(http, settings))
        provider = SfProvider(SalesforceClient(settings, auth, ProviderContext(SystemClock(), RunBudget()), http))
        for number in range(5):
            await provider.sync_contact(CRMContact(email=f"p{number}@example.org", last_name="Ng"))
        calls = org.api_calls
        with pytest.raises(ConfigurationError, match=r"about a second .* bulk_sync_contacts"):
            await provider.sync_contact(CRMContact(email="p5@example.org", last_name="Ng"))
        assert (org.api_calls, len(org.records("Contact"))) == (calls, 5)
        await provider.bulk_sync_contacts([CRMContact(email=f"p{n}@example.org", last_name="Wu") for n in range(9)])
        assert await provider.get_contact("p8@example.org") is not None
        assert len(org.records("Contact")) == 9
