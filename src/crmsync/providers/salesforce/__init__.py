"""Salesforce over REST. Extra ``salesforce``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from crmsync.errors import MissingExtraError
from crmsync.models.mappings import ObjectMapping
from crmsync.protocols.provider import ProviderContext

try:
    import httpx2

    from crmsync.providers.salesforce.auth import AccessToken
    from crmsync.providers.salesforce.client import open_client
    from crmsync.providers.salesforce.provider import CONTACT_FIELDS, SalesforceProvider
    from crmsync.providers.salesforce.settings import read_credentials, read_settings
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] in ("httpx2", "stamina"):
        raise MissingExtraError("the Salesforce provider", "salesforce") from error
    raise


class SalesforceProviderFactory:
    """What the entry point names. ``transport`` replaces the network, for tests."""

    name = "salesforce"

    def __init__(self, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._transport = transport

    def default_mappings(self) -> Mapping[str, ObjectMapping]:
        """A mapping for Contact; fields that the org does not have are left out when it is first synced."""
        return {"Contact": ObjectMapping(fields=CONTACT_FIELDS)}

    @asynccontextmanager
    async def open(
        self, settings: Mapping[str, Any], credentials: Mapping[str, SecretStr], context: ProviderContext
    ) -> AsyncIterator[SalesforceProvider]:
        """Open a connection; the first request is made when something is asked of it.

        :raises ConfigurationError: a setting or credential is missing, unknown or unusable, all of them at once.
        """
        checked = read_settings(settings)
        auth = AccessToken(read_credentials(credentials).access_token)
        async with open_client(checked, auth, context, self._transport) as client:
            yield SalesforceProvider(client)


__all__ = ["SalesforceProvider", "SalesforceProviderFactory"]
