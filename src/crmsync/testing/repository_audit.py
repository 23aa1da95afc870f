"""The promises on the audit log."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest

from crmsync.errors import NotFoundError
from crmsync.models.audit import Actor, AuditEntry, AuditEvent, AuditHead, AuditKey, AuditNote, StoredAuditKey
from crmsync.models.records import Side
from crmsync.models.state import Acknowledgement, ConflictSelection, Decision
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.repository_stops import DIGEST, plan, stop
from crmsync.testing.repository_subject import (
    ABROAD,
    CONTACT,
    NOW,
    TEXTS,
    RepositorySubject,
    assert_utc,
    conflict,
    integration,
    lease_of,
)

KEY = AuditKey(3, b"a key of an audit log, 32 bytes.")


class AuditPromises(RepositorySubject):
    """What is written down stays, in one order, together with what it tells of."""

    async def test_an_event_is_read_back_as_it_was_written_down(self, repository: SyncRepository) -> None:
        chain = new_chain()
        details = {"conflicts": ["a", "O'Brien's"], "count": 3, "all": True, "nothing": None, "by": {"ann": 1}}
        events = [
            event(chain, actor=Actor(text, TEXTS[0]), at=NOW.astimezone(ABROAD), entity_type=CONTACT, details=details)
            for text in TEXTS
        ]
        await repository.append_audit(AuditNote(tuple(events), KEY))
        found = await repository.audit_entries(chain)
        assert [entry.event for entry in found] == events
        assert [entry.sequence for entry in found] == list(range(1, len(TEXTS) + 1))
        assert {entry.key_id for entry in found} == {KEY.id}
        assert_utc(*(entry.event.at for entry in found))
        assert_whole(found)

    async def test_a_chain_goes_on_from_its_head_and_is_read_in_pages(self, repository: SyncRepository) -> None:
        chain = new_chain()
        for number in range(5):
            await repository.append_audit(note(event(chain, action=f"a{number}")))
        pages, after = list[list[str]](), 0
        while page := await repository.audit_entries(chain, after=after, limit=2):
            assert page[0].sequence > after
            pages.append([entry.event.action for entry in page])
            after = page[-1].sequence
        assert pages == [["a0", "a1"], ["a2", "a3"], ["a4"]]
        whole = await repository.audit_entries(chain)
        assert_whole(whole)
        assert (await repository.audit_heads())[chain] == AuditHead(5, whole[-1].mac)

    async def test_chains_are_apart(self, repository: SyncRepository) -> None:
        chain = new_chain()
        other = f"{chain}2"
        await repository.append_audit(note(event(other), event(chain), event(other), event("")))
        assert [entry.sequence for entry in await repository.audit_entries(chain)] == [1]
        assert [entry.sequence for entry in await repository.audit_entries(other)] == [1, 2]
        assert_whole(await repository.audit_entries(other))
        heads = await repository.audit_heads()
        assert {"", chain, other} <= set(heads)
        assert list(heads) == sorted(heads)
        assert await repository.audit_entries("nobody") == []

    async def test_no_chain_forks_however_many_write_at_once(self, repository: SyncRepository) -> None:
        chain = new_chain()

        async def write(name: str) -> None:
            for _ in range(5):
                await repository.append_audit(note(event(chain, action=name), event(f"{chain}2", action=name)))

        async with anyio.create_task_group() as tasks:
            for name in ("a", "b", "c", "d"):
                tasks.start_soon(write, name)
        for one in (chain, f"{chain}2"):
            found = await repository.audit_entries(one)
            assert [entry.sequence for entry in found] == list(range(1, 21))
            assert_whole(found)

    async def test_each_change_is_written_down_with_what_came_of_it(self, repository: SyncRepository) -> None:
        chain = new_chain()
        saved = integration(chain)
        await told(repository, chain, "saved", lambda one: one.save_integration(saved))
        changed = await told(repository, chain, "changed", lambda one: one.change_integration(chain, renamed))
        assert changed == renamed(saved)
        scope = (chain, CONTACT)
        lease = await lease_of(repository, scope)
        await repository.acknowledge(lease, Acknowledgement(conflicts=(conflict(1, scope),)))
        key = conflict(1, scope).id
        (decided,) = await told(
            repository, chain, "decided", lambda one: one.decide_conflicts(chain, {key: Decision(Side.LOCAL)}, now=NOW)
        )
        assert decided.winner is Side.LOCAL
        everything = ConflictSelection()
        erased = await told(
            repository, chain, "erased", lambda one: one.erase_conflict_values(chain, everything, now=NOW)
        )
        assert erased == 1
        assert await told(repository, chain, "forgot", lambda one: one.erase_changes(chain, CONTACT, ["m1"])) == 0
        await repository.note_stop(stop(scope))
        await repository.save_stopped_plan(*scope, plan(), [])
        approved = await told(
            repository, chain, "approved", lambda one: one.approve_stop(*scope, DIGEST, by="Ann", now=NOW)
        )
        assert approved.approved_by == "Ann"
        await told(repository, chain, "dropped", lambda one: one.remove_stop(*scope))
        await told(repository, chain, "deleted", lambda one: one.delete_integration(chain))
        found = await repository.audit_entries(chain)
        actions = [entry.event.action for entry in found]
        assert actions == "saved changed decided erased forgot approved dropped deleted".split()
        assert_whole(found)

    async def test_what_did_not_happen_is_not_written_down(self, repository: SyncRepository) -> None:
        chain = new_chain()

        def refuse(_: object) -> Any:
            raise ValueError

        audited = repository.audited(lambda _: note(event(chain)))
        attempts: list[Callable[[], Awaitable[Any]]] = [
            lambda: audited.change_integration("nobody", renamed),
            lambda: audited.delete_integration("nobody"),
            lambda: audited.approve_stop(chain, CONTACT, DIGEST, by="Ann", now=NOW),
        ]
        for attempt in attempts:
            with pytest.raises(NotFoundError):
                await attempt()
        await repository.save_integration(integration(chain))
        with pytest.raises(ValueError):  # noqa: PT011 - raised by the test, without a message
            await audited.change_integration(chain, refuse)
        quiet = repository.audited(lambda _: None)
        assert await quiet.decide_conflicts(chain, {"none": Decision(Side.LOCAL)}, now=NOW) == []
        assert await repository.audit_entries(chain) == []

    async def test_only_what_was_asked_for_is_written_down(self, repository: SyncRepository) -> None:
        chain = new_chain()
        audited = repository.audited(lambda _: note(event(chain)))
        await repository.save_integration(integration(chain))
        assert await audited.get_integration(chain) == integration(chain)
        assert await repository.audit_entries(chain) == []

    async def test_the_log_outlives_its_integration(self, repository: SyncRepository) -> None:
        chain = new_chain()
        await repository.save_integration(integration(chain))
        await repository.append_audit(note(event(chain)))
        await repository.delete_integration(chain)
        await repository.save_integration(integration(chain))
        await repository.append_audit(note(event(chain)))
        found = await repository.audit_entries(chain)
        assert [entry.sequence for entry in found] == [1, 2]
        assert_whole(found)

    async def test_audit_keys_are_added_once_and_rewrapped(self, repository: SyncRepository) -> None:
        number = max((key.id for key in await repository.audit_keys()), default=0) + 1
        assert await repository.add_audit_key(StoredAuditKey(number + 1, "later"))
        assert await repository.add_audit_key(StoredAuditKey(number, "sealed"))
        assert not await repository.add_audit_key(StoredAuditKey(number, "another"))
        assert await repository.replace_audit_key(number, "sealed", "rewrapped")
        assert not await repository.replace_audit_key(number, "sealed", "lost")
        assert not await repository.replace_audit_key(number + 9, "sealed", "lost")
        held = await repository.audit_keys()
        assert [(key.id, key.sealed) for key in held][-2:] == [(number, "rewrapped"), (number + 1, "later")]
        assert "rewrapped" not in repr(held)

    async def test_the_log_is_still_there_when_it_is_opened_again(self, repository: SyncRepository) -> None:
        """For a repository that outlives its process (``persistent``)."""
        chain = new_chain()
        if not self.persistent:
            return
        await repository.append_audit(note(event(chain)))
        async with self.open() as reopened:
            await reopened.append_audit(note(event(chain)))
            found = await reopened.audit_entries(chain)
        assert [entry.sequence for entry in found] == [1, 2]
        assert_whole(found)


async def told(
    repository: SyncRepository, chain: str, action: str, change: Callable[[SyncRepository], Awaitable[Any]]
) -> Any:
    """Do something that is written down, and look that it was told what came of it."""
    heard = list[Any]()

    def tell(result: Any) -> AuditNote:
        heard.append(result)
        return note(event(chain, action=action))

    result = await change(repository.audited(tell))
    assert heard == [result], action
    return result


def new_chain() -> str:
    """A chain that no test before has written to: entries cannot be cleared away."""
    return uuid.uuid4().hex


def event(chain: str, **changes: Any) -> AuditEvent:
    """An event of a chain."""
    told: dict[str, Any] = {"action": "tested", "actor": Actor("ann", "192.0.2.1"), "at": NOW + timedelta(hours=1)}
    return AuditEvent(chain, **{**told, **changes})


def note(*events: AuditEvent) -> AuditNote:
    """Events to write down."""
    return AuditNote(events, KEY)


def renamed(one: Any) -> Any:
    """An integration of another user."""
    return one.model_copy(update={"user_id": "another"})


def assert_whole(entries: Any) -> None:
    """That each entry is signed as the one after the one before it."""
    previous = ""
    for number, entry in enumerate(entries, 1):
        assert isinstance(entry, AuditEntry)
        assert entry.mac == KEY.mac_of(number, entry.event, previous)
        previous = entry.mac
