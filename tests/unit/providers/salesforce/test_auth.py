"""Every way of signing in, against the emulator, through the facade."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from crmsync import CRMSync, Registry, Vault
from crmsync.engine import RunBudget, SystemClock
from crmsync.errors import AuthenticationError, ConfigurationError, UnavailableError
from crmsync.protocols.provider import CRMProvider, ProviderContext, UnkeptCredentials
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.testing.salesforce import OAuthApp, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport

pytestmark = pytest.mark.anyio

ORG = "https://acme.my.salesforce.com"
TOKEN_CALL = "POST /services/oauth2/token"
SECRET = "an-app-secret"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def org(key: rsa.RSAPrivateKey) -> SalesforceOrg:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    org = SalesforceOrg(
        apps=[
            OAuthApp(client_id="rotating", client_secret=SECRET, rotates_refresh_tokens=True),
            OAuthApp(client_id="public"),
            OAuthApp(client_id="server", client_secret=SECRET, run_as=username_of(SalesforceOrg())),
            OAuthApp(client_id="unmanned", client_secret=SECRET),
            OAuthApp(client_id="signing", public_key=public, preauthorized=(username_of(SalesforceOrg()),)),
        ]
    )
    for client_id in ("rotating", "public"):
        server = org.oauth
        grant = server.new_grant(client_id, org.user_id, ("api", "refresh_token"))
        server.add_refresh_token(f"first-of-{client_id}", grant)
    org.expire_sessions()
    return org


def username_of(org: SalesforceOrg) -> str:
    user = org.get("User", org.user_id)
    assert user is not None
    return str(user["Username"])


def pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def rotating() -> dict[str, str]:
    return {"refresh_token": "first-of-rotating", "client_id": "rotating", "client_secret": SECRET}


def jwt_credentials(key: rsa.RSAPrivateKey, org: SalesforceOrg) -> dict[str, str]:
    return {"client_id": "signing", "username": username_of(org), "private_key": pem(key)}


class Provided(Registry):
    """What is installed, with Salesforce in this process."""

    def __init__(self, transport: httpx2.AsyncBaseTransport) -> None:
        super().__init__([EntryPoint("salesforce", "none:none", "crmsync.providers")])
        self._factory = SalesforceProviderFactory(transport)

    def load(self, group: str, name: str) -> Any:
        return self._factory if name == "salesforce" else Registry().load(group, name)


@asynccontextmanager
async def opened(
    org: SalesforceOrg, credentials: Mapping[str, str], *, storage: str = "", **settings: Any
) -> AsyncIterator[CRMSync]:
    registry = Provided(InProcessTransport(org))
    vault = Vault.from_key(Vault.generate_key())
    async with CRMSync.open(storage or f"memory://{uuid.uuid4().hex}", vault=vault, registry=registry) as crm:
        chosen = {"instance_url": ORG, "retry_wait": 0.0, **settings}
        await crm.add_integration("acme", provider="salesforce", settings=chosen, credentials=credentials)
        yield crm


async def held(crm: CRMSync) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in (await crm.credentials("acme")).items()}


@pytest.mark.parametrize("way", ["rotating", "public", "server", "signing"])
async def test_each_way_signs_in_once_and_again_when_the_session_ends(
    way: str, org: SalesforceOrg, key: rsa.RSAPrivateKey
) -> None:
    credentials = {
        "rotating": rotating(),
        "public": {"refresh_token": "first-of-public", "client_id": "public"},
        "server": {"client_id": "server", "client_secret": SECRET},
        "signing": jwt_credentials(key, org),
    }[way]
    async with opened(org, credentials) as crm:
        assert (await crm.test_connection("acme")).user == username_of(org)
        await crm.test_connection("acme")
        assert org.calls[TOKEN_CALL] == 1
        org.expire_sessions()
        async with crm.provider("acme") as provider:
            await provider.get_custom_fields()
            org.expire_sessions()
            await provider.get_contact("nobody@example.com")
        assert org.calls[TOKEN_CALL] == 3


async def test_a_key_may_be_in_a_file(org: SalesforceOrg, key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    async with opened(org, {**jwt_credentials(key, org), "private_key": f"file:{path}"}) as crm:
        with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
            await crm.test_connection("acme")
        path.write_text(pem(key))
        assert (await crm.test_connection("acme")).ok


async def test_a_rotated_refresh_token_is_stored_before_it_is_used(org: SalesforceOrg) -> None:
    async with opened(org, rotating()) as crm:
        org.faults.fail_next(times=5, status=503, path="userinfo")
        with pytest.raises(UnavailableError):
            await crm.test_connection("acme")
        kept = (await held(crm))["refresh_token"]
        assert kept != "first-of-rotating"
        assert org.oauth.grant_of(kept) is not None


async def test_tasks_that_are_refused_at_once_renew_once(org: SalesforceOrg) -> None:
    async with opened(org, rotating()) as crm, crm.provider("acme") as provider:
        await provider.test_connection()
        org.expire_sessions()
        org.faults.latency = 0.02
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(provider.get_contact, f"{number}@example.com")
        assert org.calls[TOKEN_CALL] == 2


async def test_connections_that_are_refused_at_once_renew_once(org: SalesforceOrg) -> None:
    async with opened(org, rotating()) as crm:
        await crm.test_connection("acme")
        org.expire_sessions()
        org.faults.latency = 0.02
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(crm.test_connection, "acme")
        assert org.calls[TOKEN_CALL] == 2


async def test_a_token_that_is_refused_twice_ends_it(org: SalesforceOrg) -> None:
    org.faults.fail_next(
        times=2, status=401, body=[{"errorCode": "INVALID_SESSION_ID", "message": "x"}], path="/services/data"
    )
    async with opened(org, rotating()) as crm, crm.provider("acme") as provider:
        with pytest.raises(AuthenticationError, match="refused"):
            await provider.get_custom_fields()
    assert org.calls[TOKEN_CALL] == 2


async def test_a_dead_refresh_token_says_how_to_sign_in_again(org: SalesforceOrg) -> None:
    async with opened(org, {**rotating(), "refresh_token": "dead"}) as crm:
        with pytest.raises(AuthenticationError, match="sign in again with `crmsync connect salesforce`"):
            await crm.test_connection("acme")


async def test_a_public_app_is_sent_no_secret_and_refuses_one(org: SalesforceOrg) -> None:
    credentials = {"refresh_token": "first-of-public", "client_id": "public", "client_secret": SECRET}
    async with opened(org, credentials) as crm:
        with pytest.raises(AuthenticationError, match="public app"):
            await crm.test_connection("acme")


async def test_client_credentials_need_a_user_to_run_as(org: SalesforceOrg) -> None:
    async with opened(org, {"client_id": "unmanned", "client_secret": SECRET}) as crm:
        with pytest.raises(AuthenticationError, match="Run As"):
            await crm.test_connection("acme")


async def test_client_credentials_work_on_my_domain_only(org: SalesforceOrg) -> None:
    credentials = {"client_id": "server", "client_secret": SECRET}
    async with opened(org, credentials, instance_url="https://login.salesforce.com") as crm:
        with pytest.raises(AuthenticationError, match="My Domain only"):
            await crm.test_connection("acme")


async def test_a_user_who_is_not_approved_is_told_what_to_do(org: SalesforceOrg, key: rsa.RSAPrivateKey) -> None:
    async with opened(org, {**jwt_credentials(key, org), "username": "someone@else.example"}) as crm:
        with pytest.raises(AuthenticationError, match="pre-authorize the user"):
            await crm.test_connection("acme")


async def test_disconnecting_revokes_the_grant_and_forgets_the_credentials(org: SalesforceOrg) -> None:
    async with opened(org, rotating()) as crm:
        await crm.test_connection("acme")
        kept = await held(crm)
        done = await crm.disconnect("acme")
        assert (done.revoked, done.reason) == (True, "")
        assert org.oauth.grant_of(kept["refresh_token"]) is None
        assert org.oauth.session(kept["access_token"], org.now()) is None
        assert await held(crm) == {}
        assert not (await crm.disconnect("acme")).revoked
        await crm.disconnect("acme", forget=True)
        assert await crm.integrations() == []


async def test_a_revocation_that_fails_for_a_passing_reason_is_tried_again(org: SalesforceOrg) -> None:
    async with opened(org, rotating()) as crm:
        await crm.test_connection("acme")
        kept = await held(crm)
        org.faults.fail_next(times=2, status=503, path="oauth2/revoke")
        assert (await crm.disconnect("acme")).revoked
    assert org.oauth.grant_of(kept["refresh_token"]) is None


async def test_what_was_revoked_before_counts_as_revoked(org: SalesforceOrg) -> None:
    async with opened(org, rotating()) as crm:
        await crm.test_connection("acme")
        grant = org.oauth.grant_of((await held(crm))["refresh_token"])
        assert grant is not None
        org.oauth.revoke_grant(grant)
        done = await crm.disconnect("acme")
        assert (done.revoked, done.reason, await held(crm)) == (True, "", {})


@pytest.mark.parametrize(
    "status,body",
    [(400, {"error": "unsupported_token_type", "error_description": SECRET}), (403, f"<p>{SECRET}</p>"), (302, "")],
)
async def test_a_revocation_that_is_refused_says_where_to_do_it(org: SalesforceOrg, status: int, body: object) -> None:
    async with opened(org, rotating()) as crm:
        await crm.test_connection("acme")
        org.faults.fail_next(times=1, status=status, body=body, path="oauth2/revoke")
        done = await crm.disconnect("acme")
        assert not done.revoked
        assert done.reason.endswith("(Setup, OAuth Usage)")
        assert SECRET not in done.reason
        assert await held(crm) == {}


async def test_disconnecting_forgets_also_what_the_org_cannot_be_asked_to_revoke(org: SalesforceOrg) -> None:
    async with opened(org, rotating()) as crm:
        org.faults.drop_next(5)
        done = await crm.disconnect("acme")
        assert not done.revoked
        assert "cannot be reached" in done.reason
        assert await held(crm) == {}


async def test_a_sign_in_without_an_answer_is_tried_again(org: SalesforceOrg) -> None:
    org.faults.fail_next(times=1, status=503, path="oauth2/token")
    async with opened(org, {"client_id": "server", "client_secret": SECRET}) as crm:
        assert (await crm.test_connection("acme")).ok


async def test_calls_go_where_the_sign_in_says(org: SalesforceOrg) -> None:
    seen: set[str] = set()
    inner = InProcessTransport(org)

    class ElsewhereByAnswer(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            seen.add(f"{request.url.host}{request.url.path}")
            response = await inner.handle_async_request(request)
            if not request.url.path.endswith("/token"):
                return response
            return httpx2.Response(200, content=(await response.aread()).replace(b"//login.", b"//acme.my."))

    context = ProviderContext(SystemClock(), RunBudget())
    credentials = {name: SecretStr(value) for name, value in rotating().items()}
    factory = SalesforceProviderFactory(ElsewhereByAnswer())
    async with factory.open({"instance_url": "https://login.salesforce.com"}, credentials, context) as provider:
        await provider.test_connection()
    assert {place for place in seen if place.startswith("login.")} == {"login.salesforce.com/services/oauth2/token"}


class RenewedMeanwhile(UnkeptCredentials):
    """As if another process had stored newer credentials after this one read the old ones."""

    def __init__(self, newer: Mapping[str, str]) -> None:
        super().__init__()
        self.newer = {name: SecretStr(value) for name, value in newer.items()}
        self.loads = 0

    async def load(self) -> Mapping[str, SecretStr]:
        self.loads += 1
        return {**await super().load(), **(self.newer if self.loads > 1 else {})}


async def connect(org: SalesforceOrg, store: UnkeptCredentials, **changes: str) -> CRMProvider:
    credentials = {name: SecretStr(value) for name, value in {**rotating(), **changes}.items()}
    context = ProviderContext(SystemClock(), RunBudget(), credentials=store)
    factory = SalesforceProviderFactory(InProcessTransport(org))
    async with factory.open({"instance_url": ORG, "retry_wait": 0.0}, credentials, context) as provider:
        assert (await provider.test_connection()).ok
        return provider


async def test_a_refused_refresh_token_is_looked_up_again_before_the_user_is_asked(org: SalesforceOrg) -> None:
    store = RenewedMeanwhile({"refresh_token": "first-of-rotating"})
    await connect(org, store, refresh_token="dead")
    assert org.calls[TOKEN_CALL] == 2


async def test_a_token_that_another_process_got_meanwhile_is_taken(org: SalesforceOrg) -> None:
    org.oauth.add_session("00D!elsewhere", org.user_id, org.now())
    store = RenewedMeanwhile({"access_token": "00D!elsewhere", "refresh_token": "theirs"})
    await connect(org, store, refresh_token="dead")
    assert org.calls[TOKEN_CALL] == 1


async def test_no_secret_is_logged_shown_or_stored_in_clear(
    org: SalesforceOrg, key: rsa.RSAPrivateKey, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    secrets = {SECRET, "first-of-rotating", "".join(pem(key).split()[5:7]), "aPrx"}
    for way, credentials in (("r", rotating()), ("j", jwt_credentials(key, org))):
        storage = f"sqlite:///{tmp_path / way}.db"
        async with opened(org, credentials, storage=storage) as crm:
            for _ in range(2):
                shown.append(repr(await crm.test_connection("acme")))
                org.expire_sessions()
            secrets |= {value for name, value in (await held(crm)).items() if name in ("access_token", "refresh_token")}
            async with crm.provider("acme") as provider:
                shown.append(repr(vars(provider)))
            refusal = {"error": "invalid_grant", "error_description": SECRET}
            org.faults.fail_next(times=2, status=400, body=refusal, path="oauth2/token")
            with pytest.raises(AuthenticationError) as caught:
                await crm.test_connection("acme")
            org.faults.clear()
            shown += [repr(caught.value), str(caught.value), repr(await crm.credentials("acme"))]
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir()).decode("latin-1")
    everything = "\n".join([*shown, stored, *(record.getMessage() for record in caplog.records)])
    assert len(secrets) >= 7
    assert not [secret for secret in secrets if secret in everything]
