"""From a way of signing in to the authorizer that does it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.runtime import Clock
from crmsync.providers.salesforce import oauth
from crmsync.providers.salesforce.auth import AccessToken, Authorizer, Grant, RenewableToken, TokenEndpoint, pem_of
from crmsync.providers.salesforce.credentials import SalesforceCredentials, SignIn
from crmsync.providers.salesforce.oauth import FormRequest
from crmsync.providers.salesforce.settings import SalesforceSettings


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
    return RenewableToken(_grant(way, settings, context.clock), given, context, endpoint)


def _grant(way: SignIn, settings: SalesforceSettings, clock: Clock) -> Grant:
    origin = settings.instance_url or ""

    async def refresh(held: Mapping[str, SecretStr]) -> FormRequest:
        return oauth.refresh(origin, held)

    async def client_credentials(held: Mapping[str, SecretStr]) -> FormRequest:
        return oauth.client_credentials(origin, held)

    async def jwt_bearer(held: Mapping[str, SecretStr]) -> FormRequest:
        pem = await pem_of(held["private_key"])
        return oauth.jwt_bearer(origin, held, pem, audience=oauth.audience_of(settings), now=clock.now())

    grants = {
        SignIn.REFRESH_TOKEN: refresh,
        SignIn.CLIENT_CREDENTIALS: client_credentials,
        SignIn.JWT_BEARER: jwt_bearer,
    }
    return grants[way]
