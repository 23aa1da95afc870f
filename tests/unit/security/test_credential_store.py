from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import anyio
import pytest
from pydantic import SecretStr

from crmsync import CRMSync, Registry, Vault
from crmsync.errors import ConfigurationError
from crmsync.security.credential_store import SealedCredentialStore
from crmsync.testing.world import FakeClock

pytestmark = pytest.mark.anyio

VAULT = Vault.from_key(Vault.generate_key())
GIVEN = {"refresh_token": SecretStr("first"), "client_id": SecretStr("app")}


@pytest.fixture(params=["memory", "sqlite"])
async def crm(request: pytest.FixtureRequest) -> AsyncIterator[CRMSync]:
    url = "sqlite://" if request.param == "sqlite" else f"memory://{uuid.uuid4().hex}"
    async with CRMSync.open(url, vault=VAULT, registry=Registry(), clock=FakeClock()) as crm:
        await give(crm)
        yield crm


async def give(crm: CRMSync, **changes: str) -> None:
    given = {**GIVEN, **{name: SecretStr(value) for name, value in changes.items()}}
    await crm.add_integration("acme", provider="memory", settings={}, credentials=given)


async def held(crm: CRMSync) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in (await crm.credentials("acme")).items()}


def store_of(crm: CRMSync) -> SealedCredentialStore:
    return crm._credential_store("acme")


async def test_what_is_saved_is_loaded_beside_what_was_there(crm: CRMSync) -> None:
    await store_of(crm).save({"refresh_token": SecretStr("second"), "access_token": SecretStr("a")})
    assert await held(crm) == {"refresh_token": "second", "client_id": "app", "access_token": "a"}
    assert await store_of(crm).load() == await crm.credentials("acme")
    await store_of(crm).save({"access_token": None})
    assert await held(crm) == {"refresh_token": "second", "client_id": "app"}


async def test_what_is_saved_is_stored_encrypted_only(crm: CRMSync) -> None:
    await store_of(crm).save({"refresh_token": SecretStr("open sesame")})
    stored = await crm.repository.get_integration("acme")
    assert "sesame" not in stored.model_dump_json()


async def test_giving_the_same_credentials_again_keeps_the_renewed_ones(crm: CRMSync) -> None:
    await store_of(crm).save({"refresh_token": SecretStr("second")})
    await give(crm)
    assert (await held(crm))["refresh_token"] == "second"


async def test_giving_other_credentials_replaces_all_of_them(crm: CRMSync) -> None:
    await store_of(crm).save({"refresh_token": SecretStr("second"), "access_token": SecretStr("a")})
    await give(crm, refresh_token="third")
    assert await held(crm) == {"refresh_token": "third", "client_id": "app"}
    await give(crm)
    assert (await held(crm))["refresh_token"] == "first"


async def test_credentials_to_keep_stay_as_they_were_renewed(crm: CRMSync) -> None:
    await store_of(crm).save({"refresh_token": SecretStr("second")})
    app = {"client_id": "app"}
    await crm.add_integration("acme", provider="memory", settings={}, credentials=app, keep=["refresh_token"])
    assert await held(crm) == {"refresh_token": "second", "client_id": "app"}
    app = {"client_id": "another"}
    await crm.add_integration("acme", provider="memory", settings={}, credentials=app, keep=["refresh_token"])
    assert await held(crm) == {"refresh_token": "second", "client_id": "another"}


async def test_a_credential_that_is_not_stored_cannot_be_kept(crm: CRMSync) -> None:
    with pytest.raises(ConfigurationError, match="no stored private_key"):
        await crm.add_integration("acme", provider="memory", settings={}, credentials={}, keep=["private_key"])
    with pytest.raises(ConfigurationError, match="no stored private_key"):
        await crm.add_integration("new", provider="memory", settings={}, credentials={}, keep=["private_key"])


async def test_one_task_at_a_time_is_within(crm: CRMSync) -> None:
    within = entered = 0

    async def enter(store: SealedCredentialStore) -> None:
        nonlocal within, entered
        async with store.exclusive():
            within += 1
            assert within == 1
            await anyio.sleep(0.001)
            within -= 1
            entered += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(enter, store_of(crm))
    assert entered == 5
