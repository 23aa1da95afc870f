"""The vault's keys are looked at, rotated and retired while the integrations are in use, and nothing is lost."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import attrs
import pytest
from pydantic import SecretStr

from crmsync import CRMSync, Vault
from crmsync.errors import ConfigurationError, VaultError
from crmsync.models.keys import VaultKey
from crmsync.security.envelope import Envelope
from crmsync.security.keys.file import FileKeys
from crmsync.security.sealing import unseal

pytestmark = pytest.mark.anyio

MANY = 13
"""More than two pages of the class below, and not a whole number of them."""


class SmallPages(CRMSync):
    _page_size = 5


@pytest.fixture
def source(tmp_path: Path) -> FileKeys:
    source = FileKeys(tmp_path / "keys")
    source.generate()
    return source


@pytest.fixture(params=["memory", "sqlite"])
async def crm(request: pytest.FixtureRequest, source: FileKeys, tmp_path: Path) -> AsyncIterator[CRMSync]:
    url = f"sqlite:///{tmp_path / 'state.db'}" if request.param == "sqlite" else f"memory://{uuid.uuid4().hex}"
    async with CRMSync.open(url, vault=Vault(source)) as crm:
        yield SmallPages(crm.repository, vault=crm._vault)


async def add(crm: CRMSync, *ids: str) -> None:
    for one in ids:
        await crm.add_integration(one, provider="memory", settings={}, credentials={"token": f"token of {one}"})


async def add_many(crm: CRMSync) -> None:
    await add(crm, *(f"{number:04}" for number in range(MANY)))


async def token(crm: CRMSync, integration_id: str) -> str:
    return (await crm.credentials(integration_id))["token"].get_secret_value()


async def digest_key(crm: CRMSync, integration_id: str) -> bytes:
    return unseal(crm._vault, await crm.repository.get_integration(integration_id)).digest_key


async def test_keys_are_listed_with_what_is_under_each(crm: CRMSync, source: FileKeys) -> None:
    await add(crm, "a", "b")
    (first,) = crm._vault.key_ids
    second = await crm.generate_key()
    overview = await crm.keys()
    assert overview.keys == (VaultKey(id=first, first=True, secrets=2), VaultKey(id=second))
    assert overview.source == source.name
    assert (overview.outdated, overview.foreign, overview.damaged) == (0, 0, 0)


async def test_a_rotation_brings_everything_under_the_new_key_and_changes_nothing_else(crm: CRMSync) -> None:
    await add(crm, "a", "b")
    before = {one.id: one for one in await crm.integrations()}
    digests = {name: await digest_key(crm, name) for name in before}
    (old,) = crm._vault.key_ids
    new = await crm.generate_key()
    done = await crm.rotate_keys(to=new)
    assert (done.key_id, done.rewrapped, done.unchanged, done.faults) == (new, 2, 0, {})
    for one in await crm.integrations():
        assert one == before[one.id].model_copy(update={"credentials": one.credentials})
        assert Envelope.parse(one.credentials).key_id == new
        assert await digest_key(crm, one.id) == digests[one.id], "shadows would no longer fit"
        assert await token(crm, one.id) == f"token of {one.id}"
    again = await crm.rotate_keys()
    assert (again.rewrapped, again.unchanged) == (0, 2)
    assert (await crm.retire_key(old)).removed
    assert crm._vault.key_ids == (new,)
    assert await token(crm, "a") == "token of a"


async def test_renewing_makes_new_data_keys(crm: CRMSync) -> None:
    await add(crm, "a")
    before = Envelope.parse((await crm.integrations())[0].credentials)
    assert (await crm.rotate_keys(renew=True)).rewrapped == 1
    after = Envelope.parse((await crm.integrations())[0].credentials)
    assert after.key_id == before.key_id
    assert after.wrapped != before.wrapped
    assert after.content != before.content
    assert await token(crm, "a") == "token of a"


@pytest.mark.parametrize("renew", [False, True])
async def test_credentials_that_are_renewed_meanwhile_are_neither_lost_nor_left_out(crm: CRMSync, renew: bool) -> None:
    await add_many(crm)
    new = await crm.generate_key()
    writers, rounds = ["0000", "0006", "0012"], dict[str, int]()
    rotated = anyio.Event()

    async def refresh(name: str) -> None:
        store = crm._credential_store(name)
        while not rotated.is_set():
            rounds[name] = rounds.get(name, 0) + 1
            await store.save({"token": SecretStr(f"{rounds[name]} of {name}")})
            held = (await store.load())["token"].get_secret_value()
            assert held == f"{rounds[name]} of {name}"
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for name in writers:
                tasks.start_soon(refresh, name)
            done = await crm.rotate_keys(to=new, renew=renew)
            rotated.set()
    assert (done.rewrapped, done.faults) == (MANY, {})
    assert {key.id: key.secrets for key in (await crm.keys()).keys if key.secrets} == {new: MANY}
    for name in writers:
        assert await token(crm, name) == f"{rounds[name]} of {name}"


async def test_a_rotation_that_was_cut_off_goes_on(crm: CRMSync) -> None:
    await add_many(crm)
    new = await crm.generate_key()
    with anyio.CancelScope() as scope:
        await crm.rotate_keys(to=new, progress=lambda seen: scope.cancel() if seen >= 5 else None)
    halfway = {key.id: key.secrets for key in (await crm.keys()).keys}
    assert 0 < halfway[new] < MANY
    assert not (await crm.check_keys()).faults
    done = await crm.rotate_keys()
    assert done.rewrapped == MANY - halfway[new]
    assert (await crm.keys()).keys[0] == VaultKey(id=new, first=True, secrets=MANY)


async def test_a_process_that_has_only_the_old_key_takes_up_the_new_one(crm: CRMSync, source: FileKeys) -> None:
    await add(crm, "a")
    running = CRMSync(crm.repository, vault=Vault(source))
    old = crm._vault.key_ids[0]
    await crm.rotate_keys(to=await crm.generate_key())
    await crm.retire_key(old)
    assert await token(running, "a") == "token of a"
    await running._credential_store("a").save({"token": SecretStr("renewed")})
    await add(running, "b")
    assert await token(crm, "a") == "renewed"
    assert {key.id for key in (await crm.keys()).keys if key.secrets} == {crm._vault.key_ids[0]}


async def test_a_missing_key_is_named_and_what_needs_it_stays_as_it_is(crm: CRMSync, source: FileKeys) -> None:
    await add(crm, "a")
    (stored,) = await crm.integrations()
    old = source.load()[0]
    new = source.generate()
    source.promote(new)
    source.remove(old.id)
    stranger = CRMSync(crm.repository, vault=Vault(source))
    overview = await stranger.keys()
    assert overview.keys == (VaultKey(id=new, first=True), VaultKey(id=old.id, present=False, secrets=1))
    for attempt in (stranger.rotate_keys, stranger.check_keys):
        faults = (await attempt()).faults
        assert list(faults) == ["a"]
        assert f"needs the vault key {old.id}" in faults["a"]
    with pytest.raises(VaultError, match=old.id):
        await add(stranger, "a")
    with pytest.raises(VaultError, match=old.id):
        await stranger.disconnect("a")
    assert await crm.integrations() == [stored]
    source._write([*source.load(), old])
    assert await token(stranger, "a") == "token of a"


async def test_damaged_secrets_are_named_and_the_others_are_rotated(crm: CRMSync) -> None:
    await add(crm, "a", "b", "c")
    moved = (await crm.repository.get_integration("a")).credentials
    for name, text in (("b", moved), ("c", "")):
        await crm.repository.save_integration(
            (await crm.repository.get_integration(name)).model_copy(update={"credentials": text})
        )
    done = await crm.rotate_keys(to=await crm.generate_key())
    assert done.rewrapped == 1
    assert "belongs to another integration" in done.faults["b"]
    assert set(done.faults) == set((await crm.check_keys()).faults) == {"b", "c"}
    assert (await crm.repository.get_integration("b")).credentials == moved


async def test_a_key_that_is_needed_is_not_retired(crm: CRMSync) -> None:
    await add(crm, "a")
    old = crm._vault.key_ids[0]
    with pytest.raises(ConfigurationError, match="the key in use"):
        await crm.retire_key(old)
    crm._promote(await crm.generate_key())
    with pytest.raises(ConfigurationError, match=f"1 secrets need {old} still"):
        await crm.retire_key(old)
    with pytest.raises(ConfigurationError, match="no key 'none'"):
        await crm.retire_key("none")
    assert await token(crm, "a") == "token of a"


async def test_keys_that_cannot_be_changed_here_are_left_to_their_owner(crm: CRMSync) -> None:
    texts = [Vault.generate_key() for _ in range(2)]
    fixed = CRMSync(crm.repository, vault=Vault.from_key(*texts))
    unused = fixed._vault.key_ids[1]
    assert not (await fixed.retire_key(unused)).removed
    for attempt in (fixed.generate_key, lambda: fixed.rotate_keys(to=unused)):
        with pytest.raises(ConfigurationError, match="do it there"):
            await attempt()


async def test_introducing_an_environment_binds_what_was_sealed_before(crm: CRMSync, source: FileKeys) -> None:
    await add(crm, "a")
    production = CRMSync(crm.repository, vault=Vault(source, environment="production"))
    assert (await production.keys()).outdated == 1
    assert (await production.rotate_keys()).rewrapped == 1
    assert (await production.keys()).outdated == 0
    assert await token(production, "a") == "token of a"
    staging = CRMSync(crm.repository, vault=Vault(source, environment="staging"))
    assert (await staging.keys()).foreign == 1
    assert "environment 'production'" in (await staging.rotate_keys()).faults["a"]
    with pytest.raises(VaultError, match="environment 'production'"):
        await token(staging, "a")


async def test_a_text_cut_off_anywhere_counts_as_damaged(crm: CRMSync) -> None:
    await add(crm, "a")
    whole = (await crm.repository.get_integration("a")).credentials
    await crm.repository.change_integration("a", lambda one: one.model_copy(update={"credentials": whole[:40]}))
    assert (await crm.keys()).damaged == 1
    assert attrs.asdict(Envelope.parse(whole))["format"] == 2
