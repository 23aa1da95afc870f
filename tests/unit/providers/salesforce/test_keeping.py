"""A refresh token that was replaced while the store could not take the new one."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from pydantic import SecretStr

from crmsync import CRMSync, Vault
from crmsync.engine import RunBudget
from crmsync.errors import AuthenticationError, NotFoundError, StorageError, VaultError
from crmsync.protocols.provider import ProviderContext, UnkeptCredentials
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.providers.salesforce.keeping import ATTEMPTS
from crmsync.providers.salesforce.provider import SalesforceProvider
from crmsync.registry import Registry
from crmsync.testing.salesforce import OAuthApp, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock

pytestmark = pytest.mark.anyio

SECRET = "an-app-secret"
SETTINGS = {"instance_url": "https://acme.my.salesforce.com", "retry_wait": 0.0}
APP = {"client_id": "app", "client_secret": SECRET}
LOCKED = StorageError("the database stayed locked by another process")


@pytest.fixture
def org() -> SalesforceOrg:
    org = SalesforceOrg(apps=[OAuthApp(client_id="app", client_secret=SECRET, rotates_refresh_tokens=True)])
    org.oauth.add_refresh_token("first", org.oauth.new_grant("app", org.user_id, ("api", "refresh_token")))
    org.expire_sessions()
    return org


class Store(UnkeptCredentials):
    """Holds what was given, and fails as often as it is told; something may happen ``at_step``."""

    def __init__(self) -> None:
        super().__init__()
        self._held = {name: SecretStr(value) for name, value in {"refresh_token": "first", **APP}.items()}
        self.failing: list[Exception] = []
        self.tries = 0
        self.steps = 0
        self.at_step: dict[int, Callable[[], None]] = {}

    @property
    def refresh_token(self) -> str:
        return self._held["refresh_token"].get_secret_value()

    async def load(self) -> Mapping[str, SecretStr]:
        await self._step()
        return await super().load()

    async def save(self, changes: Mapping[str, SecretStr | None]) -> None:
        await self._step()
        self.tries += 1
        if self.failing:
            raise self.failing.pop(0)
        await super().save(changes)
        await self._step()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        await self._step()
        async with super().exclusive():
            await self._step()
            yield
        await self._step()

    async def _step(self) -> None:
        self.steps += 1
        self.at_step.get(self.steps, bool)()
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def opened(
    org: SalesforceOrg, store: Store, clock: FakeClock | None = None, transport: httpx2.AsyncBaseTransport | None = None
) -> AsyncIterator[SalesforceProvider]:
    context = ProviderContext(clock or FakeClock(), RunBudget(), credentials=store)
    factory = SalesforceProviderFactory(transport or InProcessTransport(org))
    async with factory.open(SETTINGS, await store.load(), context) as provider:
        yield provider


def is_good(org: SalesforceOrg, token: str) -> bool:
    return org.oauth.grant_of(token) is not None


@pytest.mark.parametrize("failure", [LOCKED, VaultError("KMS cannot be asked", reason="unavailable")])
async def test_a_store_that_fails_once_is_asked_again_before_the_token_is_used(
    failure: Exception, org: SalesforceOrg
) -> None:
    store = Store()
    store.failing = [failure]
    async with opened(org, store) as provider:
        org.faults.fail_next(times=5, status=503, path="userinfo")
        with pytest.raises(Exception, match="503"):
            await provider.test_connection()
        assert store.refresh_token != "first"
    assert is_good(org, store.refresh_token)
    assert store.tries == 2


async def test_a_store_that_goes_on_failing_gets_the_token_when_it_is_back_and_the_connection_goes_on(
    org: SalesforceOrg, caplog: pytest.LogCaptureFixture
) -> None:
    store, clock = Store(), FakeClock()
    store.failing = [LOCKED] * (ATTEMPTS + 1)
    async with opened(org, store, clock) as provider:
        assert (await provider.test_connection()).ok
        assert (store.tries, store.refresh_token) == (ATTEMPTS, "first")
        clock.tick(11)
        assert (await provider.test_connection()).ok
        assert (store.tries, store.refresh_token) == (ATTEMPTS + 1, "first")
        clock.tick(11)
        assert (await provider.test_connection()).ok
        assert is_good(org, store.refresh_token)
    assert store.tries == ATTEMPTS + 2
    assert org.calls["POST /services/oauth2/token"] == 1
    assert [record.levelno for record in caplog.records if "refresh token" in record.getMessage()] == [
        logging.WARNING
    ] * 2
    assert store.refresh_token not in caplog.text


async def test_a_token_that_is_not_stored_is_what_renews_the_next_session(org: SalesforceOrg) -> None:
    store = Store()
    store.failing = [LOCKED] * ATTEMPTS
    async with opened(org, store) as provider:
        await provider.test_connection()
        org.expire_sessions()
        await provider.test_connection()
        assert is_good(org, store.refresh_token)


async def test_a_token_that_is_not_stored_is_stored_before_the_connection_closes(org: SalesforceOrg) -> None:
    store = Store()
    store.failing = [LOCKED] * (ATTEMPTS + 2)
    async with opened(org, store) as provider:
        await provider.test_connection()
    assert is_good(org, store.refresh_token)


async def test_a_token_that_can_never_be_stored_is_an_error_that_says_what_to_do(
    org: SalesforceOrg, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = Store()
    store.failing = [LOCKED] * 100
    with pytest.raises(StorageError, match=r"stayed locked.*sign in again with `crmsync connect salesforce`") as caught:
        async with opened(org, store) as provider:
            assert (await provider.test_connection()).ok
    [newest] = [token for token in org.oauth.dump()["refresh_tokens"] if token.startswith("5Aep")]
    assert newest not in f"{caplog.text}{caught.value!r}"


async def test_an_access_token_alone_is_no_loss(org: SalesforceOrg) -> None:
    org.oauth.add_app(OAuthApp(client_id="app", client_secret=SECRET))
    store = Store()
    store.failing = [LOCKED] * 100
    async with opened(org, store) as provider:
        assert (await provider.test_connection()).ok
    assert is_good(org, store.refresh_token)


async def test_an_integration_that_is_gone_ends_it_at_once(org: SalesforceOrg) -> None:
    store = Store()
    store.failing = [NotFoundError("there is no integration 'acme'")] * 2
    with pytest.raises(NotFoundError):
        async with opened(org, store) as provider:
            await provider.test_connection()
    assert store.tries == 1


async def test_who_signed_in_anew_meanwhile_is_not_overwritten(org: SalesforceOrg) -> None:
    store = Store()
    store.failing = [LOCKED] * ATTEMPTS
    async with opened(org, store) as provider:
        await provider.test_connection()
        await UnkeptCredentials.save(store, {"refresh_token": SecretStr("of another sign-in")})
    assert store.refresh_token == "of another sign-in"


async def test_cancelled_at_any_step_the_new_token_is_stored_all_the_same(org: SalesforceOrg) -> None:
    """Before the org answers, the old one is still good; from then on the new one is kept by the time it closes."""
    step, cancelled = 0, True
    while cancelled:
        step, store = step + 1, Store()
        store.failing = [LOCKED] * 2
        org.oauth.add_refresh_token("first", org.oauth.new_grant("app", org.user_id, ("api", "refresh_token")))
        with anyio.CancelScope() as scope:
            async with opened(org, store) as provider:
                store.at_step[store.steps + step] = scope.cancel
                await provider.test_connection()
        assert is_good(org, store.refresh_token), f"lost when cancelled at step {step}"
        cancelled = scope.cancel_called
    assert step > 10


class DeadError(Exception):
    """The process is, from here on."""


class DiesWithTheAnswer(httpx2.AsyncBaseTransport):
    """Lets the org answer, and nothing happen after that."""

    def __init__(self, org: SalesforceOrg) -> None:
        self._inner = InProcessTransport(org)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await self._inner.handle_async_request(request)
        raise DeadError


async def test_of_a_process_that_dies_with_the_answer_the_next_one_says_to_sign_in_again(org: SalesforceOrg) -> None:
    store = Store()
    with pytest.raises(DeadError):
        async with opened(org, store, transport=DiesWithTheAnswer(org)) as provider:
            await provider.test_connection()
    assert store.refresh_token == "first"
    with pytest.raises(AuthenticationError, match="replaced by a newer one; sign in again"):
        async with opened(org, store) as provider:
            await provider.test_connection()


class Locking(httpx2.AsyncBaseTransport):
    """Locks a database from the org's answer to a sign-in until the first call with its token."""

    def __init__(self, org: SalesforceOrg, path: Path) -> None:
        self._inner = InProcessTransport(org)
        self._other = sqlite3.connect(path, isolation_level=None)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        if request.url.path.endswith("/token"):
            self._other.execute("BEGIN IMMEDIATE")
        else:
            self._other.close()
        return response


class Provided(Registry):
    """What is installed, with Salesforce in this process."""

    factory: SalesforceProviderFactory

    def load(self, group: str, name: str) -> Any:
        return self.factory if name == "salesforce" else super().load(group, name)


async def test_a_database_that_is_locked_too_long_costs_nobody_the_sign_in(org: SalesforceOrg, tmp_path: Path) -> None:
    storage, vault = f"sqlite:///{tmp_path / 'crmsync.db'}?timeout=0.01", Vault.from_key(Vault.generate_key())
    registry = Provided()
    async with CRMSync.open(storage, vault=vault, registry=registry, clock=FakeClock()) as crm:
        registry.factory = SalesforceProviderFactory(Locking(org, tmp_path / "crmsync.db"))
        credentials = {"refresh_token": "first", **APP}
        await crm.add_integration("acme", provider="salesforce", settings=SETTINGS, credentials=credentials)
        async with crm.provider("acme") as provider:
            await provider.get_contact("nobody@example.com")
            assert (await crm.credentials("acme"))["refresh_token"].get_secret_value() == "first"
        kept = (await crm.credentials("acme"))["refresh_token"].get_secret_value()
    assert kept != "first"
    assert is_good(org, kept)
