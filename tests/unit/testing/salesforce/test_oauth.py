"""The token endpoint's grants, its refusals, and the ends of sessions."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx2
import pytest

from crmsync.testing.salesforce import (
    API_USER_ID,
    API_USERNAME,
    EMULATOR_APP,
    EMULATOR_PASSWORD,
    EMULATOR_REFRESH_TOKEN,
    ORG_ID,
    OAuthApp,
    SalesforceOrg,
    dump_state,
    load_state,
)

pytestmark = pytest.mark.anyio

TOKEN = "/services/oauth2/token"
LIMITS = "/services/data/v68.0/limits"
CLIENT = {"client_id": "emulator-client", "client_secret": "emulator-secret"}
REFRESH = {"grant_type": "refresh_token", "client_id": "emulator-client", "refresh_token": EMULATOR_REFRESH_TOKEN}
CREDENTIALS = {"grant_type": "client_credentials", **CLIENT}
PASSWORD = {"grant_type": "password", **CLIENT, "username": API_USERNAME, "password": EMULATOR_PASSWORD}


async def refused(client: httpx2.AsyncClient, form: dict[str, str], status: int = 400) -> tuple[str, str]:
    """Return the error and its text of a form that gets no token."""
    response = await client.post(TOKEN, data=form)
    assert response.status_code == status
    body = response.json()
    assert list(body) == ["error", "error_description"]
    return body["error"], body["error_description"]


async def status_with(client: httpx2.AsyncClient, token: str) -> int:
    """Return what a REST call with the token gets."""
    return (await client.get(LIMITS, headers={"Authorization": f"Bearer {token}"})).status_code


@pytest.mark.parametrize("form", [REFRESH, CREDENTIALS, {**REFRESH, "client_secret": "emulator-secret"}])
async def test_good_values_get_a_token_that_works(
    client: httpx2.AsyncClient, org: SalesforceOrg, form: dict[str, str]
) -> None:
    org.expire_sessions()
    response = await client.post(TOKEN, data=form)
    answer = response.json()
    assert set(answer) == {"access_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at"}
    assert answer["instance_url"] == "http://org.example"
    assert answer["id"] == f"http://org.example/id/{ORG_ID}/{API_USER_ID}"
    assert answer["issued_at"] == "1795552466789"
    assert response.headers["Cache-Control"] == "no-store"
    # What the sf CLI demands of an access token.
    assert re.fullmatch(r"(00D\w{12,15})![.\w]*", answer["access_token"])
    assert await status_with(client, answer["access_token"]) == 200


async def test_the_secret_may_come_in_a_basic_header(client: httpx2.AsyncClient) -> None:
    form = {"grant_type": "client_credentials"}
    good = await client.post(TOKEN, data=form, auth=httpx2.BasicAuth("emulator-client", "emulator-secret"))
    assert good.json()["scope"] == "api"
    bad = await client.post(TOKEN, data=form, auth=httpx2.BasicAuth("emulator-client", "wrong"))
    assert (bad.status_code, bad.json()["error"]) == (401, "invalid_client")
    assert bad.headers["WWW-Authenticate"] == "Basic"
    broken = await client.post(TOKEN, data=form, headers={"Authorization": "Basic nonsense"})
    assert (broken.status_code, broken.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    "form,error",
    [
        ({}, "unsupported_grant_type"),
        ({**REFRESH, "grant_type": "device"}, "unsupported_grant_type"),
        ({**REFRESH, "client_id": "someone"}, "invalid_client_id"),
        ({**REFRESH, "client_id": "PlatformCLI"}, "invalid_grant"),
        ({**REFRESH, "refresh_token": "stale"}, "invalid_grant"),
        ({**REFRESH, "client_secret": "wrong"}, "invalid_client"),
        ({**CREDENTIALS, "client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "emulator-client"}, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "PlatformCLI"}, "invalid_client"),
        ({"grant_type": "refresh_token", "client_id": "PlatformCLI", "client_secret": "any"}, "invalid_client"),
    ],
)
async def test_wrong_values_are_refused_with_an_object(
    client: httpx2.AsyncClient, org: SalesforceOrg, form: dict[str, str], error: str
) -> None:
    assert (await refused(client, form))[0] == error
    assert org.oauth.session_count == 1


async def test_client_credentials_need_a_run_as_user_and_the_orgs_own_domain(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    org.oauth.add_app(OAuthApp(client_id="bare", client_secret="s"))
    form = {"grant_type": "client_credentials", "client_id": "bare", "client_secret": "s"}
    assert await refused(client, form) == ("invalid_grant", "no client credentials user enabled")
    elsewhere = await client.post(f"https://login.salesforce.com{TOKEN}", data=CREDENTIALS)
    assert elsewhere.json() == {
        "error": "invalid_grant",
        "error_description": "request not supported on this domain",
    }


async def test_username_and_password_are_refused_like_a_wrong_password_until_switched_on(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    assert await refused(client, PASSWORD) == ("invalid_grant", "authentication failure")
    org.oauth.allow_password_flow = True
    token = (await client.post(TOKEN, data=PASSWORD)).json()["access_token"]
    assert await status_with(client, token) == 200
    wrong = {**PASSWORD, "password": "wrong"}
    assert await refused(client, wrong) == ("invalid_grant", "authentication failure")


async def test_a_rotating_app_gets_a_new_refresh_token_each_time_and_the_old_one_sent_again_ends_it_too(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    app = OAuthApp(client_id="rotating", client_secret="s", rotates_refresh_tokens=True)
    org.oauth.add_app(app)
    org.oauth.add_refresh_token("first", org.oauth.new_grant("rotating", API_USER_ID, app.scopes))
    form = {"grant_type": "refresh_token", "client_id": "rotating", "client_secret": "s", "refresh_token": "first"}
    answer = (await client.post(TOKEN, data=form)).json()
    again = (await client.post(TOKEN, data={**form, "refresh_token": answer["refresh_token"]})).json()
    assert len({"first", answer["refresh_token"], again["refresh_token"]}) == 3
    assert await status_with(client, answer["access_token"]) == 200
    assert (await refused(client, {**REFRESH, "client_id": "rotating"}))[0] == "invalid_client"
    load_state(org, dump_state(org))
    assert await refused(client, form) == ("invalid_grant", "expired access/refresh token")
    newest = {**form, "refresh_token": again["refresh_token"]}
    assert await refused(client, newest) == ("invalid_grant", "expired access/refresh token")
    assert await status_with(client, again["access_token"]) == 401


async def test_a_session_ends_by_the_clock_unless_it_is_used(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.oauth.session_lifetime = timedelta(minutes=30)
    token = (await client.post(TOKEN, data=CREDENTIALS)).json()["access_token"]
    org.advance(10 * 60)
    assert await status_with(client, token) == 200
    org.advance(10 * 60)
    # Activity counts from half of the time on: this call is the first that prolongs.
    assert await status_with(client, token) == 200
    org.advance(29 * 60)
    assert await status_with(client, token) == 200
    org.advance(30 * 60)
    assert await status_with(client, token) == 401


async def test_activity_in_the_first_half_does_not_prolong_a_session(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    org.oauth.session_lifetime = timedelta(minutes=30)
    org.advance(14 * 60)
    assert (await client.get(LIMITS)).status_code == 200
    org.advance(16 * 60)
    assert (await client.get(LIMITS)).status_code == 401


async def test_a_session_without_the_api_scope_cannot_call_the_api(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    org.oauth.add_app(OAuthApp(client_id="shy", client_secret="s", scopes=("id",), run_as=API_USERNAME))
    form = {"grant_type": "client_credentials", "client_id": "shy", "client_secret": "s"}
    token = (await client.post(TOKEN, data=form)).json()["access_token"]
    response = await client.get(LIMITS, headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")


async def test_a_revoked_token_no_longer_works(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    assert (await client.post("/services/oauth2/revoke", data={"token": org.access_token})).status_code == 200
    assert (await client.get(LIMITS)).status_code == 401
    again = await client.post("/services/oauth2/revoke", data={"token": org.access_token})
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")


async def test_revoking_a_refresh_token_ends_its_sessions_and_no_others(client: httpx2.AsyncClient) -> None:
    own = (await client.post(TOKEN, data=REFRESH)).json()["access_token"]
    other = (await client.post(TOKEN, data=CREDENTIALS)).json()["access_token"]
    await client.post("/services/oauth2/revoke", data={"token": EMULATOR_REFRESH_TOKEN})
    assert [await status_with(client, token) for token in (own, other)] == [401, 200]
    assert await refused(client, REFRESH) == ("invalid_grant", "expired access/refresh token")


async def test_introspection_tells_an_app_about_its_own_tokens_only(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    path = "/services/oauth2/introspect"
    org.oauth.session_lifetime = timedelta(hours=2)
    token = (await client.post(TOKEN, data=REFRESH)).json()["access_token"]
    about = (await client.post(path, data={"token": token, **CLIENT})).json()
    assert about == {
        "active": True,
        "scope": "api refresh_token",
        "client_id": "emulator-client",
        "username": API_USERNAME,
        "sub": f"http://org.example/id/{ORG_ID}/{API_USER_ID}",
        "token_type": "access_token",
        "exp": 1795552466 + 7200,
        "iat": 1795552466,
        "nbf": 1795552466,
    }
    refresh = (await client.post(path, data={"token": EMULATOR_REFRESH_TOKEN, **CLIENT})).json()
    assert (refresh["active"], refresh["token_type"]) == (True, "refresh_token")
    for other in (org.access_token, "nonsense"):
        assert (await client.post(path, data={"token": other, **CLIENT})).json() == {"active": False}
    assert (await client.post(path, data={"token": token, "client_id": "emulator-client"})).status_code == 400
    org.advance(7200)
    assert (await client.post(path, data={"token": token, **CLIENT})).json() == {"active": False}


async def test_userinfo_tells_whose_the_token_is(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    body = (await client.get("/services/oauth2/userinfo")).json()
    assert (body["user_id"], body["organization_id"]) == (API_USER_ID, ORG_ID)
    assert body["preferred_username"] == API_USERNAME
    wrong = await client.get("/services/oauth2/userinfo", headers={"Authorization": "Bearer x"})
    assert (wrong.status_code, wrong.text) == (403, "Bad_OAuth_Token")
    assert org.api_calls == 0


async def test_the_identity_url_describes_the_user(client: httpx2.AsyncClient) -> None:
    url = (await client.post(TOKEN, data=CREDENTIALS)).json()["id"]
    body = (await client.get(url)).json()
    assert (body["id"], body["username"], body["asserted_user"]) == (url, API_USERNAME, True)
    assert body["urls"]["rest"] == "http://org.example/services/data/v{version}/"


@pytest.mark.parametrize(
    "path,header,status,text",
    [
        (f"/id/{ORG_ID}/{API_USER_ID}", "", 403, "Missing_OAuth_Token"),
        (f"/id/{ORG_ID}/{API_USER_ID}", "Bearer x", 403, "Bad_OAuth_Token"),
        (f"/id/00D000000000062EAA/{API_USER_ID}", None, 403, "Wrong_Org"),
        (f"/id/{ORG_ID}/0035e0000000001AAA", None, 404, "Bad_Id"),
    ],
)
async def test_a_wrong_identity_url_is_refused_by_a_word(
    client: httpx2.AsyncClient, path: str, header: str | None, status: int, text: str
) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = await client.get(path, headers=headers)
    assert (response.status_code, response.text) == (status, text)


async def test_the_organization_and_user_can_be_read_as_clients_do_at_login(client: httpx2.AsyncClient) -> None:
    soql = (
        "SELECT Name, InstanceName, IsSandbox, TrialExpirationDate, NamespacePrefix, OrganizationType FROM Organization"
    )
    (organization,) = (await client.get("/services/data/v51.0/query", params={"q": soql})).json()["records"]
    assert organization["IsSandbox"] is False
    user = (await client.get(f"/services/data/v51.0/sobjects/User/{API_USER_ID}")).json()
    assert user["Username"] == API_USERNAME


async def test_tokens_apps_and_consents_survive_a_dump(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.oauth.add_app(OAuthApp(client_id="mine", client_secret="s", run_as=API_USERNAME, callback_urls=("app:/cb",)))
    org.oauth.consent("mine", API_USER_ID)
    token = (await client.post(TOKEN, data=REFRESH)).json()["access_token"]
    state = dump_state(org)
    other = SalesforceOrg(access_token="00D!other")
    load_state(other, state)
    for held in (token, org.access_token, "00D!other"):
        assert other.oauth.session(held, other.now()) is not None
    assert other.oauth.apps["mine"] == org.oauth.apps["mine"]
    assert other.oauth.has_consented("mine", API_USER_ID)
    broken = {**state, "oauth": {"apps": [{"nonsense": 1}]}}
    with pytest.raises(ValueError, match="not a sign-in state"):
        load_state(other, broken)
    assert other.oauth.session(token, other.now()) is not None


async def test_the_control_api_sets_the_sign_in_all_or_nothing(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    path = "/__emulator__/oauth"
    body = {
        "apps": [{"client_id": "new", "callback_urls": ["http://localhost:9/cb"], "requires_pkce": True}],
        "auto_approve_as": API_USERNAME,
        "session_seconds": 60,
        "allow_password_flow": True,
        "allow_soap_login": False,
        "passwords": {"Other.Person@emulator.example": "word"},
    }
    assert (await client.post(path, json=body)).json() == {
        "apps": ["PlatformCLI", "emulator-client", "new"],
        "auto_approve_as": API_USERNAME,
        "session_seconds": 60.0,
        "allow_password_flow": True,
        "allow_soap_login": False,
        "sessions": 1,
    }
    form = {**PASSWORD, "username": "other.person@emulator.example", "password": "word"}
    assert (await client.post(TOKEN, data=form)).status_code == 200
    wrong = {"allow_password_flow": False, "apps": [{"client_id": "x", "public_key": "no key"}]}
    assert (await client.post(path, json=wrong)).status_code == 400
    assert org.oauth.allow_password_flow
    await client.post(path, json={"expire_sessions": True, "session_seconds": None})
    assert (org.oauth.session_count, org.oauth.session_lifetime) == (0, None)


def test_no_repr_shows_a_secret(org: SalesforceOrg) -> None:
    shown = repr(org.oauth) + repr(EMULATOR_APP) + repr(org.oauth.grant_of(EMULATOR_REFRESH_TOKEN))
    for secret in ("emulator-secret", EMULATOR_PASSWORD, EMULATOR_REFRESH_TOKEN, org.access_token):
        assert secret not in shown


async def test_an_app_may_refuse_everybody_with_a_code_and_a_text(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    app = OAuthApp(client_id="app", rotates_refresh_tokens=True, refusal=("OAUTH_APP_BLOCKED", "blocked by admin"))
    org.oauth.add_app(app)
    org.oauth.add_refresh_token("first", org.oauth.new_grant("app", API_USER_ID, app.scopes))
    form = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": "first"}
    assert await refused(client, form) == ("OAUTH_APP_BLOCKED", "blocked by admin")
    assert org.oauth.grant_of("first") is not None, "nothing was replaced"
    with pytest.raises(ValueError, match="a code and a text"):
        OAuthApp(client_id="app", refusal=("OAUTH_APP_BLOCKED",))
