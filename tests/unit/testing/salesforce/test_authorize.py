"""The web server flow: consent by page or without one, what comes back to the app, and the code's end."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from crmsync.testing.salesforce import API_USERNAME, OTHER_USER_ID, PLATFORM_CLI, OAuthApp, SalesforceOrg

pytestmark = pytest.mark.anyio

AUTHORIZE = "/services/oauth2/authorize"
TOKEN = "/services/oauth2/token"
CALLBACK = "http://localhost:1717/OauthRedirect"
# RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
ASK = {
    "response_type": "code",
    "client_id": "PlatformCLI",
    "redirect_uri": CALLBACK,
    "scope": "refresh_token api web",
    "state": "st=ate",
    "prompt": "login",
    "code_challenge": CHALLENGE,
}


def sent_back(response: httpx2.Response) -> dict[str, str]:
    """Return the parameters with which the browser goes back to the app."""
    assert response.status_code == 302
    parts = urlsplit(response.headers["Location"])
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == CALLBACK
    return {name: value for name, (value,) in parse_qs(parts.query).items()}


async def code_for(client: httpx2.AsyncClient, org: SalesforceOrg, **changes: str) -> str:
    """Return a code that was approved without a page."""
    org.oauth.auto_approve_as = API_USERNAME
    return sent_back(await client.get(AUTHORIZE, params={**ASK, **changes}))["code"]


def exchange(code: str, **changes: str) -> dict[str, str]:
    """Return the form that exchanges a code as PlatformCLI."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": "PlatformCLI",
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    return {**form, **changes}


