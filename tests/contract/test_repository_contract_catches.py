"""The repository contract must catch a repository that breaks a promise: each one here breaks exactly one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import Any, Self

import anyio
import attrs
import pytest

from crmsync.errors import ConcurrentUpdateError, LeaseLostError, StorageError
from crmsync.models.audit import AuditNote
from crmsync.models.integrations import Integration, MappingTemplate
from crmsync.models.records import Side
from crmsync.models.state import (
    Acknowledgement,
    Allowance,
    CallUsage,
    Conflict,
    ConflictSelection,
    ConflictStatus,
    Decision,
    JournalEntry,
    Lease,
    Link,
    RemoteJob,
    SyncLog,
)
from crmsync.models.stops import Stop, StoppedPlan, StoppedRecord
from crmsync.protocols.audit import Tell
from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.sealed import SealedChange
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.repository import RepositoryContract
from crmsync.testing.repository_subject import integration

pytestmark = pytest.mark.anyio


class IgnoresTheFence(MemoryRepository):
    """Stores what a lost lease acknowledges."""

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(await _current(self, lease), acknowledgement)


class IgnoresTheFenceOfTheJournal(MemoryRepository):
    async def add_journal(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        await super().add_journal(await _current(self, lease), entries)


class StoresHalf(MemoryRepository):
    """Moves the cursors although the links are refused."""

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(lease, Acknowledgement(cursors=acknowledgement.cursors))
        await super().acknowledge(lease, attrs.evolve(acknowledgement, cursors=None))


class StoresLinkByLink(MemoryRepository):
    """Not one transaction: what comes before the bad link stays."""

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(lease, attrs.evolve(acknowledgement, links=()))
        for link in acknowledgement.links:
            await super().acknowledge(lease, Acknowledgement(links=(link,)))


class GivesTheLeaseToAnybody(MemoryRepository):
    async def acquire_lease(
        self, integration_id: str, entity_type: str, owner: str, *, now: datetime, ttl: timedelta
    ) -> Lease:
        try:
            return await super().acquire_lease(integration_id, entity_type, owner, now=now, ttl=ttl)
        except ConcurrentUpdateError:
            late = now + timedelta(days=1)
            lease = await super().acquire_lease(integration_id, entity_type, owner, now=late, ttl=ttl)
            return attrs.evolve(lease, expires_at=now + ttl)


class KeepsTheFence(MemoryRepository):
    """The same owner gets the same fence again."""

    async def acquire_lease(
        self, integration_id: str, entity_type: str, owner: str, *, now: datetime, ttl: timedelta
    ) -> Lease:
        held = self._integrations[integration_id].objects.get(entity_type)
        if held is not None and held.lease is not None and held.lease.owner == owner:
            return held.lease
        return await super().acquire_lease(integration_id, entity_type, owner, now=now, ttl=ttl)


class ForgetsTheFenceOnRelease(MemoryRepository):
    async def release_lease(self, lease: Lease) -> None:
        await super().release_lease(lease)
        self._integrations[lease.integration_id].objects[lease.entity_type].fence = 0


class ReleasesForOthers(MemoryRepository):
    async def release_lease(self, lease: Lease) -> None:
        await super().release_lease(await _current(self, lease))


class RefusesExpired(MemoryRepository):
    """Takes an expired lease for a lost one."""

    async def renew_lease(self, lease: Lease, *, now: datetime, ttl: timedelta) -> Lease:
        if lease.expires_at <= now:
            raise LeaseLostError("expired")
        return await super().renew_lease(lease, now=now, ttl=ttl)


class MergesLinks(MemoryRepository):
    """Keeps the stored crm_id where the new link has none."""

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        known = await self.links_by_local(
            lease.integration_id, lease.entity_type, [link.markmail_id for link in acknowledgement.links]
        )
        links = tuple(
            attrs.evolve(link, crm_id=known[link.markmail_id].crm_id)
            if link.crm_id is None and link.markmail_id in known
            else link
            for link in acknowledgement.links
        )
        await super().acknowledge(lease, attrs.evolve(acknowledgement, links=links))


class InsertsBeforeRemoving(MemoryRepository):
    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(lease, attrs.evolve(acknowledgement, removed_links=()))
        await super().acknowledge(lease, Acknowledgement(removed_links=acknowledgement.removed_links))


class FoldsCase(MemoryRepository):
    """Compares ids as some databases do by default."""

    async def links_by_remote(self, integration_id: str, entity_type: str, ids: Sequence[str]) -> Mapping[str, Link]:
        found = await super().links_by_remote(integration_id, entity_type, ids)
        return {key.lower(): link for key, link in found.items()}


class ScansByInsertion(MemoryRepository):
    async def scan_links(self, *args: Any, after: str = "", limit: int = 1000, **options: Any) -> list[Link]:
        found = [link for link in await super().scan_links(*args, limit=10**6, **options) if link.markmail_id > after]
        return sorted(found, key=lambda link: link.markmail_id.lower())[:limit]


class ScansFromAfterInclusive(MemoryRepository):
    async def scan_links(self, *args: Any, after: str = "", limit: int = 1000, **options: Any) -> list[Link]:
        found = await super().scan_links(*args, limit=10**6, **options)
        return [link for link in found if link.markmail_id >= after][:limit]


class ScansEveryStatus(MemoryRepository):
    async def scan_links(self, *args: Any, statuses: object = (), **options: Any) -> list[Link]:
        return await super().scan_links(*args, **options)


class MixesObjects(MemoryRepository):
    async def links_by_local(self, integration_id: str, entity_type: str, ids: Sequence[str]) -> Mapping[str, Link]:
        known = self._integrations[integration_id].objects
        return {key: state.links[key] for state in known.values() for key in ids if key in state.links}


class KeepsCreatedAtOfNobody(MemoryRepository):
    """A replaced link looks newly made."""

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(
            lease, Acknowledgement(removed_links=tuple(link.markmail_id for link in acknowledgement.links))
        )
        await super().acknowledge(lease, acknowledgement)


class ListsTheJournalBackwards(MemoryRepository):
    async def list_journal(self, integration_id: str, entity_type: str) -> list[JournalEntry]:
        return (await super().list_journal(integration_id, entity_type))[::-1]


class NeverClearsTheJournal(MemoryRepository):
    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        await super().acknowledge(lease, attrs.evolve(acknowledgement, done=()))


class DecidesResolvedConflicts(MemoryRepository):
    async def decide_conflicts(
        self, integration_id: str, decisions: Mapping[str, Decision], *, now: datetime
    ) -> list[Conflict]:
        known = await self.list_conflicts(integration_id)
        decided = [one for one in known if one.id in decisions]
        self._conflicts_of(integration_id).update(
            {one.id: attrs.evolve(one, status=ConflictStatus.DECIDED, winner=Side.LOCAL) for one in decided}
        )
        return decided


class OpensWhatWasDecided(MemoryRepository):
    """A page that began before the decision takes it back."""

    async def acknowledge(self, lease: Lease, acknowledgement: Acknowledgement) -> None:
        known = self._conflicts_of(lease.integration_id)
        for conflict in acknowledgement.conflicts:
            known.pop(conflict.id, None)
        await super().acknowledge(lease, acknowledgement)


class ErasesTheRows(MemoryRepository):
    async def erase_conflict_values(self, integration_id: str, selection: ConflictSelection, *, now: datetime) -> int:
        count = await super().erase_conflict_values(integration_id, selection, now=now)
        known = self._conflicts_of(integration_id)
        for conflict in await self.list_conflicts(integration_id):
            if conflict.erased_at:
                del known[conflict.id]
        return count


class WritesBlanksForErasedValues(MemoryRepository):
    """Keeps a decision whose value is gone."""

    async def erase_conflict_values(self, integration_id: str, selection: ConflictSelection, *, now: datetime) -> int:
        decided = await self.list_conflicts(integration_id, statuses=[ConflictStatus.DECIDED])
        count = await super().erase_conflict_values(integration_id, selection, now=now)
        for conflict in decided:
            self._conflicts_of(integration_id)[conflict.id] = attrs.evolve(conflict, given_value=None, erased_at=now)
        return count


class ErasesTheNewestFirst(MemoryRepository):
    async def erase_conflict_values(self, integration_id: str, selection: ConflictSelection, *, now: datetime) -> int:
        if selection.limit is None or selection.settled_until is None:
            return await super().erase_conflict_values(integration_id, selection, now=now)
        settled = [one for one in await self.list_conflicts(integration_id, selection.entity_type) if one.resolved_at]
        newest = sorted(settled, key=lambda one: one.resolved_at or now, reverse=True)[: selection.limit]
        narrowed = attrs.evolve(selection, ids=tuple(one.id for one in newest))
        return await super().erase_conflict_values(integration_id, narrowed, now=now)


class ForgetsResolved(MemoryRepository):
    """An overwritten value would be just gone."""

    async def list_conflicts(self, *args: Any, **options: Any) -> list[Conflict]:
        found = await super().list_conflicts(*args, **options)
        return [conflict for conflict in found if conflict.status is not ConflictStatus.RESOLVED]


class ListsLogsOldestFirst(MemoryRepository):
    async def list_logs(self, *args: Any, **options: Any) -> list[SyncLog]:
        return (await super().list_logs(*args, **options))[::-1]


class KeepsBothTemplates(MemoryRepository):
    async def save_template(self, template: MappingTemplate) -> None:
        self._templates = {**self._templates, (template.provider, f"{template.name} {template.id}"): template}


class DeletesOnlyTheIntegration(MemoryRepository):
    """As without foreign keys: the rows wait for the next integration of that id."""

    async def delete_integration(self, integration_id: str) -> None:
        self._gone = self._integrations[integration_id]
        await super().delete_integration(integration_id)

    async def save_integration(self, integration: Integration) -> None:
        gone = getattr(self, "_gone", None)
        if gone is not None and gone.integration.id == integration.id:
            self._integrations[integration.id] = gone
        await super().save_integration(integration)


class DropsWhenSavedAgain(MemoryRepository):
    """As with ``INSERT OR REPLACE`` and cascading foreign keys."""

    async def save_integration(self, integration: Integration) -> None:
        self._integrations.pop(integration.id, None)
        await super().save_integration(integration)


class ChangesInTwoSteps(MemoryRepository):
    """Reads, gives way to others, and saves over what they saved."""

    async def change_integration(
        self, integration_id: str, change: Callable[[Integration], Integration]
    ) -> Integration:
        found = await self.get_integration(integration_id)
        await anyio.lowlevel.checkpoint()
        await self.save_integration(change(found))
        return await self.get_integration(integration_id)


class SharesWithTheCaller(MemoryRepository):
    async def get_integration(self, integration_id: str) -> Integration:
        await super().get_integration(integration_id)
        return self._integrations[integration_id].integration


class AcceptsAnyScope(MemoryRepository):
    async def add_journal(self, lease: Lease, entries: Sequence[JournalEntry]) -> None:
        ours = [attrs.evolve(entry, entity_type=lease.entity_type) for entry in entries]
        await super().add_journal(lease, [attrs.evolve(entry, integration_id=lease.integration_id) for entry in ours])


class FailsOnMany(MemoryRepository):
    """As a database whose statements take a thousand variables."""

    async def links_by_local(self, integration_id: str, entity_type: str, ids: Sequence[str]) -> Mapping[str, Link]:
        if len(ids) > 999:
            raise StorageError("too many variables")
        return await super().links_by_local(integration_id, entity_type, ids)


class ReservesInTwoSteps(MemoryRepository):
    """Looks, gives way to others, then takes."""

    async def reserve_calls(
        self, integration_id: str, day: date, wanted: int, *, needed: int, limit: int | None
    ) -> int:
        taken = (await self.get_call_usage(integration_id, day)).taken
        await anyio.lowlevel.checkpoint()
        got = wanted if limit is None else min(wanted, limit - taken)
        return await super().reserve_calls(integration_id, day, got, needed=0, limit=None) if got >= needed else 0


class GivesOnlyWholeBlocks(MemoryRepository):
    async def reserve_calls(
        self, integration_id: str, day: date, wanted: int, *, needed: int, limit: int | None
    ) -> int:
        return await super().reserve_calls(integration_id, day, wanted, needed=wanted, limit=limit)


class CountsAllDaysTogether(MemoryRepository):
    async def reserve_calls(
        self, integration_id: str, day: date, wanted: int, *, needed: int, limit: int | None
    ) -> int:
        return await super().reserve_calls(integration_id, date.min, wanted, needed=needed, limit=limit)

    async def get_call_usage(self, integration_id: str, day: date) -> CallUsage:
        return attrs.evolve(await super().get_call_usage(integration_id, date.min), day=day)


class OwesCalls(MemoryRepository):
    """More comes back than was taken."""

    async def return_calls(
        self, integration_id: str, day: date, unused: int, *, allowance: Allowance | None = None
    ) -> None:
        usage = await self.get_call_usage(integration_id, day)
        owed = attrs.evolve(usage, taken=usage.taken - unused)
        self._integrations[integration_id].calls[day] = owed


class BelievesTheLastWord(MemoryRepository):
    """However old it is."""

    async def return_calls(
        self, integration_id: str, day: date, unused: int, *, allowance: Allowance | None = None
    ) -> None:
        calls = self._integrations[integration_id].calls
        calls[day] = attrs.evolve(calls[day], allowance=None)
        await super().return_calls(integration_id, day, unused, allowance=allowance)


class ListsEveryJob(MemoryRepository):
    """Whatever the object."""

    async def list_remote_jobs(self, integration_id: str, entity_type: str) -> list[RemoteJob]:
        objects = self._integrations[integration_id].objects if integration_id in self._integrations else {}
        return [job for state in objects.values() for job in state.jobs.values()]


class ForgetsEveryJobWithOne(MemoryRepository):
    async def remove_remote_job(self, lease: Lease, job_id: str) -> None:
        self._object(lease.integration_id, lease.entity_type).jobs.clear()


class IgnoresTheFenceOfJobs(MemoryRepository):
    async def add_remote_job(self, lease: Lease, job: RemoteJob) -> None:
        await super().add_remote_job(await _current(self, lease), job)


class ForgetsJobsWithoutALease(MemoryRepository):
    async def remove_remote_job(self, lease: Lease, job_id: str) -> None:
        await super().remove_remote_job(await _current(self, lease), job_id)


class TakesThePlanAway(MemoryRepository):
    """A stop that happens again is noted as if it were the first."""

    async def note_stop(self, stop: Stop) -> None:
        await self.remove_stop(stop.integration_id, stop.entity_type)
        await super().note_stop(stop)


class KeepsTheApproval(MemoryRepository):
    """An approval is taken over by another plan."""

    async def save_stopped_plan(
        self, integration_id: str, entity_type: str, plan: StoppedPlan, records: Sequence[StoppedRecord]
    ) -> None:
        before = await self.list_stops(integration_id, entity_type)
        await super().save_stopped_plan(integration_id, entity_type, plan, records)
        for stop in before:
            if stop.approved_at is not None and stop.approved_by is not None:
                await self.approve_stop(
                    integration_id, entity_type, plan.digest, by=stop.approved_by, now=stop.approved_at
                )


class ApprovesWhateverWaits(MemoryRepository):
    async def approve_stop(self, integration_id: str, entity_type: str, digest: str, *, by: str, now: datetime) -> Stop:
        for stop in await self.list_stops(integration_id, entity_type):
            digest = stop.plan.digest if stop.plan else digest
        return await super().approve_stop(integration_id, entity_type, digest, by=by, now=now)


class SortsJobs(MemoryRepository):
    """By id, and not in the order in which they began."""

    async def list_remote_jobs(self, integration_id: str, entity_type: str) -> list[RemoteJob]:
        return sorted(await super().list_remote_jobs(integration_id, entity_type), key=lambda job: job.job_id)


Promise = Callable[[RepositoryContract, SyncRepository], Awaitable[None]]


class ReplacesBlindly(MemoryRepository):
    async def replace_sealed(self, changes: Sequence[SealedChange]) -> set[str]:
        present = {one.integration_id: one.text for one in await self.scan_sealed()}
        known = [change for change in changes if change.integration_id in present]
        return await super().replace_sealed([attrs.evolve(one, before=present[one.integration_id]) for one in known])


class TouchesWhatItRewraps(MemoryRepository):
    async def replace_sealed(self, changes: Sequence[SealedChange]) -> set[str]:
        replaced = await super().replace_sealed(changes)
        for one in replaced:
            await self.change_integration(one, lambda found: found.model_copy(update={"sync_enabled": False}))
        return replaced


class BeginsChainsAnew(MemoryRepository):
    async def append_audit(self, note: AuditNote) -> None:
        kept = {event.integration_id: self._chains.pop(event.integration_id, []) for event in note.events}
        await super().append_audit(note)
        for name, before in kept.items():
            self._chains[name] = [*before, *self._chains[name]]


class ForgetsTheLogWithTheIntegration(MemoryRepository):
    async def delete_integration(self, integration_id: str) -> None:
        await super().delete_integration(integration_id)
        self._chains.pop(integration_id, None)


class TellsNobody(MemoryRepository):
    def audited(self, tell: Tell) -> Self:
        return self


class TellsBeforeItIsDone(MemoryRepository):
    def audited(self, tell: Tell) -> Self:
        note = tell(None)
        if note is not None:
            self._append(note)
        return self


BROKEN: list[tuple[type[MemoryRepository], Promise]] = [
    (IgnoresTheFence, RepositoryContract.test_what_a_lost_lease_acknowledges_is_refused_whole),
    (IgnoresTheFence, RepositoryContract.test_a_released_lease_is_free_at_once_and_serves_no_more),
    (IgnoresTheFenceOfTheJournal, RepositoryContract.test_what_a_lost_lease_adds_to_the_journal_is_refused),
    (StoresHalf, RepositoryContract.test_a_page_that_cannot_be_stored_changes_nothing),
    (StoresLinkByLink, RepositoryContract.test_a_page_that_cannot_be_stored_changes_nothing),
    (StoresLinkByLink, RepositoryContract.test_a_page_may_pass_crm_ids_around_among_its_links),
    (GivesTheLeaseToAnybody, RepositoryContract.test_a_held_lease_is_refused_to_another_owner),
    (GivesTheLeaseToAnybody, RepositoryContract.test_of_many_who_try_at_once_exactly_one_gets_the_lease),
    (GivesTheLeaseToAnybody, RepositoryContract.test_of_two_openings_exactly_one_gets_the_lease),
    (KeepsTheFence, RepositoryContract.test_the_owner_may_take_its_lease_again_and_the_fence_grows),
    (ForgetsTheFenceOnRelease, RepositoryContract.test_the_fence_grows_over_a_release),
    (ReleasesForOthers, RepositoryContract.test_releasing_a_lost_lease_leaves_the_new_holder_alone),
    (RefusesExpired, RepositoryContract.test_an_expired_lease_that_nobody_took_still_serves),
    (MergesLinks, RepositoryContract.test_a_link_replaces_the_one_with_its_markmail_id_whole),
    (InsertsBeforeRemoving, RepositoryContract.test_a_crm_id_passes_to_another_link_when_the_old_one_is_removed),
    (FoldsCase, RepositoryContract.test_ids_that_differ_in_case_or_accents_are_different),
    (ScansByInsertion, RepositoryContract.test_a_scan_goes_by_one_order_of_ids_from_wherever_it_begins),
    (ScansFromAfterInclusive, RepositoryContract.test_a_scan_may_be_of_some_statuses),
    (ScansEveryStatus, RepositoryContract.test_a_scan_may_be_of_some_statuses),
    (MixesObjects, RepositoryContract.test_links_of_other_scopes_are_neither_seen_nor_touched),
    (KeepsCreatedAtOfNobody, RepositoryContract.test_storing_sets_the_times_of_a_link),
    (ListsTheJournalBackwards, RepositoryContract.test_entries_are_listed_as_they_were_added_in_order),
    (NeverClearsTheJournal, RepositoryContract.test_acknowledged_entries_are_gone),
    (DecidesResolvedConflicts, RepositoryContract.test_there_is_nothing_to_decide_on_a_resolved_or_unknown_conflict),
    (OpensWhatWasDecided, RepositoryContract.test_what_was_decided_while_a_page_was_worked_on_stays_decided),
    (ErasesTheRows, RepositoryContract.test_values_are_erased_and_the_rows_stay),
    (
        WritesBlanksForErasedValues,
        RepositoryContract.test_an_erased_value_that_was_to_be_written_takes_its_decision_along,
    ),
    (ErasesTheNewestFirst, RepositoryContract.test_what_is_erased_is_chosen_by_object_record_age_and_number),
    (ForgetsResolved, RepositoryContract.test_a_page_resolves_conflicts),
    (ListsLogsOldestFirst, RepositoryContract.test_logs_are_listed_newest_first),
    (KeepsBothTemplates, RepositoryContract.test_a_template_replaces_the_one_of_its_provider_and_name),
    (DeletesOnlyTheIntegration, RepositoryContract.test_a_deleted_integration_takes_everything_with_it),
    (DropsWhenSavedAgain, RepositoryContract.test_saving_again_replaces_and_keeps_what_belongs_to_it),
    (ChangesInTwoSteps, RepositoryContract.test_changes_at_the_same_time_all_take_effect),
    (SharesWithTheCaller, RepositoryContract.test_what_is_stored_shares_nothing_with_the_caller),
    (AcceptsAnyScope, RepositoryContract.test_rows_of_another_scope_are_refused_under_a_lease),
    (ReservesInTwoSteps, RepositoryContract.test_many_who_reserve_at_once_get_the_limit_together_and_no_more),
    (GivesOnlyWholeBlocks, RepositoryContract.test_the_last_calls_of_a_day_are_given_if_they_are_enough),
    (CountsAllDaysTogether, RepositoryContract.test_what_is_reserved_is_counted_for_its_day_and_integration),
    (OwesCalls, RepositoryContract.test_more_than_was_taken_cannot_come_back),
    (BelievesTheLastWord, RepositoryContract.test_the_latest_word_of_the_crm_is_kept),
    (ListsEveryJob, RepositoryContract.test_the_jobs_of_other_scopes_are_neither_seen_nor_touched),
    (
        ForgetsEveryJobWithOne,
        RepositoryContract.test_a_job_that_is_over_is_gone_and_one_that_is_not_there_does_not_matter,
    ),
    (IgnoresTheFenceOfJobs, RepositoryContract.test_a_lost_lease_neither_notes_nor_forgets_a_job),
    (ForgetsJobsWithoutALease, RepositoryContract.test_a_lost_lease_neither_notes_nor_forgets_a_job),
    (
        TakesThePlanAway,
        RepositoryContract.test_a_stop_that_happens_again_is_counted_and_keeps_the_plan_and_its_approval,
    ),
    (KeepsTheApproval, RepositoryContract.test_a_new_plan_replaces_the_old_one_and_voids_its_approval),
    (ApprovesWhateverWaits, RepositoryContract.test_only_the_very_plan_can_be_approved),
    (ReplacesBlindly, RepositoryContract.test_a_text_that_was_written_meanwhile_or_is_gone_is_left_alone),
    (TouchesWhatItRewraps, RepositoryContract.test_a_text_is_replaced_and_nothing_else_changes),
    (BeginsChainsAnew, RepositoryContract.test_a_chain_goes_on_from_its_head_and_is_read_in_pages),
    (ForgetsTheLogWithTheIntegration, RepositoryContract.test_the_log_outlives_its_integration),
    (TellsNobody, RepositoryContract.test_each_change_is_written_down_with_what_came_of_it),
    (TellsBeforeItIsDone, RepositoryContract.test_what_did_not_happen_is_not_written_down),
    (SortsJobs, RepositoryContract.test_jobs_are_listed_as_they_were_added_in_order),
    (FailsOnMany, RepositoryContract.test_thousands_of_links_are_stored_and_looked_up_at_once),
]


class Opened(RepositoryContract):
    """The contract over one repository in memory, however often it is opened."""

    def __init__(self, repository: SyncRepository) -> None:
        self._repository = repository

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SyncRepository]:
        yield self._repository


async def _run(promise: Promise, repository: SyncRepository) -> None:
    for integration_id in ("ours", "theirs"):
        await repository.save_integration(integration(integration_id))
    await promise(Opened(repository), repository)


@pytest.mark.parametrize("broken, promise", BROKEN, ids=lambda value: value.__name__)
async def test_a_broken_repository_is_caught(broken: type[MemoryRepository], promise: Promise) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception, StorageError)):
        await _run(promise, broken())


@pytest.mark.parametrize("promise", {promise: None for _, promise in BROKEN}, ids=lambda value: value.__name__)
async def test_a_sound_repository_passes_the_same_promise(promise: Promise) -> None:
    await _run(promise, MemoryRepository())


async def _current(repository: MemoryRepository, lease: Lease) -> Lease:
    """The lease as its present holder has it; a free one is taken."""
    held = repository._integrations[lease.integration_id].objects[lease.entity_type].lease
    if held is not None:
        return held
    return await MemoryRepository.acquire_lease(
        repository, lease.integration_id, lease.entity_type, "thief", now=lease.expires_at, ttl=timedelta(minutes=1)
    )
