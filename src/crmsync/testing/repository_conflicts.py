"""The promises of a repository about the journal, conflicts and logs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs
import pytest

from crmsync.errors import NotFoundError, StorageError
from crmsync.models.records import OperationKind, Side
from crmsync.models.state import Acknowledgement, Conflict, ConflictStatus
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.repository_subject import (
    ABROAD,
    CONTACT,
    LEAD,
    NEIGHBOURS,
    NOW,
    OURS,
    TEXTS,
    THEIRS,
    RepositorySubject,
    assert_utc,
    conflict,
    entry,
    lease_of,
    log,
)

DETAILS: Mapping[str, Any] = {"nested": {"list": [1, 2.5, None, True, ["x"]]}, "texts": list(TEXTS), "": 0}


class JournalPromises(RepositorySubject):
    """What was about to be sent is known until it is acknowledged."""

    async def test_entries_are_listed_as_they_were_added_in_order(self, repository: SyncRepository) -> None:
        full = entry(
            "z",
            target=Side.LOCAL,
            kind=OperationKind.UPDATE,
            crm_id="c1",
            sent={"first'name": bytes(range(8)), "é": b"\xff" * 8},
            before={"é": bytes(8)},
            started_at=NOW,
        )
        lease = await lease_of(repository)
        await repository.add_journal(lease, [full, entry("a")])
        await repository.add_journal(lease, [entry("m", kind=OperationKind.DELETE)])
        await repository.add_journal(lease, [])
        listed = await repository.list_journal(OURS, CONTACT)
        assert listed == [full, entry("a"), entry("m", kind=OperationKind.DELETE)]
        assert_utc(listed[0].started_at)
        assert isinstance(listed[0].sent["é"], bytes)

    async def test_an_entry_added_twice_is_listed_once(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        await repository.add_journal(lease, [entry("1"), entry("2")])
        await repository.add_journal(lease, [entry("1", crm_id="c1")])
        assert await repository.list_journal(OURS, CONTACT) == [entry("1", crm_id="c1"), entry("2")]

    async def test_acknowledged_entries_are_gone(self, repository: SyncRepository) -> None:
        """An op_id that is not there does not matter."""
        lease = await lease_of(repository)
        await repository.add_journal(lease, [entry(str(number)) for number in range(1_500)])
        done = (*(str(number) for number in range(1_499)), "unknown")
        await repository.acknowledge(lease, Acknowledgement(done=done))
        assert await repository.list_journal(OURS, CONTACT) == [entry("1499")]

    async def test_the_journals_of_other_scopes_are_neither_seen_nor_touched(self, repository: SyncRepository) -> None:
        for scope in NEIGHBOURS:
            await repository.add_journal(await lease_of(repository, scope), [entry("1", scope)])
        lease = await lease_of(repository)
        assert await repository.list_journal(OURS, CONTACT) == []
        await repository.add_journal(lease, [entry("1")])
        await repository.acknowledge(lease, Acknowledgement(done=("1",)))
        for scope in NEIGHBOURS:
            assert await repository.list_journal(*scope) == [entry("1", scope)]


class ConflictPromises(RepositorySubject):
    """A conflict is open until someone decides, decided until a run writes it, and then kept as resolved."""

    async def test_a_conflict_is_read_back_as_it_was_stored(self, repository: SyncRepository) -> None:
        full = conflict(
            1,
            status=ConflictStatus.RESOLVED,
            local_value=["tag'1", "é", "\x00"],
            remote_value={"amount": 1.5, "none": None},
            winner=Side.REMOTE,
            resolved_at=NOW + timedelta(microseconds=5),
        )
        bare = conflict(2, crm_id=None, local_value=None, remote_value=0)
        await self.store(repository, full, bare)
        assert await repository.list_conflicts(OURS) == [full, bare]
        found = await repository.get_conflict(OURS, "k1")
        assert found == full
        assert_utc(found.created_at, found.resolved_at)

    async def test_a_value_without_a_json_form_is_refused(self, repository: SyncRepository) -> None:
        for value in (object(), float("nan"), b"bytes"):
            with pytest.raises(StorageError):
                await self.store(repository, conflict(1, local_value=value))
        assert await repository.list_conflicts(OURS) == []

    async def test_a_conflict_without_a_time_gets_one(self, repository: SyncRepository) -> None:
        await self.store(repository, conflict(1, created_at=None))
        assert_utc((await repository.get_conflict(OURS, "k1")).created_at)

    async def test_a_conflict_replaces_the_one_with_its_id_and_keeps_its_age(self, repository: SyncRepository) -> None:
        await self.store(repository, conflict(1))
        await self.store(repository, conflict(1, local_value="Anna", created_at=NOW + timedelta(days=1)))
        assert await repository.list_conflicts(OURS) == [conflict(1, local_value="Anna")]

    async def test_conflicts_are_listed_oldest_first(self, repository: SyncRepository) -> None:
        await self.store(repository, conflict(3), conflict(1), conflict(2, created_at=(NOW.astimezone(ABROAD))))
        listed = await repository.list_conflicts(OURS)
        assert [found.id for found in listed] == ["k2", "k1", "k3"]
        assert [found.id for found in await repository.list_conflicts(OURS, limit=2)] == ["k2", "k1"]

    async def test_conflicts_are_chosen_by_object_status_and_record(self, repository: SyncRepository) -> None:
        resolved = conflict(2, status=ConflictStatus.RESOLVED)
        await self.store(repository, conflict(1), resolved, conflict(3, markmail_id="m1"))
        lead = conflict(4, (OURS, LEAD))
        await repository.acknowledge(await lease_of(repository, (OURS, LEAD)), Acknowledgement(conflicts=(lead,)))

        async def ids(*args: str, **filters: Any) -> list[str]:
            return [found.id for found in await repository.list_conflicts(OURS, *args, **filters)]

        assert await ids() == ["k1", "k2", "k3", "k4"]
        assert await ids(CONTACT) == ["k1", "k2", "k3"]
        assert await ids(statuses=[ConflictStatus.OPEN]) == ["k1", "k3", "k4"]
        assert await ids(statuses=[ConflictStatus.RESOLVED, ConflictStatus.DECIDED]) == ["k2"]
        assert await ids(CONTACT, markmail_ids=["m1", "m1"]) == ["k1", "k3"]
        assert await ids(markmail_ids=[]) == []
        many = [f"m{number}" for number in range(3_000, -1, -1)]
        assert await ids(markmail_ids=many) == ["k1", "k2", "k3", "k4"]
        assert await ids(markmail_ids=many, limit=2) == ["k1", "k2"]

    async def test_a_page_resolves_conflicts(self, repository: SyncRepository) -> None:
        """Ids that are not there do not matter; what is resolved already keeps its time."""
        before = conflict(2, status=ConflictStatus.RESOLVED, resolved_at=NOW)
        await self.store(repository, conflict(1), before, conflict(3))
        lease = await lease_of(repository)
        await repository.acknowledge(lease, Acknowledgement(resolved_conflicts=("k1", "k2", "k9")))
        listed = await repository.list_conflicts(OURS)
        assert [found.id for found in listed] == ["k1", "k2", "k3"], "what was overwritten must not be just gone"
        first, second, third = listed
        assert attrs.evolve(first, resolved_at=None) == conflict(1, status=ConflictStatus.RESOLVED)
        assert_utc(first.resolved_at)
        assert (second, third) == (before, conflict(3))

    async def test_a_decision_is_noted_and_may_change_until_it_is_carried_out(self, repository: SyncRepository) -> None:
        """``resolved_at`` is the time of the decision, then that of the write."""
        await self.store(repository, conflict(1))
        decided = await repository.decide_conflict(OURS, "k1", Side.LOCAL, now=NOW)
        assert decided == conflict(1, status=ConflictStatus.DECIDED, winner=Side.LOCAL, resolved_at=NOW)
        changed = await repository.decide_conflict(OURS, "k1", Side.REMOTE, now=NOW.astimezone(ABROAD))
        assert changed == conflict(1, status=ConflictStatus.DECIDED, winner=Side.REMOTE, resolved_at=NOW)
        assert_utc(changed.resolved_at)
        assert await repository.list_conflicts(OURS, statuses=[ConflictStatus.DECIDED]) == [changed]
        await repository.acknowledge(await lease_of(repository), Acknowledgement(resolved_conflicts=("k1",)))
        found = await repository.get_conflict(OURS, "k1")
        assert (found.status, found.winner) == (ConflictStatus.RESOLVED, Side.REMOTE)

    async def test_there_is_nothing_to_decide_on_a_resolved_or_unknown_conflict(
        self, repository: SyncRepository
    ) -> None:
        await self.store(repository, conflict(1, status=ConflictStatus.RESOLVED))
        for integration_id, conflict_id in ((OURS, "k1"), (OURS, "k9"), (THEIRS, "k1"), ("nobody", "k1")):
            with pytest.raises(NotFoundError):
                await repository.decide_conflict(integration_id, conflict_id, Side.LOCAL, now=NOW)
        for integration_id, conflict_id in ((OURS, "k9"), (THEIRS, "k1"), ("nobody", "k1")):
            with pytest.raises(NotFoundError):
                await repository.get_conflict(integration_id, conflict_id)

    async def test_conflicts_of_other_integrations_are_neither_seen_nor_touched(
        self, repository: SyncRepository
    ) -> None:
        theirs = conflict(1, (THEIRS, CONTACT))
        lease = await lease_of(repository, (THEIRS, CONTACT))
        await repository.acknowledge(lease, Acknowledgement(conflicts=(theirs,)))
        assert await repository.list_conflicts(OURS) == []
        await self.store(repository, conflict(1, field="city"))
        await repository.decide_conflict(OURS, "k1", Side.LOCAL, now=NOW)
        await repository.acknowledge(await lease_of(repository), Acknowledgement(resolved_conflicts=("k1",)))
        assert await repository.list_conflicts(THEIRS) == [theirs]

    async def store(self, repository: SyncRepository, *conflicts: Conflict) -> None:
        """Acknowledge conflicts of (ours, Contact)."""
        await repository.acknowledge(await lease_of(repository), Acknowledgement(conflicts=conflicts))


class LogPromises(RepositorySubject):
    """Runs are kept with their reports."""

    async def test_a_log_is_read_back_as_it_was_added(self, repository: SyncRepository) -> None:
        full = log(1, error_details=dict(DETAILS), created_at=NOW, started_at=NOW.astimezone(ABROAD))
        running = log(2, completed_at=None, created_at=NOW)
        for given in (full, running):
            await repository.add_log(given)
        found = await repository.list_logs(OURS)
        assert found == [running, full]
        assert_utc(found[1].started_at, found[1].completed_at, found[1].created_at)

    async def test_logs_are_listed_newest_first(self, repository: SyncRepository) -> None:
        for number in (2, 3, 1):
            await repository.add_log(log(number))
        assert [found.id for found in await repository.list_logs(OURS)] == ["run-3", "run-2", "run-1"]
        assert [found.id for found in await repository.list_logs(OURS, limit=1)] == ["run-3"]

    async def test_a_log_replaces_the_one_with_its_id_and_keeps_its_time(self, repository: SyncRepository) -> None:
        await repository.add_log(log(1, completed_at=None))
        [first] = await repository.list_logs(OURS)
        assert_utc(first.created_at)
        await repository.add_log(log(1, success_count=9))
        [second] = await repository.list_logs(OURS)
        assert second == log(1, success_count=9, created_at=first.created_at)

    async def test_logs_are_chosen_by_object_and_kept_apart(self, repository: SyncRepository) -> None:
        for scope in ((OURS, CONTACT), *NEIGHBOURS):
            number = 1 if scope != (OURS, LEAD) else 2
            await repository.add_log(log(number, scope))
        assert [found.entity_type for found in await repository.list_logs(OURS, LEAD)] == [LEAD]
        assert [found.id for found in await repository.list_logs(OURS)] == ["run-2", "run-1"]
        assert [found.integration_id for found in await repository.list_logs(THEIRS)] == [THEIRS]
        assert await repository.list_logs("nobody") == []

    async def test_there_is_no_log_of_an_integration_that_is_not_there(self, repository: SyncRepository) -> None:
        with pytest.raises(NotFoundError):
            await repository.add_log(log(1, ("nobody", CONTACT)))
