"""Whatever is done is in the audit log, without a secret or a value, and nobody changes the log unnoticed."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from pydantic import SecretStr

from crmsync import CRMSync, ObjectMapping, Side, Vault, two_way
from crmsync.errors import ConfigurationError, NotFoundError, StorageError, VaultError
from crmsync.models.audit import Actor, AuditAnchor
from crmsync.models.inbox import ConflictRule, RuleWinner
from crmsync.models.state import Acknowledgement
from crmsync.protocols.repository import SyncRepository
from crmsync.security.audit import acting
from crmsync.storage import sql
from crmsync.testing.repository_subject import conflict
from crmsync.testing.world import FakeClock

pytestmark = pytest.mark.anyio

KEY = Vault.generate_key()
MAPPING = ObjectMapping(fields=(two_way("email", "Email", field_type="email"), two_way("name", "Name")))
SECRET = "open-sesame"
VALUE = "a value of a person"
SCOPE = ("acme", "Contact")


@pytest.fixture(params=["memory", "sqlite"])
async def crm(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CRMSync]:
    url = f"sqlite:///{tmp_path / 'state.db'}" if request.param == "sqlite" else f"memory://{uuid.uuid4().hex}"
    actor = Actor("worker", "host-1")
    async with CRMSync.open(url, vault=Vault.from_key(KEY), actor=actor) as crm:
        yield crm


async def add(crm: CRMSync, integration_id: str = "acme", **changes: Any) -> None:
    given: dict[str, Any] = {
        "provider": "memory",
        "settings": {},
        "credentials": {"token": SECRET},
        "mappings": {"Contact": MAPPING},
    }
    await crm.add_integration(integration_id, **{**given, **changes})


async def actions(crm: CRMSync, integration_id: str = "acme") -> list[str]:
    return [entry.event.action for entry in await crm.audit_log(integration_id)]


async def last(crm: CRMSync, integration_id: str = "acme") -> dict[str, Any]:
    (entry,) = await crm.audit_log(integration_id, limit=1)
    event = entry.event
    return {"action": event.action, "result": event.result, "entity_type": event.entity_type, **event.details}


async def connect(crm: CRMSync) -> None:
    """The provider of these tests takes no credential; that it was given one is what counts."""
    with pytest.raises(ConfigurationError, match="memory provider"):
        await crm.test_connection("acme")


async def store_conflicts(crm: CRMSync, count: int) -> list[str]:
    lease = await crm.repository.acquire_lease(*SCOPE, "w", now=crm._clock.now(), ttl=timedelta(minutes=1))
    made = tuple(conflict(n, SCOPE, local_value=VALUE) for n in range(count))
    await crm.repository.acknowledge(lease, Acknowledgement(conflicts=made))
    return [one.id for one in made]


async def test_an_integration_s_life_is_written_down(crm: CRMSync) -> None:
    await add(crm)
    mapped = await last(crm)
    assert (mapped["action"], mapped["entity_type"]) == ("mapping.changed", "Contact")
    assert {"email = Email", "name = Name"} <= set(mapped["fields"])
    await add(crm)
    assert await actions(crm) == ["connection.added", "mapping.changed"], "nothing changed"
    await add(crm, settings={"name": "n"}, credentials={"token": "another"}, user_id="u")
    assert (await last(crm))["changed"] == ["user_id", "settings.name", "credentials"]
    wider = MAPPING.model_copy(update={"fields": (*MAPPING.fields, two_way("phone", "Phone"))})
    await crm.change_mapping("acme", "Contact", wider)
    assert (await last(crm))["fields"] == ["phone = Phone"]
    await crm.pause("acme")
    await crm.resume("acme")
    await crm.disconnect("acme")
    await crm.remove_integration("acme")
    assert (await actions(crm))[4:] == [
        "connection.paused",
        "connection.resumed",
        "credentials.used",
        "connection.disconnected",
        "connection.removed",
    ]
    assert (await crm.verify_audit()).ok


async def test_credentials_leave_a_trace_when_they_are_used_read_or_renewed(crm: CRMSync) -> None:
    await add(crm)
    await connect(crm)
    used = await last(crm)
    assert (used["action"], used["purpose"], used["credentials"]) == ("credentials.used", "verbs", ["token"])
    await crm.credentials("acme")
    assert await last(crm) == {
        "action": "credentials.read",
        "result": "done",
        "entity_type": "",
        "credentials": ["token"],
    }
    await crm._credential_store("acme").save({"token": SecretStr("renewed")})
    assert (await last(crm))["action"] == "credentials.renewed"
    await crm.credential_names("acme")
    assert (await last(crm))["action"] == "credentials.renewed"


async def test_an_attempt_with_the_wrong_key_is_written_down_too(crm: CRMSync) -> None:
    await add(crm)
    stranger = CRMSync(crm.repository, vault=Vault.from_key(Vault.generate_key()), clock=FakeClock())
    with pytest.raises(VaultError):
        await stranger.test_connection("acme")
    failed = await last(crm)
    assert (failed["action"], failed["result"], failed["reason"]) == ("credentials.used", "failed", "missing_key")


async def test_decisions_and_erasures_are_written_down_without_a_value(crm: CRMSync) -> None:
    await add(crm)
    ids = await store_conflicts(crm, 3)
    await crm.resolve_conflict("acme", ids[0], Side.LOCAL, by="Ann")
    decided = await last(crm)
    assert (decided["conflicts"], decided["winners"], decided["by"]) == ([ids[0]], {"local": 1}, "Ann")
    await crm.resolve_conflicts("acme", ConflictRule(winner=RuleWinner.REMOTE, object_name="Contact"))
    assert (await last(crm))["conflicts"] == ids[1:]
    await crm.erase_conflict_values("acme", conflict_ids=ids)
    assert (await last(crm))["count"] == 3
    before = await actions(crm)
    assert await crm.erase_history("acme", "Contact", ["nobody"]) == 0
    with pytest.raises(NotFoundError):
        await crm.resolve_conflict("acme", "none", Side.LOCAL)
    assert await actions(crm) == before, "nothing happened"


async def test_many_decisions_are_a_few_entries_that_name_them_all(crm: CRMSync) -> None:
    await add(crm)
    ids = await store_conflicts(crm, 1203)
    await crm.resolve_conflicts("acme", ConflictRule(winner=RuleWinner.LOCAL, object_name="Contact"))
    entries = [entry.event.details for entry in await crm.audit_log("acme", action="conflicts.decided")]
    assert [len(one["conflicts"]) for one in entries] == [500, 500, 203]
    assert sorted(name for one in entries for name in one["conflicts"]) == sorted(ids)


async def test_keys_leave_a_trace(crm: CRMSync) -> None:
    await add(crm)
    old, new = Vault.from_key(KEY).key_ids[0], Vault.generate_key()
    both = CRMSync(crm.repository, vault=Vault.from_key(new, KEY), clock=FakeClock())
    await both.rotate_keys()
    assert [entry.event.result for entry in await both.audit_log("", action="keys.rotated")] == ["begun", "done"]
    assert await actions(both, "") == ["keys.rotated", "keys.rotated"]
    rotated = CRMSync(crm.repository, vault=Vault.from_key(new), clock=FakeClock())
    assert (await rotated.verify_audit()).ok, "the audit key was rotated with the others"
    assert not (await both.retire_key(old)).removed


async def test_a_key_that_the_audit_log_needs_is_not_retired(crm: CRMSync) -> None:
    await add(crm)
    both = CRMSync(crm.repository, vault=Vault.from_key(Vault.generate_key(), KEY), clock=FakeClock())
    await crm.remove_integration("acme")
    with pytest.raises(ConfigurationError, match="audit log's key 1 is under"):
        await both.retire_key(Vault.from_key(KEY).key_ids[0])


async def test_a_damaged_audit_key_hinders_no_rotation_and_is_told(crm: CRMSync) -> None:
    await add(crm)
    (stored,) = await crm.repository.audit_keys()
    await crm.repository.replace_audit_key(stored.id, stored.sealed, "not a sealed text")
    both = CRMSync(crm.repository, vault=Vault.from_key(Vault.generate_key(), KEY), clock=FakeClock())
    assert (await both.rotate_keys()).rewrapped == 1
    assert not (await both.retire_key(Vault.from_key(KEY).key_ids[0])).removed
    assert {fault.code for fault in (await both.verify_audit()).faults} == {"unverifiable"}


async def test_who_acts_is_who_the_application_says(crm: CRMSync) -> None:
    await add(crm)
    with acting("user-17", origin="198.51.100.7"):
        await crm.pause("acme")
        with acting("user-18\nforged line"):
            await crm.resume("acme")
    await crm.pause("acme")
    who = [(entry.event.actor.name, entry.event.actor.origin) for entry in await crm.audit_log("acme")][-3:]
    assert who == [("user-17", "198.51.100.7"), ("user-18\ufffdforged line", ""), ("worker", "host-1")]


async def test_two_users_who_act_at_once_are_told_apart(crm: CRMSync) -> None:
    for name in ("a", "b"):
        await add(crm, name)

    async def act(name: str) -> None:
        with acting(f"user of {name}"):
            for _ in range(5):
                await crm.pause(name)
                await anyio.sleep(0.001)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(act, "a")
        tasks.start_soon(act, "b")
    for name in ("a", "b"):
        paused = await crm.audit_log(name, action="connection.paused")
        assert {entry.event.actor.name for entry in paused} == {f"user of {name}"}


async def test_an_application_may_write_down_what_it_did_itself(crm: CRMSync) -> None:
    await crm.record_audit("report.sent", "acme", recipients=3)
    assert await last(crm) == {"action": "report.sent", "result": "done", "entity_type": "", "recipients": 3}


async def test_no_entry_holds_a_secret_or_a_value(crm: CRMSync) -> None:
    await add(crm)
    await crm.resolve_conflict("acme", (await store_conflicts(crm, 1))[0], value=VALUE, by="Ann")
    await connect(crm)
    await crm.disconnect("acme")
    lines = list[str]()
    assert await crm.export_audit(lines.append) >= 5
    assert SECRET not in "".join(lines)
    assert VALUE not in "".join(lines)


async def test_an_export_is_json_lines_and_ends_with_an_anchor(crm: CRMSync) -> None:
    await add(crm)
    await add(crm, "other")
    lines = list[str]()
    count = await crm.export_audit(lines.append)
    entries, anchor = [json.loads(line) for line in lines[:-1]], json.loads(lines[-1])["anchor"]
    assert len(entries) == count == len({(one["integration_id"], one["sequence"]) for one in entries})
    assert set(anchor["heads"]) == {"", "acme", "other"}
    own = list[str]()
    await crm.export_audit(own.append, "acme")
    assert {json.loads(line)["integration_id"] for line in own[:-1]} == {"acme"}
    assert set(json.loads(own[-1])["anchor"]["heads"]) == {"acme"}
    with pytest.raises(NotFoundError, match="nobody"):
        await crm.export_audit(own.append, "nobody")
    assert (await crm.verify_audit(AuditAnchor.model_validate(anchor))).ok


async def test_a_log_to_which_is_written_meanwhile_is_whole(crm: CRMSync) -> None:
    await add(crm)
    anchor = await crm.audit_anchor()
    found = list[bool]()

    async def write() -> None:
        for _ in range(20):
            await crm.pause("acme")

    async def look() -> None:
        for _ in range(5):
            found.append((await crm.verify_audit(anchor)).ok)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        tasks.start_soon(look)
    assert found == [True] * 5


async def test_a_lost_vault_key_does_not_end_the_log_and_is_not_hidden(crm: CRMSync) -> None:
    await add(crm)
    stranger = CRMSync(crm.repository, vault=Vault.from_key(Vault.generate_key()), clock=FakeClock())
    await stranger.disconnect("acme", forget=True)
    assert {entry.key_id for entry in await crm.audit_log("acme")} == {1, 2}
    faults = (await stranger.verify_audit()).faults
    assert {(fault.code, fault.sequence) for fault in faults} == {("unverifiable", 1), ("unverifiable", 2)}
    assert "audit key 1" in faults[0].message


async def test_a_pause_that_cannot_be_written_down_does_not_happen(tmp_path: Path) -> None:
    async with sql.open_repository(f"sqlite:///{tmp_path / 'state.db'}") as repository:
        crm = CRMSync(repository, vault=Vault.from_key(KEY), clock=FakeClock(), actor=Actor("worker"))
        await add(crm)
        crm._audit._key = attrs.evolve((await crm._audit.pen()).key, id=None)  # type: ignore[arg-type]  # not storable
        with pytest.raises(StorageError, match="NOTNULL"):
            await crm.pause("acme")
        assert (await _integration(repository)).sync_enabled


async def _integration(repository: SyncRepository) -> Any:
    return await repository.get_integration("acme")
