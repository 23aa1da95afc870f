"""From a way of signing in to the authorizer that does it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.runtime import Clock
from crmsync.providers.salesforce import oauth
from crmsync.providers.salesforce.assertions import AssertionSignIn
from crmsync.providers.salesforce.auth import AccessToken, Authorizer, Grant, RenewableToken, TokenEndpoint
from crmsync.providers.salesforce.credentials import SalesforceCredentials, SignIn
from crmsync.providers.salesforce.oauth import TokenAnswer


def authorizer(
    way: SignIn, credentials: SalesforceCredentials, endpoint: TokenEndpoint, context: ProviderContext
) -> Authorizer:
    """The authorizer of a connection that `read_connection` has checked."""
    settings = endpoint.settings
    if way is SignIn.SF_CLI:
        from crmsync.providers.salesforce.sf.login import SfLogin  # noqa: PLC0415 - it runs a program

        return SfLogin(settings)
    assert settings.instance_url is not None
    if way is SignIn.ACCESS_TOKEN:
        assert credentials.access_token is not None
        address = credentials.instance_url
        origin = oauth.trusted_address(address.get_secret_value(), settings) if address else settings.instance_url
        return AccessToken(credentials.access_token, origin, endpoint)
    given = {name: value for name, value in credentials if value is not None}
    return RenewableToken(_grant(way, endpoint, context.clock), given, context, endpoint)


def _grant(way: SignIn, endpoint: TokenEndpoint, clock: Clock) -> Grant:
    origin = endpoint.settings.instance_url or ""

    async def refresh(held: Mapping[str, SecretStr]) -> TokenAnswer:
        return await endpoint.exchange(oauth.refresh(origin, held))

    async def client_credentials(held: Mapping[str, SecretStr]) -> TokenAnswer:
        return await endpoint.exchange(oauth.client_credentials(origin, held))

    grants: dict[SignIn, Grant] = {
        SignIn.REFRESH_TOKEN: refresh,
        SignIn.CLIENT_CREDENTIALS: client_credentials,
        SignIn.JWT_BEARER: AssertionSignIn(endpoint, clock),
    }
    return grants[way]