async def test_allow_on_the_page_leads_to_tokens_of_the_chosen_user(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    page = await client.get(AUTHORIZE, params=ASK)
    assert page.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert "Salesforce CLI asks for: refresh_token api web" in page.text
    assert f"<option selected>{API_USERNAME}</option>" in page.text
    (ticket,) = re.findall(r'name="ticket" value="([^"]+)"', page.text)
    form = {"ticket": ticket, "decision": "allow", "username": "other.person@emulator.example"}
    back = sent_back(await client.post(AUTHORIZE, data=form))
    assert back["state"] == "st=ate"
    answer = (await client.post(TOKEN, data=exchange(back["code"]))).json()
    assert answer["scope"] == "refresh_token api web"
    assert answer["id"].endswith(OTHER_USER_ID)
    assert org.oauth.has_consented("PlatformCLI", OTHER_USER_ID)
    refresh = {"grant_type": "refresh_token", "client_id": "PlatformCLI", "refresh_token": answer["refresh_token"]}
    again = (await client.post(TOKEN, data=refresh)).json()
    assert "refresh_token" not in again
    assert again["access_token"] != answer["access_token"]
    assert (await client.post(AUTHORIZE, data=form)).status_code == 400


async def test_deny_tells_the_app(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    page = await client.get(AUTHORIZE, params=ASK)
    (ticket,) = re.findall(r'name="ticket" value="([^"]+)"', page.text)
    back = sent_back(await client.post(AUTHORIZE, data={"ticket": ticket, "decision": "deny"}))
    assert back == {
        "error": "access_denied",
        "error_description": "end-user denied authorization",
        "state": "st=ate",
    }
    assert not org.oauth.has_consented("PlatformCLI", OTHER_USER_ID)


@pytest.mark.parametrize(
    "changes,error",
    [
        ({"client_id": "<b>"}, "invalid_client_id"),
        ({"redirect_uri": ""}, "redirect_uri_missing"),
        ({"redirect_uri": f"{CALLBACK}/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://localhost:1718/OauthRedirect"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://evil.example/OauthRedirect"}, "redirect_uri_mismatch"),
    ],
)
async def test_an_app_or_address_that_is_not_known_is_not_sent_back_to(
    client: httpx2.AsyncClient, org: SalesforceOrg, changes: dict[str, str], error: str
) -> None:
    org.oauth.auto_approve_as = API_USERNAME
    response = await client.get(AUTHORIZE, params={**ASK, **changes})
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert f"error={error}" in response.text


@pytest.mark.parametrize(
    "changes,error,description",
    [
        ({"response_type": "token"}, "unsupported_response_type", "response type not supported"),
        ({"scope": "api full"}, "invalid_scope", "the requested scope is not allowed"),
        ({"code_challenge": ""}, "invalid_request", "missing required code challenge"),
        ({"code_challenge": VERIFIER + "="}, "invalid_request", "invalid code challenge"),
        ({"code_challenge_method": "plain"}, "invalid_request", "invalid code challenge"),
    ],
)
async def test_a_faulty_request_is_told_to_the_app(
    client: httpx2.AsyncClient, org: SalesforceOrg, changes: dict[str, str], error: str, description: str
) -> None:
    org.oauth.auto_approve_as = API_USERNAME
    org.oauth.add_app(OAuthApp(client_id="PlatformCLI", callback_urls=(CALLBACK,), requires_pkce=True))
    back = sent_back(await client.get(AUTHORIZE, params={**ASK, "scope": "api", **changes}))
    assert back == {"error": error, "error_description": description, "state": "st=ate"}


async def test_a_name_from_outside_does_not_become_markup(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.oauth.add_app(OAuthApp(client_id="x", name="<script>alert(1)</script>", callback_urls=(CALLBACK,)))
    page = await client.get(AUTHORIZE, params={**ASK, "client_id": "x", "scope": "api"})
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text


@pytest.mark.parametrize(
    "changes,error,description",
    [
        ({"code": "other"}, "invalid_grant", "invalid authorization code"),
        ({"client_id": "emulator-client", "client_secret": "emulator-secret"}, "invalid_grant", "invalid auth"),
        ({"redirect_uri": "http://localhost:1718/OauthRedirect"}, "redirect_uri_mismatch", "redirect_uri must match"),
        ({"code_verifier": ""}, "invalid_grant", "invalid code verifier"),
        ({"code_verifier": VERIFIER[::-1]}, "invalid_grant", "invalid code verifier"),
    ],
)
async def test_a_code_is_not_exchanged_for_wrong_values_and_is_then_used_up(
    client: httpx2.AsyncClient, org: SalesforceOrg, changes: dict[str, str], error: str, description: str
) -> None:
    code = await code_for(client, org)
    response = await client.post(TOKEN, data={**exchange(code), **changes})
    assert response.status_code == 400
    assert response.json()["error"] == error
    assert response.json()["error_description"].startswith(description)
    again = (await client.post(TOKEN, data=exchange(code))).status_code
    assert again == (200 if "code" in changes else 400)


async def test_a_code_works_once_and_for_fifteen_minutes(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    code = await code_for(client, org)
    org.advance(15 * 60 - 1)
    assert (await client.post(TOKEN, data=exchange(code))).status_code == 200
    twice = (await client.post(TOKEN, data=exchange(code))).json()
    assert twice == {"error": "invalid_grant", "error_description": "invalid authorization code"}
    code = await code_for(client, org)
    org.advance(15 * 60)
    late = (await client.post(TOKEN, data=exchange(code))).json()
    assert late == {"error": "invalid_grant", "error_description": "expired authorization code"}


@pytest.mark.parametrize(
    "verifier,status", [("v" * 171, 200), ("v" * 43, 200), ("v" * 42, 400), ("v" * 172, 400), ("v" * 43 + "~", 400)]
)
async def test_a_verifier_may_be_as_long_as_salesforce_asks_for_but_has_no_tilde(
    client: httpx2.AsyncClient, org: SalesforceOrg, verifier: str, status: int
) -> None:
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    code = await code_for(client, org, code_challenge=challenge)
    assert (await client.post(TOKEN, data=exchange(code, code_verifier=verifier))).status_code == status


async def test_a_verifier_without_a_challenge_is_refused(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    code = await code_for(client, org, code_challenge="")
    response = await client.post(TOKEN, data=exchange(code))
    assert response.json()["error_description"] == "invalid code verifier"


async def test_a_confidential_app_needs_its_secret_to_exchange_a_code(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    code = await code_for(client, org, client_id="emulator-client", scope="api")
    bare = exchange(code, client_id="emulator-client")
    assert (await client.post(TOKEN, data=bare)).json()["error"] == "invalid_client"
    answer = (await client.post(TOKEN, data={**bare, "client_secret": "emulator-secret"})).json()
    assert answer["scope"] == "api"
    assert "refresh_token" not in answer


async def test_offline_access_is_another_word_for_refresh_token(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    code = await code_for(client, org, scope="api offline_access")
    answer = (await client.post(TOKEN, data=exchange(code))).json()
    assert answer["scope"] == "api refresh_token"
    assert answer["refresh_token"]


async def test_requests_that_nobody_decides_do_not_pile_up(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    page = await client.get(AUTHORIZE, params=ASK)
    (ticket,) = re.findall(r'name="ticket" value="([^"]+)"', page.text)
    for _ in range(100):
        await client.get(AUTHORIZE, params=ASK)
    assert len(org.oauth._open_requests) == 100
    late = await client.post(AUTHORIZE, data={"ticket": ticket, "decision": "allow", "username": API_USERNAME})
    assert late.status_code == 400


def test_the_cli_is_a_public_app() -> None:
    assert (PLATFORM_CLI.client_secret, PLATFORM_CLI.callback_urls) == (None, (CALLBACK,))
