"""The promises of a repository about links, and about a page being stored whole or not at all."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import attrs
import pytest

from crmsync.diff import BLANK_SHADOW
from crmsync.errors import StorageError
from crmsync.models.state import Acknowledgement, Cursors, LinkStatus
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
    full_link,
    ids_in,
    lease_of,
    link,
    shadows,
    store_links,
)


class LinkPromises(RepositorySubject):
    """Links are kept as they were given, found by either id, and changed a page at a time."""

    async def test_a_link_is_read_back_as_it_was_stored(self, repository: SyncRepository) -> None:
        plain = link(2, crm_id=None)
        await store_links(repository, [full_link(), plain])
        stored = await repository.links_by_local(OURS, CONTACT, [full_link().markmail_id, "m2"])
        for given in (full_link(), plain):
            found = stored[given.markmail_id]
            assert attrs.evolve(found, created_at=None, updated_at=None) == given
            assert isinstance(found.local_shadow, bytes)
        by_remote = await repository.links_by_remote(OURS, CONTACT, ["003000000000001AAA"])
        assert by_remote == {"003000000000001AAA": stored[full_link().markmail_id]}
        scanned = await repository.scan_links(OURS, CONTACT)
        assert {found.markmail_id: found for found in scanned} == stored

    async def test_shadows_come_back_byte_for_byte_whatever_links_have_in_common(
        self, repository: SyncRepository
    ) -> None:
        """Of one mapping or another, of sides that agree or not, of one side alone; stored again in another form."""
        told = [shadows(seed=1), shadows(seed=2, apart=3), shadows(seed=3, apart=20, version="other")]
        told += [{**shadows(seed=4), "remote_shadow": b"", "last_sync_hash": "ab" * 32}, {"local_shadow": BLANK_SHADOW}]
        for turn in (told, told[::-1]):
            given = [link(number, **each) for number, each in enumerate(turn)]
            await store_links(repository, given)
            found = await repository.scan_links(OURS, CONTACT)
            assert [attrs.evolve(each, created_at=None, updated_at=None) for each in found] == given

    async def test_storing_sets_the_times_of_a_link(self, repository: SyncRepository) -> None:
        """``created_at`` when it is first stored, ``updated_at`` each time; next_attempt_at comes back in UTC."""
        before = datetime.now(UTC)
        await store_links(repository, [link(1, next_attempt_at=NOW.astimezone(ABROAD))])
        first = (await repository.links_by_local(OURS, CONTACT, ["m1"]))["m1"]
        assert_utc(first.created_at, first.updated_at, first.next_attempt_at)
        assert first.next_attempt_at == NOW
        assert first.created_at is not None
        assert before <= first.created_at <= datetime.now(UTC)
        await anyio.sleep(0.002)
        await store_links(repository, [link(1, attempts=1)])
        second = (await repository.links_by_local(OURS, CONTACT, ["m1"]))["m1"]
        assert second.created_at == first.created_at
        assert second.updated_at is not None
        assert second.updated_at > first.created_at

    async def test_a_link_replaces_the_one_with_its_markmail_id_whole(self, repository: SyncRepository) -> None:
        await store_links(repository, [full_link()])
        bare = attrs.evolve(link(0), markmail_id=full_link().markmail_id, crm_id=None)
        await store_links(repository, [bare])
        [found] = await repository.scan_links(OURS, CONTACT)
        assert attrs.evolve(found, created_at=None, updated_at=None) == bare
        assert await repository.links_by_remote(OURS, CONTACT, ["003000000000001AAA"]) == {}

    async def test_of_two_links_of_one_page_with_one_markmail_id_the_later_counts(
        self, repository: SyncRepository
    ) -> None:
        await store_links(repository, [link(1, attempts=1), link(1, attempts=2)])
        assert [found.attempts for found in await repository.scan_links(OURS, CONTACT)] == [2]

    async def test_links_are_found_by_either_id_whatever_their_status(self, repository: SyncRepository) -> None:
        await store_links(repository, [link(status.value, status=status) for status in LinkStatus])
        by_local = await repository.links_by_local(OURS, CONTACT, [f"m{status.value}" for status in LinkStatus])
        by_remote = await repository.links_by_remote(OURS, CONTACT, [f"c{status.value}" for status in LinkStatus])
        assert {found.status for found in by_local.values()} == set(LinkStatus)
        assert {key: found.status for key, found in by_remote.items()} == {f"c{s.value}": s for s in LinkStatus}

    async def test_ids_without_a_link_are_absent(self, repository: SyncRepository) -> None:
        await store_links(repository, [link(1)])
        assert set(await repository.links_by_local(OURS, CONTACT, ["m0", "m1", "m1", "c1"])) == {"m1"}
        assert set(await repository.links_by_remote(OURS, CONTACT, ["c0", "c1", "c1", "m1"])) == {"c1"}
        assert not await repository.links_by_local(OURS, CONTACT, [])
        assert not await repository.links_by_remote(OURS, CONTACT, [])

    async def test_thousands_of_links_are_stored_and_looked_up_at_once(self, repository: SyncRepository) -> None:
        links = [link(f"{number:05}") for number in range(2_500)]
        await store_links(repository, links)
        ids = [f"{number:05}" for number in range(5_000)]
        assert len(await repository.links_by_local(OURS, CONTACT, [f"m{key}" for key in ids])) == 2_500
        assert len(await repository.links_by_remote(OURS, CONTACT, [f"c{key}" for key in ids])) == 2_500
        lease = await lease_of(repository)
        gone = tuple(found.markmail_id for found in links[:2_000])
        await repository.acknowledge(lease, Acknowledgement(removed_links=gone))
        assert len(await ids_in(repository)) == 500

    async def test_case_18_any_text_may_be_an_id(self, repository: SyncRepository) -> None:
        await store_links(repository, [link(0, markmail_id=text, crm_id=text) for text in (*TEXTS, "i" * 64)])
        assert set(await repository.links_by_local(OURS, CONTACT, TEXTS)) == set(TEXTS)
        assert set(await repository.links_by_remote(OURS, CONTACT, TEXTS)) == set(TEXTS)
        lease = await lease_of(repository)
        await repository.acknowledge(lease, Acknowledgement(removed_links=TEXTS))
        assert await ids_in(repository) == ["i" * 64]

    async def test_ids_that_differ_in_case_or_accents_are_different(self, repository: SyncRepository) -> None:
        """Salesforce's 15-character ids differ in nothing but case."""
        ids = ["001aA", "001AA", "e", "é", "e\u0301", "e "]
        await store_links(repository, [link(0, markmail_id=text, crm_id=text) for text in ids])
        assert set(await repository.links_by_remote(OURS, CONTACT, ids)) == set(ids)

    async def test_a_scan_goes_by_one_order_of_ids_from_wherever_it_begins(self, repository: SyncRepository) -> None:
        """That of the links may be any: the same for all, and whatever is stored besides."""
        texts = ["Z", "a", "B", "é", "_", "10", "9", *TEXTS]
        uuids = [f"{digit}d7425dc-b03d-404b-b0a4-f21e0adc3ebe" for digit in "09abfABF"]
        few, all_of_them = texts[::2] + uuids[::2], texts + uuids
        statuses = (LinkStatus.SYNCED, LinkStatus.REJECTED)

        async def store(ids: list[str], status: LinkStatus) -> list[str]:
            await store_links(repository, [link(0, markmail_id=each, crm_id=None, status=status) for each in ids])
            return await ids_in(repository)

        first = await store(few, LinkStatus.REJECTED)
        order = await store(texts[1::2] + uuids[1::2], LinkStatus.SYNCED)
        assert sorted(order) == sorted(all_of_them)
        assert [each for each in order if each in few] == first
        for place, each in enumerate(order, start=1):
            for chosen, expected in (((), order), (statuses, order), (statuses[1:], first)):
                page = await repository.scan_links(OURS, CONTACT, statuses=chosen, after=each, limit=3)
                rest = [other for other in expected if other in order[place:]]
                assert [found.markmail_id for found in page] == rest[:3]
        await repository.acknowledge(await lease_of(repository), Acknowledgement(removed_links=tuple(order[:2])))
        [found] = await repository.scan_links(OURS, CONTACT, after=order[1], limit=1)
        assert found.markmail_id == order[2]

    async def test_a_scan_in_pages_sees_every_link_once(self, repository: SyncRepository) -> None:
        await store_links(repository, [link(f"{number:04}") for number in range(1_001)])
        seen: list[str] = []
        while page := await repository.scan_links(OURS, CONTACT, after=seen[-1] if seen else "", limit=100):
            assert len(page) <= 100
            seen += [found.markmail_id for found in page]
        assert seen == [f"m{number:04}" for number in range(1_001)]
        assert len(await repository.scan_links(OURS, CONTACT)) == 1_000

    async def test_a_scan_may_be_of_some_statuses(self, repository: SyncRepository) -> None:
        statuses = [LinkStatus.SYNCED, LinkStatus.REJECTED, LinkStatus.DELETED, LinkStatus.REJECTED]
        await store_links(repository, [link(number, status=status) for number, status in enumerate(statuses)])
        rejected = await repository.scan_links(OURS, CONTACT, statuses=[LinkStatus.REJECTED])
        assert [found.markmail_id for found in rejected] == ["m1", "m3"]
        two = await repository.scan_links(
            OURS, CONTACT, statuses=[LinkStatus.DELETED, LinkStatus.REJECTED], after="m1", limit=1
        )
        assert [found.markmail_id for found in two] == ["m2"]

    async def test_links_are_counted_by_status(self, repository: SyncRepository) -> None:
        await store_links(repository, [link(1), link(2), link(3, status=LinkStatus.CONFLICT)])
        counts = await repository.count_links(OURS, CONTACT)
        assert {status: counts.get(status, 0) for status in LinkStatus} == {
            **dict.fromkeys(LinkStatus, 0),
            LinkStatus.SYNCED: 2,
            LinkStatus.CONFLICT: 1,
        }
        assert sum((await repository.count_links(OURS, LEAD)).values()) == 0

    async def test_counts_follow_what_becomes_of_links(self, repository: SyncRepository) -> None:
        await store_links(repository, [link(number) for number in range(4)])
        await store_links(repository, [link(number, (OURS, LEAD)) for number in range(2)])
        lease = await lease_of(repository)
        changed = [link(1, status=LinkStatus.REJECTED), link(2, crm_id="c9"), link(7, status=LinkStatus.REJECTED)]
        for page, counts in (
            (Acknowledgement(links=tuple(changed)), {LinkStatus.SYNCED: 3, LinkStatus.REJECTED: 2}),
            (Acknowledgement(cursors=Cursors("a", "b")), {LinkStatus.SYNCED: 3, LinkStatus.REJECTED: 2}),
            (
                Acknowledgement(links=(link(1), link(0)), removed_links=("m0", "m3", "m9")),
                {LinkStatus.SYNCED: 3, LinkStatus.REJECTED: 1},
            ),
            (Acknowledgement(removed_links=("m0", "m1", "m2", "m7")), {}),
            (Acknowledgement(links=(link(5),)), {LinkStatus.SYNCED: 1}),
        ):
            await repository.acknowledge(lease, page)
            found = await repository.count_links(OURS, CONTACT)
            assert {status: count for status, count in found.items() if count} == counts
        assert sum((await repository.count_links(OURS, LEAD)).values()) == 2

    async def test_a_refused_acknowledgement_counts_nothing(self, repository: SyncRepository) -> None:
        await store_links(repository, [link(1)])
        with pytest.raises(StorageError):
            await repository.acknowledge(
                await lease_of(repository), Acknowledgement(links=(link(2), link(3, crm_id="c1")))
            )
        assert sum((await repository.count_links(OURS, CONTACT)).values()) == 1

    async def test_removed_links_are_gone_and_unknown_ones_do_not_matter(self, repository: SyncRepository) -> None:
        await store_links(repository, [link(1), link(2)])
        await repository.acknowledge(await lease_of(repository), Acknowledgement(removed_links=("m1", "m9")))
        assert await ids_in(repository) == ["m2"]
        assert await repository.links_by_remote(OURS, CONTACT, ["c1"]) == {}

    async def test_a_crm_id_passes_to_another_link_when_the_old_one_is_removed(
        self, repository: SyncRepository
    ) -> None:
        """Removals come before inserts, in one page."""
        await store_links(repository, [link(1)])
        page = Acknowledgement(links=(link(2, crm_id="c1"),), removed_links=("m1",))
        await repository.acknowledge(await lease_of(repository), page)
        found = await repository.links_by_remote(OURS, CONTACT, ["c1"])
        assert found["c1"].markmail_id == "m2"
        assert await ids_in(repository) == ["m2"]

    async def test_a_page_may_pass_crm_ids_around_among_its_links(self, repository: SyncRepository) -> None:
        """What counts is the page's end: no order of its links makes it fail."""
        await store_links(repository, [link(1), link(2), link(3)])
        await store_links(
            repository, [link(1, crm_id="c2"), link(2, crm_id="c1"), link(4, crm_id="c3"), link(3, crm_id=None)]
        )
        found = await repository.links_by_remote(OURS, CONTACT, ["c1", "c2", "c3"])
        assert {key: held.markmail_id for key, held in found.items()} == {"c1": "m2", "c2": "m1", "c3": "m4"}

    async def test_case_23_one_remote_record_is_never_linked_to_two_local_ones(
        self, repository: SyncRepository
    ) -> None:
        await store_links(repository, [link(1)])
        for links in ((link(2, crm_id="c1"),), (link(3), link(4, crm_id="c3"))):
            with pytest.raises(StorageError):
                await store_links(repository, links)
        assert await ids_in(repository) == ["m1"]

    async def test_any_number_of_links_may_have_no_crm_id_yet(self, repository: SyncRepository) -> None:
        await store_links(repository, [link(number, crm_id=None) for number in range(3)])
        assert await ids_in(repository) == ["m0", "m1", "m2"]

    async def test_a_page_that_cannot_be_stored_changes_nothing(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        await repository.add_journal(lease, [entry("op-1")])
        first = Acknowledgement(links=(link(1), link(2)), conflicts=(conflict(1),), cursors=Cursors("l1", "r1", "v1"))
        await repository.acknowledge(lease, first)
        kept = await repository.scan_links(OURS, CONTACT), await repository.list_conflicts(OURS)
        with pytest.raises(StorageError):
            await repository.acknowledge(
                lease,
                Acknowledgement(
                    links=(link(1, attempts=9), link(5), link(6, crm_id="c5")),
                    removed_links=("m2",),
                    conflicts=(conflict(2),),
                    resolved_conflicts=("k1",),
                    done=("op-1",),
                    cursors=Cursors("l2", "r2", "v2"),
                ),
            )
        assert (await repository.scan_links(OURS, CONTACT), await repository.list_conflicts(OURS)) == kept
        assert len(await repository.list_journal(OURS, CONTACT)) == 1
        assert await repository.get_cursors(OURS, CONTACT) == Cursors("l1", "r1", "v1")

    async def test_a_cancelled_page_is_stored_whole_or_not_at_all(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        page = Acknowledgement(links=tuple(link(number) for number in range(500)), cursors=Cursors("l", "r"))
        for deadline in (0, 0.001, 0.01):
            with anyio.move_on_after(deadline):
                await repository.acknowledge(lease, page)
            stored = len(await ids_in(repository)), await repository.get_cursors(OURS, CONTACT)
            assert stored in ((0, Cursors()), (500, Cursors("l", "r")))
        await repository.acknowledge(lease, page)
        assert len(await ids_in(repository)) == 500

    async def test_rows_of_another_scope_are_refused_under_a_lease(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        for scope in NEIGHBOURS:
            for page in (Acknowledgement(links=(link(1, scope),)), Acknowledgement(conflicts=(conflict(1, scope),))):
                with pytest.raises(StorageError):
                    await repository.acknowledge(lease, page)
            with pytest.raises(StorageError):
                await repository.add_journal(lease, [entry("op-1", scope)])
            assert await ids_in(repository, scope) == []
            assert await repository.list_journal(*scope) == []
        assert await repository.list_conflicts(THEIRS) == await repository.list_conflicts(OURS) == []

    async def test_links_of_other_scopes_are_neither_seen_nor_touched(self, repository: SyncRepository) -> None:
        for scope in NEIGHBOURS:
            await store_links(repository, [link(1, scope), link(2, scope)])
        assert await ids_in(repository) == []
        assert await repository.links_by_local(OURS, CONTACT, ["m1"]) == {}
        assert await repository.links_by_remote(OURS, CONTACT, ["c1"]) == {}
        assert sum((await repository.count_links(OURS, CONTACT)).values()) == 0
        page = Acknowledgement(links=(link(1, crm_id="c2"),), removed_links=("m1", "m2"))
        await repository.acknowledge(await lease_of(repository), page)
        for scope in NEIGHBOURS:
            found = await repository.scan_links(*scope)
            assert [(held.integration_id, held.entity_type) for held in found] == [scope] * 2
            assert [held.crm_id for held in found] == ["c1", "c2"]

    async def test_cursors_are_empty_until_a_page_moves_them(self, repository: SyncRepository) -> None:
        assert await repository.get_cursors(OURS, CONTACT) == Cursors()
        lease = await lease_of(repository)
        assert await repository.get_cursors(OURS, CONTACT) == Cursors()
        moved = Cursors("local'é", None, "v1", unkeyed_after="m'é")
        await repository.acknowledge(lease, Acknowledgement(cursors=moved))
        await repository.acknowledge(lease, Acknowledgement(links=(link(1),)))
        assert await repository.get_cursors(OURS, CONTACT) == moved
        moved = attrs.evolve(moved, unkeyed_after="")
        await repository.acknowledge(lease, Acknowledgement(cursors=moved))
        assert await repository.get_cursors(OURS, CONTACT) == moved
        for scope in NEIGHBOURS:
            assert await repository.get_cursors(*scope) == Cursors()
        await repository.acknowledge(lease, Acknowledgement(cursors=Cursors()))
        assert await repository.get_cursors(OURS, CONTACT) == Cursors()

    async def test_cursors_outlive_the_lease(self, repository: SyncRepository) -> None:
        lease = await lease_of(repository)
        await repository.acknowledge(lease, Acknowledgement(cursors=Cursors("l", "r", "v")))
        await repository.release_lease(lease)
        await lease_of(repository, owner="worker-2")
        assert await repository.get_cursors(OURS, CONTACT) == Cursors("l", "r", "v")

    async def test_many_tasks_may_read_and_write_at_once(self, repository: SyncRepository) -> None:
        async def work(entity_type: str) -> None:
            scope = (OURS, entity_type)
            lease = await lease_of(repository, scope)
            for number in range(5):
                page = tuple(link(f"{number}-{row}", scope) for row in range(20))
                await repository.acknowledge(lease, Acknowledgement(links=page, cursors=Cursors(str(number))))
                assert len(await ids_in(repository, scope)) == 20 * (number + 1)

        objects = [f"Object{number}" for number in range(8)]
        async with anyio.create_task_group() as tasks:
            for name in objects:
                tasks.start_soon(work, name)
        for name in objects:
            assert len(await ids_in(repository, (OURS, name))) == 100
            assert await repository.get_cursors(OURS, name) == Cursors("4")
