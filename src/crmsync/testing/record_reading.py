"""The promises of `RecordStore` about reading, as tests. Part of `RecordStoreContract`."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crmsync.errors import CursorExpiredError
from crmsync.models.records import Operation, OperationKind
from crmsync.testing.record_subject import RecordStoreSetting, Subject, first_page, read_pass


class ReadingPromises(RecordStoreSetting):
    """Describe, changes, get, find."""

    async def test_describes_the_object_with_its_fields(self, subject: Subject) -> None:
        schema = await subject.store.describe()
        assert schema.name == subject.store.name
        missing = [name for name in self.fields if schema.field(name) is None]
        assert schema.open or not missing, f"not described: {missing}"

    async def test_limits_are_usable(self, subject: Subject) -> None:
        limits = subject.store.limits
        counts = (limits.write_batch, limits.concurrent_writes, limits.read_page, limits.find_batch)
        assert min(counts) >= 1
        assert limits.look_back >= timedelta(0) < limits.time_precision

    # --- passes

    async def test_a_pass_over_nothing_ends_at_once_and_its_cursor_leads_on(self, subject: Subject) -> None:
        empty = await read_pass(subject.store, None, self.fields)
        assert empty.records == []
        [added] = await subject.outside.add([self.make_fields(1)])
        assert added in (await read_pass(subject.store, empty.cursor, self.fields)).live_ids()

    async def test_case_16_a_first_pass_delivers_each_of_many_ties_once_at_any_limit(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        for limit in self.limits_tried:
            full = await read_pass(subject.store, None, self.fields, limit)
            assert sorted(record.id for record in full.records) == sorted(ids), f"limit {limit}"
            assert limit is None or max(full.sizes) <= limit, f"limit {limit}: pages of {full.sizes}"

    async def test_case_16_a_later_pass_delivers_every_tie_at_any_limit(self, subject: Subject) -> None:
        start = await read_pass(subject.store, None, self.fields)
        ids = await self.seven(subject)
        for limit in self.limits_tried:
            later = await read_pass(subject.store, start.cursor, self.fields, limit)
            assert later.live_ids() == set(ids), f"limit {limit}"

    async def test_records_hold_the_fields_asked_for_with_their_values(self, subject: Subject) -> None:
        [added] = await subject.outside.add([self.make_fields(1)])
        [record] = (await read_pass(subject.store, None, self.fields)).records
        assert (record.id, record.deleted) == (added, False)
        assert {name: record.fields[name] for name in self.make_fields(1)} == self.make_fields(1)
        assert record.modified_at is None or record.modified_at.utcoffset() == timedelta(0)
        [narrow] = (await read_pass(subject.store, None, [self.text_field])).records
        assert dict(narrow.fields) == {self.text_field: self.make_fields(1)[self.text_field]}

    async def test_a_pass_without_news_ends_and_invents_nothing(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        first = await read_pass(subject.store, None, self.fields)
        for limit in self.limits_tried:
            again = await read_pass(subject.store, first.cursor, self.fields, limit)
            assert again.live_ids() <= set(ids)
            assert not any(record.deleted for record in again.records)

    async def test_an_outsiders_edit_is_delivered_with_its_new_value(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        first = await read_pass(subject.store, None, self.fields)
        await subject.outside.edit(ids[3], {self.text_field: "Edited"})
        for limit in self.limits_tried:
            record = (await read_pass(subject.store, first.cursor, self.fields, limit)).newest()[ids[3]]
            assert record.fields[self.text_field] == "Edited"
            assert record.modified_by_self is not True

    async def test_our_own_writes_are_delivered_and_not_taken_for_an_outsiders(self, subject: Subject) -> None:
        first = await read_pass(subject.store, None, self.fields)
        [outcome] = await subject.store.write([self.create(subject.store, 1)])
        assert outcome.id is not None
        record = (await read_pass(subject.store, first.cursor, self.fields)).newest()[outcome.id]
        assert record.fields[self.text_field] == self.make_fields(1)[self.text_field]
        assert record.modified_by_self is not False

    async def test_version_changes_whenever_the_record_does(self, subject: Subject) -> None:
        [added] = await subject.outside.add([self.make_fields(1)])
        before = (await subject.store.get([added], fields=self.fields))[added]
        await subject.outside.edit(added, {self.text_field: "Edited"})
        after = (await subject.store.get([added], fields=self.fields))[added]
        assert before.version is None or before.version != after.version

    async def test_the_same_cursor_answers_the_same_again(self, subject: Subject) -> None:
        await self.seven(subject)
        page = await first_page(subject.store, self.fields, 3)
        once = await read_pass(subject.store, page.cursor, self.fields, 3)
        again = await read_pass(subject.store, page.cursor, self.fields, 3)
        assert [record.id for record in once.records] == [record.id for record in again.records]

    async def test_passes_may_be_interleaved_and_carried_to_another_store(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        cursors: list[str | None] = [None, None]
        seen: list[set[str]] = [set(), set()]
        stores = (subject.store, subject.second)
        unfinished = {0, 1}
        for turn in range(40):
            for which in tuple(unfinished):
                page = await stores[(turn + which) % 2].changes(cursors[which], fields=self.fields, limit=which + 1)
                seen[which] |= {record.id for record in page.records}
                cursors[which] = page.cursor
                unfinished -= set() if page.has_more else {which}
        assert not unfinished
        assert seen == [set(ids), set(ids)]

    async def test_an_edit_during_a_pass_hides_no_record_of_it(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        page = await first_page(subject.store, self.fields, 2)
        read = {record.id for record in page.records}
        unread = [record_id for record_id in ids if record_id not in read]
        for record_id in (min(read), unread[0], unread[-1]):
            await subject.outside.edit(record_id, {self.text_field: f"Edited {record_id}"})
        rest = await read_pass(subject.store, page.cursor, self.fields, 2)
        assert read | rest.live_ids() == set(ids)

    async def test_a_removal_during_a_pass_hides_no_other_record(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        page = await first_page(subject.store, self.fields, 2)
        gone = page.records[0].id
        await subject.outside.remove(gone)
        rest = await read_pass(subject.store, page.cursor, self.fields, 2)
        assert {record.id for record in (*page.records, *rest.records)} - {gone} == set(ids) - {gone}

    async def test_what_happens_during_a_pass_is_delivered_in_it_or_in_the_next(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        page = await first_page(subject.store, self.fields, 2)
        [added] = await subject.outside.add([self.make_fields(20)])
        await subject.outside.edit(ids[0], {self.text_field: "Edited"})
        rest = await read_pass(subject.store, page.cursor, self.fields, 2)
        later = await read_pass(subject.store, rest.cursor, self.fields, 2)
        newest = {**rest.newest(), **later.newest()}
        assert added in newest
        assert newest[ids[0]].fields[self.text_field] == "Edited"

    async def test_case_17_a_record_that_becomes_visible_late_is_delivered(self, subject: Subject) -> None:
        await self.seven(subject)
        first = await read_pass(subject.store, None, self.fields)
        late = await subject.outside.add_late(self.make_fields(30))
        assert late in (await read_pass(subject.store, first.cursor, self.fields, 2)).live_ids()

    async def test_case_17_a_record_that_becomes_visible_behind_a_running_pass_is_delivered(
        self, subject: Subject
    ) -> None:
        ids = await self.seven(subject)
        page = await first_page(subject.store, self.fields, 4)
        late = await subject.outside.add_late(self.make_fields(30))
        await subject.outside.edit(ids[0], {self.text_field: "Edited"})
        rest = await read_pass(subject.store, page.cursor, self.fields, 2)
        later = await read_pass(subject.store, rest.cursor, self.fields, 2)
        assert late in rest.live_ids() | later.live_ids()

    async def test_case_20_only_a_pass_that_enumerated_everything_is_a_complete_scan(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        first = await read_pass(subject.store, None, self.fields, 3)
        assert first.live_ids() == set(ids)
        assert first.complete_scan or subject.store.limits.change_feed
        for edited in (None, ids[0]):
            if edited is not None:
                await subject.outside.edit(edited, {self.text_field: "Edited"})
            later = await read_pass(subject.store, first.cursor, self.fields, 3)
            assert not later.complete_scan or later.live_ids() == set(ids)

    async def test_a_removal_shows_as_deleted_or_as_absence_from_a_complete_scan(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        first = await read_pass(subject.store, None, self.fields)
        await subject.outside.remove(ids[2])
        later = await read_pass(subject.store, first.cursor, self.fields)
        if ids[2] in later.newest():
            assert later.newest()[ids[2]].deleted
            return
        scan = later if later.complete_scan else await read_pass(subject.store, None, self.fields)
        assert scan.complete_scan
        assert scan.live_ids() == set(ids) - {ids[2]}

    async def test_a_cursor_of_nobodys_is_expired(self, subject: Subject) -> None:
        for cursor in ("", "nonsense", "[]", '{"a": 1}', "0" * 200):
            with pytest.raises(CursorExpiredError):
                await subject.store.changes(cursor, fields=self.fields)

    # --- get, find

    async def test_get_answers_by_id_for_any_number_of_ids(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        strangers = [self.unknown_id(number) for number in range(1200)]
        found = await subject.store.get([*strangers, *ids, ids[0]], fields=self.fields)
        assert set(found) == set(ids)
        assert found[ids[4]].fields[self.email_field] == "person4@example.com"
        assert await subject.store.get([], fields=self.fields) == {}

    async def test_get_and_find_leave_out_what_was_removed(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        await subject.outside.remove(ids[1])
        assert await subject.store.get([ids[1]], fields=self.fields) == {}
        assert list(await subject.store.find(self.email_field, ["person1@example.com"], fields=self.fields)) == []

    async def test_find_ignores_the_case_of_an_email(self, subject: Subject) -> None:
        [added] = await subject.outside.add([{**self.make_fields(1), self.email_field: "Mixed.Case@Example.com"}])
        for asked in ("mixed.case@example.com", "MIXED.CASE@EXAMPLE.COM", "Mixed.Case@Example.com"):
            found = await subject.store.find(self.email_field, [asked], fields=self.fields)
            assert [record.id for record in found] == [added], asked

    async def test_case_13_find_returns_every_match_and_each_once(self, subject: Subject) -> None:
        twin = {**self.make_fields(1), self.email_field: "twin@example.com"}
        ids = await subject.outside.add([twin, twin, self.make_fields(2)])
        asked = ["twin@example.com", "TWIN@example.com", "twin@example.com"]
        found = await subject.store.find(self.email_field, asked, fields=self.fields)
        assert sorted(record.id for record in found) == sorted(ids[:2])

    async def test_find_takes_any_number_of_values(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        values = [f"person{number}@example.com" for number in range(1500)]
        found = await subject.store.find(self.email_field, values, fields=self.fields)
        assert sorted(record.id for record in found) == sorted(ids)
        assert list(await subject.store.find(self.email_field, [], fields=self.fields)) == []

    async def test_case_18_find_takes_values_literally(self, subject: Subject) -> None:
        records = [{**self.make_fields(number), self.text_field: text} for number, text in enumerate(self.texts)]
        ids = await subject.outside.add(records)
        for record_id, text in zip(ids, self.texts, strict=True):
            found = await subject.store.find(self.text_field, [text], fields=self.fields)
            assert [record.id for record in found] == [record_id], text
            assert found[0].fields[self.text_field] == text
        for stranger in ("%", "_", "*", "' OR 1=1 --", "Person", "\\"):
            assert list(await subject.store.find(self.text_field, [stranger], fields=self.fields)) == [], stranger

    async def test_find_by_key_finds_by_external_key_or_nothing(self, subject: Subject) -> None:
        create = Operation("a", OperationKind.CREATE, None, key=self.make_key(1), fields=self.make_fields(1))
        if subject.store.limits.external_key:
            [outcome] = await subject.store.write([create])
            [found] = await subject.store.find_by_key([self.make_key(1), self.make_key(2)], fields=self.fields)
            assert (found.id, found.key) == (outcome.id, self.make_key(1))
        strangers = [self.make_key(number) for number in range(100, 1400)]
        assert list(await subject.store.find_by_key(strangers, fields=self.fields)) == []
