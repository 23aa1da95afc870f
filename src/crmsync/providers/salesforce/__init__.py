"""Salesforce over REST. Extra ``salesforce``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from crmsync.errors import MissingExtraError
from crmsync.models.mappings import ObjectMapping
from crmsync.protocols.provider import ProviderContext

try:
    import httpx2

    from crmsync.providers.salesforce.auth import AccessToken, TokenEndpoint
    from crmsync.providers.salesforce.authorizing import authorizer
    from crmsync.providers.salesforce.client import SalesforceClient, open_http
    from crmsync.providers.salesforce.credentials import read_connection
    from crmsync.providers.salesforce.provider import SalesforceProvider
    from crmsync.providers.salesforce.settings import SalesforceSettings, TransportName, read_settings
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] in ("httpx2", "tenacity"):
        raise MissingExtraError("the Salesforce provider", "salesforce") from error
    raise

if TYPE_CHECKING:
    from crmsync.protocols.signing_in import PendingSignIn, SignedIn, SignInMethod


class SalesforceProviderFactory:
    """What the entry point names. ``transport`` replaces the network, for tests."""

    name = "salesforce"

    def __init__(self, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._transport = transport

    def default_mappings(self) -> Mapping[str, ObjectMapping]:
        """A mapping for each object; fields that the org does not have are left out when it is first synced.

        Contact and Person (contacts and leads as one) are mapped to the application's subscribers, the others to local
        objects of their own.
        """
        from crmsync.providers import activity_records  # noqa: PLC0415 - a run has its mappings
        from crmsync.providers.salesforce.objects import mappings  # noqa: PLC0415 - as above

        return {
            "Contact": ObjectMapping(fields=mappings.CONTACT_FIELDS),
            "Lead": mappings.LEAD,
            "Person": mappings.PERSON,
            "Campaign": mappings.CAMPAIGN,
            "CampaignMember": mappings.CAMPAIGN_MEMBER,
            "CampaignMemberStatus": mappings.CAMPAIGN_MEMBER_STATUS,
            activity_records.EMAIL_ACTIVITY: activity_records.MAPPING,
        }

    def parents(self) -> Mapping[str, frozenset[str]]:
        """See `SupportsParents`: members and events are about people, members and statuses belong to campaigns."""
        from crmsync.providers.activity_records import EMAIL_ACTIVITY  # noqa: PLC0415 - a run has its mappings

        people = frozenset({"Contact", "Lead", "Person"})
        return {
            "CampaignMember": people | {"Campaign"},
            "CampaignMemberStatus": frozenset({"Campaign"}),
            EMAIL_ACTIVITY: people,
        }

    @asynccontextmanager
    async def open(
        self, settings: Mapping[str, Any], credentials: Mapping[str, SecretStr], context: ProviderContext
    ) -> AsyncIterator[SalesforceProvider]:
        """Open a connection; the first request is made when something is asked of it.

        :raises ConfigurationError: a setting or credential is missing, unknown or unusable, all of them at once.
        """
        checked, secrets, way = read_connection(settings, credentials)
        if checked.transport is TransportName.SF:
            async with _open_by_sf(checked, secrets.access_token, context) as provider:
                yield provider
            return
        async with open_http(checked, self._transport) as http:
            auth = authorizer(way, secrets, TokenEndpoint(http, checked), context)
            client = SalesforceClient(checked, auth, context, http)
            async with aclosing(auth), aclosing(SalesforceProvider(client)) as opened:
                yield opened

    def sign_in_methods(self) -> Sequence[SignInMethod]:
        from crmsync.providers.salesforce import signing_in  # noqa: PLC0415 - who is signed in needs it no more

        return signing_in.METHODS

    def begin_sign_in(
        self, settings: Mapping[str, Any], credentials: Mapping[str, SecretStr], redirect_uri: str
    ) -> PendingSignIn:
        """Make the URL of the web server flow with PKCE; ``credentials`` are those of the app."""
        from crmsync.providers.salesforce import signing_in  # noqa: PLC0415 - who is signed in needs it no more

        return signing_in.begin(settings, credentials, redirect_uri)

    async def finish_sign_in(
        self,
        settings: Mapping[str, Any],
        credentials: Mapping[str, SecretStr],
        pending: PendingSignIn,
        callback_url: str,
    ) -> SignedIn:
        """Exchange the code in the callback for a refresh token."""
        from crmsync.providers.salesforce import signing_in  # noqa: PLC0415 - who is signed in needs it no more

        checked = read_settings(settings)
        async with open_http(checked, self._transport) as http:
            return await signing_in.finish(TokenEndpoint(http, checked), credentials, pending, callback_url)


@asynccontextmanager
async def _open_by_sf(
    settings: SalesforceSettings, token: SecretStr | None, context: ProviderContext
) -> AsyncIterator[SalesforceProvider]:
    from crmsync.providers.salesforce.sf import transport  # noqa: PLC0415 - few go through the CLI
    from crmsync.providers.salesforce.sf.provider import SfProvider  # noqa: PLC0415 - as above

    async with transport.open_transport(settings, token) as cli, open_http(settings, cli) as http:
        counting = transport.counting(context, token)
        endpoint = TokenEndpoint(http, settings)
        given = None if token is None else AccessToken(token, settings.instance_url or "", endpoint)
        client = SalesforceClient(settings, transport.CliSession(settings, given), counting, http)
        async with aclosing(SfProvider(client)) as provider:
            yield provider


__all__ = ["SalesforceProvider", "SalesforceProviderFactory"]
