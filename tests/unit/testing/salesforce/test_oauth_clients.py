"""Sign-in by oauthlib, which knows nothing of this emulator: its requests are accepted, and it accepts the answers."""

from __future__ import annotations

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from oauthlib.oauth2 import (
    AccessDeniedError,
    BackendApplicationClient,
    InvalidGrantError,
    ServiceApplicationClient,
    WebApplicationClient,
)

from crmsync.testing.salesforce import API_USERNAME, OAuthApp, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport

pytestmark = pytest.mark.anyio

SITE = "https://org.example"
CALLBACK = "https://app.example/callback"


def browser(org: SalesforceOrg) -> httpx2.AsyncClient:
    """Return a client that carries no token of its own."""
    return httpx2.AsyncClient(transport=InProcessTransport(org))


async def post(org: SalesforceOrg, url: str, headers: dict[str, str], body: str) -> str:
    """Send a request that oauthlib prepared, and return the answer's text."""
    async with browser(org) as opened:
        return (await opened.post(url, headers=headers, content=body)).text


async def test_the_web_server_flow_with_pkce_refresh_and_revocation(org: SalesforceOrg) -> None:
    org.oauth.add_app(
        OAuthApp(
            client_id="app",
            client_secret="s",
            callback_urls=(CALLBACK,),
            requires_pkce=True,
            rotates_refresh_tokens=True,
        )
    )
    org.oauth.auto_approve_as = API_USERNAME
    app = WebApplicationClient("app")
    verifier = app.create_code_verifier(96).replace("~", "_")
    challenge = app.create_code_challenge(verifier, "S256")
    url, _, _ = app.prepare_authorization_request(
        f"{SITE}/services/oauth2/authorize",
        state="s1",
        redirect_url=CALLBACK,
        scope=["api", "refresh_token"],
        code_challenge=challenge,
        code_challenge_method="S256",
    )
    async with browser(org) as opened:
        location = (await opened.get(url)).headers["Location"]
    app.parse_request_uri_response(location, state="s1")
    request = app.prepare_token_request(
        f"{SITE}/services/oauth2/token",
        authorization_response=location,
        redirect_url=CALLBACK,
        state="s1",
        code_verifier=verifier,
        client_secret="s",
    )
    first = dict(app.parse_request_body_response(await post(org, *request), scope=["api", "refresh_token"]))
    assert first["token_type"] == "Bearer"
    refresh = app.prepare_refresh_token_request(f"{SITE}/services/oauth2/token", client_id="app", client_secret="s")
    second = dict(app.parse_request_body_response(await post(org, *refresh)))
    assert second["refresh_token"] != first["refresh_token"]
    with pytest.raises(InvalidGrantError, match="expired access/refresh token"):
        app.parse_request_body_response(await post(org, *refresh))
    revocation = app.prepare_token_revocation_request(f"{SITE}/services/oauth2/revoke", second["refresh_token"])
    await post(org, *revocation)
    assert org.oauth.session(second["access_token"], org.now()) is None


async def test_a_refused_consent_is_understood(org: SalesforceOrg) -> None:
    org.oauth.add_app(OAuthApp(client_id="app", callback_urls=(CALLBACK,)))
    org.oauth.auto_approve_as = "nobody@emulator.example"
    app = WebApplicationClient("app")
    url = app.prepare_request_uri(f"{SITE}/services/oauth2/authorize", redirect_uri=CALLBACK, state="s1")
    async with browser(org) as opened:
        location = (await opened.get(url)).headers["Location"]
    with pytest.raises(AccessDeniedError):
        app.parse_request_uri_response(location, state="s1")


async def test_client_credentials(org: SalesforceOrg) -> None:
    app = BackendApplicationClient("emulator-client")
    body = app.prepare_request_body(include_client_id=True, client_secret="emulator-secret")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await post(org, f"{SITE}/services/oauth2/token", headers, body)
    token = app.parse_request_body_response(answer)
    assert org.oauth.session(token["access_token"], org.now()) is not None


async def test_jwt_bearer(org: SalesforceOrg) -> None:
    key = generate_private_key(65537, 2048)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    org.oauth.add_app(OAuthApp(client_id="app", public_key=pem, preauthorized=(API_USERNAME,)))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    app = ServiceApplicationClient("app", private_key=private)
    moment = int(org.now().timestamp())
    body = app.prepare_request_body(
        issuer="app", subject=API_USERNAME, audience=SITE, expires_at=moment + 60, issued_at=moment
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    token = app.parse_request_body_response(await post(org, f"{SITE}/services/oauth2/token", headers, body))
    assert org.oauth.session(token["access_token"], org.now()) is not None
