"""The promises of a repository about conflicts and logs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs
import pytest

from crmsync.errors import NotFoundError, StorageError
from crmsync.models.records import Side
from crmsync.models.state import (
    Acknowledgement,
    Conflict,
    ConflictSelection,
    ConflictStatus,
    Decision,
)
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
            local_changed_at=NOW.astimezone(ABROAD),
            local_changed_by="O'Brien",
            remote_changed_at=NOW,
            remote_changed_by="005000000000001AAA",
            given_value={"given": "\x00"},
            decided_by="é",
            decided_at=NOW.astimezone(ABROAD),
            resolved_run_id="run-2",
            erased_at=NOW,
        )
        bare = conflict(2, crm_id=None, local_value=None, remote_value=0)
        await self.store(repository, full, bare)
        assert await repository.list_conflicts(OURS) == [full, bare]
        found = await repository.get_conflict(OURS, "k1")
        assert found == full
        assert_utc(found.created_at, found.resolved_at, found.local_changed_at, found.decided_at, found.erased_at)

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
        page = Acknowledgement(resolved_conflicts=("k1", "k2", "k9"), resolved_at=NOW.astimezone(ABROAD))
        await repository.acknowledge(lease, page)
        listed = await repository.list_conflicts(OURS)
        assert [found.id for found in listed] == ["k1", "k2", "k3"], "what was overwritten must not be just gone"
        first, second, third = listed
        assert first == conflict(1, status=ConflictStatus.RESOLVED, resolved_run_id=lease.owner, resolved_at=NOW)
        assert_utc(first.resolved_at)
        assert (second, third) == (before, conflict(3))

    async def test_a_decision_is_noted_and_may_change_until_it_is_carried_out(self, repository: SyncRepository) -> None:
        await self.store(repository, conflict(1), conflict(2))
        chosen = {"k2": Decision(Side.REMOTE), "k1": Decision(Side.LOCAL, by="O'Brien")}
        second, first = await repository.decide_conflicts(OURS, chosen, now=NOW)
        plain: dict[str, Any] = {"status": ConflictStatus.DECIDED, "decided_at": NOW}
        assert first == conflict(1, winner=Side.LOCAL, decided_by="O'Brien", **plain)
        assert second == conflict(2, winner=Side.REMOTE, decided_by="", **plain)
        given = Decision(value=["é", "\x00"], by="Ann")
        [changed] = await repository.decide_conflicts(OURS, {"k1": given}, now=NOW.astimezone(ABROAD))
        assert changed == conflict(1, given_value=["é", "\x00"], decided_by="Ann", **plain)
        assert_utc(changed.decided_at)
        assert await repository.list_conflicts(OURS, statuses=[ConflictStatus.DECIDED]) == [changed, second]
        await repository.acknowledge(await lease_of(repository), Acknowledgement(resolved_conflicts=("k1", "k2")))
        found = await repository.list_conflicts(OURS)
        assert [(one.status, one.winner, one.decided_by) for one in found] == [
            (ConflictStatus.RESOLVED, None, "Ann"),
            (ConflictStatus.RESOLVED, Side.REMOTE, ""),
        ]

    async def test_there_is_nothing_to_decide_on_a_resolved_or_unknown_conflict(
        self, repository: SyncRepository
    ) -> None:
        """The others of the same call are decided."""
        resolved = conflict(1, status=ConflictStatus.RESOLVED)
        await self.store(repository, resolved, conflict(2))
        chosen = {key: Decision(Side.LOCAL) for key in ("k1", "k2", "k9")}
        assert [found.id for found in await repository.decide_conflicts(OURS, chosen, now=NOW)] == ["k2"]
        assert await repository.get_conflict(OURS, "k1") == resolved
        for stranger in (THEIRS, "nobody"):
            assert await repository.decide_conflicts(stranger, chosen, now=NOW) == []
        for integration_id, conflict_id in ((OURS, "k9"), (THEIRS, "k1"), ("nobody", "k1")):
            with pytest.raises(NotFoundError):
                await repository.get_conflict(integration_id, conflict_id)

    async def test_of_decisions_that_cannot_all_be_stored_none_is(self, repository: SyncRepository) -> None:
        await self.store(repository, conflict(1), conflict(2))
        chosen = {"k1": Decision(Side.LOCAL), "k2": Decision(value=object())}
        with pytest.raises(StorageError):
            await repository.decide_conflicts(OURS, chosen, now=NOW)
        assert await repository.list_conflicts(OURS) == [conflict(1), conflict(2)]

    async def test_what_was_decided_while_a_page_was_worked_on_stays_decided(self, repository: SyncRepository) -> None:
        """The page met the conflict still open. One that it settles is settled all the same."""
        await self.store(repository, conflict(1), conflict(2))
        chosen = {key: Decision(Side.LOCAL, by="Ann") for key in ("k1", "k2")}
        first, _ = await repository.decide_conflicts(OURS, chosen, now=NOW)
        settled = conflict(2, status=ConflictStatus.RESOLVED, winner=Side.REMOTE)
        await self.store(repository, conflict(1, local_value="Anna"), settled)
        assert await repository.list_conflicts(OURS) == [first, settled]

    async def test_conflicts_of_other_integrations_are_neither_seen_nor_touched(
        self, repository: SyncRepository
    ) -> None:
        theirs = conflict(1, (THEIRS, CONTACT))
        lease = await lease_of(repository, (THEIRS, CONTACT))
        await repository.acknowledge(lease, Acknowledgement(conflicts=(theirs,)))
        assert await repository.list_conflicts(OURS) == []
        await self.store(repository, conflict(1, field="city"))
        await repository.decide_conflicts(OURS, {"k1": Decision(Side.LOCAL)}, now=NOW)
        await repository.acknowledge(await lease_of(repository), Acknowledgement(resolved_conflicts=("k1",)))
        await repository.erase_conflict_values(OURS, ConflictSelection(), now=NOW)
        assert await repository.list_conflicts(THEIRS) == [theirs]

    async def test_values_are_erased_and_the_rows_stay(self, repository: SyncRepository) -> None:
        settled = conflict(2, status=ConflictStatus.RESOLVED, winner=Side.REMOTE, resolved_at=NOW, given_value="A")
        await self.store(repository, conflict(1), settled, conflict(3))
        chosen = ConflictSelection(ids=("k2", "k1", "k9", "k1"))
        assert await repository.erase_conflict_values(OURS, chosen, now=NOW.astimezone(ABROAD)) == 2
        blank: dict[str, Any] = {"local_value": None, "remote_value": None, "given_value": None, "erased_at": NOW}
        erased = [conflict(1, **blank), attrs.evolve(settled, **blank)]
        assert await repository.list_conflicts(OURS) == [*erased, conflict(3)]
        assert_utc((await repository.get_conflict(OURS, "k1")).erased_at)
        again = NOW + timedelta(days=1)
        assert await repository.erase_conflict_values(OURS, chosen, now=again) == 0
        assert await repository.list_conflicts(OURS) == [*erased, conflict(3)]

    async def test_an_erased_value_that_was_to_be_written_takes_its_decision_along(
        self, repository: SyncRepository
    ) -> None:
        """A decision for a side needs no stored value."""
        await self.store(repository, conflict(1), conflict(2))
        chosen = {"k1": Decision(value="Anna", by="me"), "k2": Decision(Side.LOCAL, by="me")}
        _, for_a_side = await repository.decide_conflicts(OURS, chosen, now=NOW)
        assert await repository.erase_conflict_values(OURS, ConflictSelection(), now=NOW) == 2
        blank: dict[str, Any] = {"local_value": None, "remote_value": None, "erased_at": NOW}
        assert await repository.list_conflicts(OURS) == [conflict(1, **blank), attrs.evolve(for_a_side, **blank)]

    async def test_values_are_erased_in_what_a_crash_left_in_the_journal(self, repository: SyncRepository) -> None:
        """They would be recorded by the next run: as erased."""
        lease = await lease_of(repository)
        settled: dict[str, Any] = {"status": ConflictStatus.RESOLVED, "resolved_at": NOW}
        theirs = entry("op-1", (THEIRS, CONTACT), conflicts=(conflict(1, (THEIRS, CONTACT)),))
        await repository.add_journal(await lease_of(repository, (THEIRS, CONTACT)), [theirs])
        held = [entry("op-1", conflicts=(conflict(1, **settled), conflict(2, **settled))), entry("op-2")]
        await repository.add_journal(lease, held)
        chosen = ConflictSelection(markmail_ids=("m1",))
        assert await repository.erase_conflict_values(OURS, chosen, now=NOW) == 0
        blank: dict[str, Any] = {"local_value": None, "remote_value": None, "erased_at": NOW}
        journaled = await repository.list_journal(OURS, CONTACT)
        assert [one.conflicts for one in journaled] == [(conflict(1, **settled, **blank), conflict(2, **settled)), ()]
        assert [one.op_id for one in journaled] == ["op-1", "op-2"]
        (other,) = await repository.list_journal(THEIRS, CONTACT)
        assert other.conflicts == theirs.conflicts

    async def test_what_is_erased_is_chosen_by_object_record_age_and_number(self, repository: SyncRepository) -> None:
        old = [
            conflict(n, status=ConflictStatus.RESOLVED, resolved_at=NOW - timedelta(seconds=n), markmail_id="m1")
            for n in (1, 2, 3)
        ]
        await self.store(repository, *old, conflict(4, markmail_id="m1"), conflict(5))
        lead = conflict(6, (OURS, LEAD), status=ConflictStatus.RESOLVED, resolved_at=NOW - timedelta(days=1))
        await repository.acknowledge(await lease_of(repository, (OURS, LEAD)), Acknowledgement(conflicts=(lead,)))

        async def erased(**conditions: Any) -> list[str]:
            before = {one.id for one in await repository.list_conflicts(OURS) if one.erased_at}
            number = await repository.erase_conflict_values(OURS, ConflictSelection(**conditions), now=NOW)
            after = [one.id for one in await repository.list_conflicts(OURS) if one.erased_at]
            assert len(after) - len(before) == number
            return sorted(set(after) - before)

        until = (NOW - timedelta(seconds=2)).astimezone(ABROAD)
        assert await erased(entity_type=CONTACT, settled_until=until, limit=1) == ["k3"], "the longest settled first"
        assert await erased(entity_type=CONTACT, settled_until=until, markmail_ids=("m5",)) == []
        assert await erased(entity_type=CONTACT, settled_until=until) == ["k2"]
        assert await erased(markmail_ids=("m1", *(f"x{number}" for number in range(1_500)))) == ["k1", "k4"]
        assert await erased(ids=(), limit=9) == []
        assert await erased(limit=9) == ["k5", "k6"]

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

    async def test_runs_that_began_before_a_moment_are_forgotten(self, repository: SyncRepository) -> None:
        for scope in ((OURS, CONTACT), *NEIGHBOURS):
            for number in (1, 2, 3):
                await repository.add_log(log(number, scope, id=f"{scope[1]}-{number}"))
        begun = NOW + timedelta(seconds=2)
        assert await repository.purge_logs(OURS, CONTACT, started_before=begun) == 1
        assert [found.id for found in await repository.list_logs(OURS, CONTACT)] == ["Contact-3", "Contact-2"]
        assert len(await repository.list_logs(OURS, LEAD)) == len(await repository.list_logs(THEIRS)) == 3

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
