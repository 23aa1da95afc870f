"""Tokens and identity: OAuth errors are objects, and a refresh answer has no new refresh token."""

from __future__ import annotations

import httpx2
import pytest

from crmsync.testing.salesforce import API_USER_ID, ORG_ID, SalesforceOrg

pytestmark = pytest.mark.anyio

TOKEN = "/services/oauth2/token"
LIMITS = "/services/data/v68.0/limits"
REFRESH = {
    "grant_type": "refresh_token",
    "client_id": "emulator-client",
    "refresh_token": "emulator-refresh-token",
}
CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": "emulator-client",
    "client_secret": "emulator-secret",
}


@pytest.mark.parametrize("form", [REFRESH, CREDENTIALS, {**REFRESH, "client_secret": "emulator-secret"}])
async def test_good_values_get_a_token_that_works(
    client: httpx2.AsyncClient, org: SalesforceOrg, form: dict[str, str]
) -> None:
    org.expire_sessions()
    answer = (await client.post(TOKEN, data=form)).json()
    assert set(answer) == {"access_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at"}
    assert answer["instance_url"] == "http://org.example"
    assert answer["id"] == f"http://org.example/id/{ORG_ID}/{API_USER_ID}"
    assert answer["issued_at"] == "1795552466789"
    assert answer["access_token"].startswith(f"{ORG_ID}!")
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert (await client.get(LIMITS, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "form,error",
    [
        ({}, "unsupported_grant_type"),
        ({**REFRESH, "grant_type": "password"}, "unsupported_grant_type"),
        ({**REFRESH, "client_id": "someone"}, "invalid_client_id"),
        ({**REFRESH, "refresh_token": "stale"}, "invalid_grant"),
        ({**REFRESH, "client_secret": "wrong"}, "invalid_client"),
        ({**CREDENTIALS, "client_secret": "wrong"}, "invalid_client"),
    ],
)
async def test_wrong_values_are_refused_with_an_object(
    client: httpx2.AsyncClient, org: SalesforceOrg, form: dict[str, str], error: str
) -> None:
    response = await client.post(TOKEN, data=form)
    assert response.status_code == 400
    assert response.json()["error"] == error
    assert list(response.json()) == ["error", "error_description"]
    assert len(org.tokens) == 1


async def test_a_revoked_token_no_longer_works(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    assert (await client.post("/services/oauth2/revoke", data={"token": org.access_token})).status_code == 200
    assert (await client.get(LIMITS)).status_code == 401
    again = await client.post("/services/oauth2/revoke", data={"token": org.access_token})
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")


async def test_userinfo_tells_whose_the_token_is(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    body = (await client.get("/services/oauth2/userinfo")).json()
    assert (body["user_id"], body["organization_id"]) == (API_USER_ID, ORG_ID)
    assert body["preferred_username"] == "api.user@emulator.example"
    refused = await client.get("/services/oauth2/userinfo", headers={"Authorization": "Bearer x"})
    assert (refused.status_code, refused.text) == (403, "Bad_OAuth_Token")
    assert org.api_calls == 0


async def test_the_organization_and_user_can_be_read_as_clients_do_at_login(client: httpx2.AsyncClient) -> None:
    soql = (
        "SELECT Name, InstanceName, IsSandbox, TrialExpirationDate, NamespacePrefix, OrganizationType FROM Organization"
    )
    (organization,) = (await client.get("/services/data/v51.0/query", params={"q": soql})).json()["records"]
    assert organization["IsSandbox"] is False
    user = (await client.get(f"/services/data/v51.0/sobjects/User/{API_USER_ID}")).json()
    assert user["Username"] == "api.user@emulator.example"
