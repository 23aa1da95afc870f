"""The promises on the erasure of people."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from crmsync.errors import LeaseLostError
from crmsync.models.candidates import Candidate
from crmsync.models.erasure import Kept, PersonIds
from crmsync.models.records import OperationKind, Side
from crmsync.models.state import Acknowledgement, Cursors, LinkStatus
from crmsync.models.stops import Stop, StoppedPlan, StoppedRecord
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.repository_history import change
from crmsync.testing.repository_subject import (
    CONTACT,
    NEIGHBOURS,
    NOW,
    OURS,
    THEIRS,
    TTL,
    RepositorySubject,
    conflict,
    entry,
    lease_of,
    link,
    log,
)

ANN = PersonIds(frozenset({"m1"}), frozenset({"c1"}))
MARKS = (b"0123456789abcdef", bytes(16))


class ErasurePromises(RepositorySubject):
    """Of whom is erased nothing is left but marks; of everybody else everything."""

    async def test_everything_about_a_person_goes_at_once(self, repository: SyncRepository) -> None:
        await _fill(repository, (OURS, CONTACT))
        counts = await repository.erase_person(await lease_of(repository), ANN, MARKS, now=NOW)
        assert counts == {
            Kept.LINKS: 1,
            Kept.CONFLICTS: 1,
            Kept.CHANGES: 1,
            Kept.JOURNAL: 1,
            Kept.LOGS: 1,
            Kept.STOPS: 1,
        }
        left = await _everything(repository, (OURS, CONTACT))
        assert "m1'" not in left
        assert "c1'" not in left
        again = await repository.erase_person(await lease_of(repository), ANN, MARKS, now=NOW)
        assert again == {}

    async def test_nothing_about_anybody_else_goes(self, repository: SyncRepository) -> None:
        for scope in ((OURS, CONTACT), *NEIGHBOURS):
            await _fill(repository, scope)
        before = [await _everything(repository, scope) for scope in NEIGHBOURS]
        await repository.erase_person(await lease_of(repository), ANN, MARKS, now=NOW)
        assert [await _everything(repository, scope) for scope in NEIGHBOURS] == before
        (other,) = await repository.scan_links(OURS, CONTACT)
        assert other == attrs.evolve(
            link(2, status=LinkStatus.QUARANTINED, candidates=(Candidate(id="c3", side=Side.REMOTE),)),
            created_at=other.created_at,
            updated_at=other.updated_at,
        )
        assert [found.id for found in await repository.list_conflicts(OURS, CONTACT)] == [f"k2 of {CONTACT}"]
        assert [found.markmail_id for found in await repository.list_changes(OURS, CONTACT)] == ["m2"]
        assert [found.op_id for found in await repository.list_journal(OURS, CONTACT)] == ["2"]
        (kept,) = await repository.list_logs(OURS, CONTACT)
        assert kept.error_details == {"problems": [{"markmail_id": "m2", "crm_id": "c2", "candidates": ["c3"]}]}

    async def test_no_link_names_the_person_as_a_candidate_any_more(self, repository: SyncRepository) -> None:
        """Those of records that were set aside have candidates, too: into whom theirs was merged."""
        lease = await lease_of(repository)
        person, other = Candidate(id="c1", side=Side.REMOTE), Candidate(id="c3", side=Side.REMOTE)
        statuses = [status for status in LinkStatus if status is not LinkStatus.SYNCED]
        rows = [link(n, status=status, candidates=(person, other)) for n, status in enumerate(statuses, 2)]
        await repository.acknowledge(lease, Acknowledgement(links=tuple(rows)))
        await repository.erase_person(lease, ANN, MARKS, now=NOW)
        kept = {row.status: row.candidates for row in await repository.scan_links(OURS, CONTACT)}
        assert kept == dict.fromkeys(statuses, (other,))

    async def test_a_stopped_plan_without_the_person_stays(self, repository: SyncRepository) -> None:
        await _fill(repository, (OURS, CONTACT))
        stranger = PersonIds(frozenset({"m7"}), frozenset({"c7"}))
        assert await repository.erase_person(await lease_of(repository), stranger, (), now=NOW) == {}
        assert len(await repository.list_stops(OURS, CONTACT)) == 1

    async def test_a_record_is_erased_by_either_side_s_id(self, repository: SyncRepository) -> None:
        await repository.acknowledge(await lease_of(repository), Acknowledgement(links=(link(1), link(2), link(3))))
        ids = PersonIds(frozenset({"m1"}), frozenset({"c2"}))
        assert await repository.erase_person(await lease_of(repository), ids, (), now=NOW) == {Kept.LINKS: 2}
        assert [found.markmail_id for found in await repository.scan_links(OURS, CONTACT)] == ["m3"]
        assert await repository.links_by_remote(OURS, CONTACT, ["c1", "c2"]) == {}
        assert sum((await repository.count_links(OURS, CONTACT)).values()) == 1

    async def test_marks_are_known_until_they_are_forgotten(self, repository: SyncRepository) -> None:
        assert await repository.count_erased(OURS) == 0
        await repository.erase_person(await lease_of(repository), PersonIds(), MARKS, now=NOW)
        many = {number.to_bytes(16, "big") for number in range(1, 2000)}
        assert await repository.erased_among(OURS, [*MARKS, *many]) == set(MARKS)
        assert await repository.count_erased(OURS) == 2
        assert await repository.erased_among(THEIRS, MARKS) == frozenset()
        assert await repository.forget_erased(THEIRS, MARKS) == 0
        assert await repository.forget_erased(OURS, [MARKS[0], *many]) == 1
        assert await repository.erased_among(OURS, MARKS) == {MARKS[1]}
        await repository.delete_integration(OURS)
        assert await repository.count_erased(OURS) == 0

    async def test_a_lost_lease_erases_nobody(self, repository: SyncRepository) -> None:
        lost = await lease_of(repository)
        await repository.acknowledge(lost, Acknowledgement(links=(link(1),)))
        await repository.acquire_lease(OURS, CONTACT, "worker-2", now=NOW + TTL, ttl=TTL)
        with pytest.raises(LeaseLostError):
            await repository.erase_person(lost, ANN, MARKS, now=NOW)
        assert await repository.count_erased(OURS) == 0
        assert len(await repository.scan_links(OURS, CONTACT)) == 1


async def _fill(repository: SyncRepository, scope: tuple[str, str]) -> None:
    """One row of each kind for each of two people; the second has the first among the candidates."""
    lease = await lease_of(repository, scope)
    await repository.add_journal(
        lease, [entry(str(n), scope, kind=OperationKind.UPDATE, markmail_id=f"m{n}", crm_id=f"c{n}") for n in (1, 2)]
    )
    waiting = link(
        2, scope, status=LinkStatus.QUARANTINED, candidates=(Candidate(id="c1"), Candidate(id="c3", side=Side.REMOTE))
    )
    await repository.acknowledge(
        lease,
        Acknowledgement(
            links=(link(1, scope), waiting),
            conflicts=tuple(conflict(n, scope, id=f"k{n} of {scope[1]}") for n in (1, 2)),
            changes=(
                change("m1", scope=scope, crm_id="c1", side=Side.LOCAL),
                change("m2", scope=scope, crm_id="c2", side=Side.LOCAL),
            ),
        ),
    )
    problems = [
        {"markmail_id": f"m{n}", "crm_id": f"c{n}", "candidates": ["c1", {"id": "c1", "side": "remote"}, "c3"]}
        for n in (1, 2)
    ]
    await repository.add_log(log(1, scope, id=f"run-{'-'.join(scope)}", error_details={"problems": problems}))
    await repository.note_stop(Stop(*scope, "run-1", "delete_guard", "too many", NOW))
    plan = StoppedPlan("0" * 64, "1", NOW, Cursors(), 2)
    records = [StoppedRecord(f"m{n}", f"c{n}", "f") for n in (1, 2)]
    await repository.save_stopped_plan(*scope, plan, records)
    await repository.renew_lease(lease, now=NOW, ttl=timedelta(minutes=1))


async def _everything(repository: SyncRepository, scope: tuple[str, str]) -> str:
    """All that is kept of an object, as text."""
    return repr(
        [
            await repository.scan_links(*scope),
            [attrs.asdict(found) for found in await repository.list_conflicts(*scope)],
            [attrs.asdict(found) for found in await repository.list_changes(*scope)],
            await repository.list_journal(*scope),
            await repository.list_logs(*scope),
            await repository.list_stops(*scope),
            await repository.stopped_records(*scope, 0),
        ]
    )
