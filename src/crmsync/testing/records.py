"""The promises of `RecordStore` as tests, to be subclassed by whoever implements one.

    class TestShopStore(RecordStoreContract):
        @pytest.fixture
        async def subject(self, tmp_path):
            async with open_shop_store(tmp_path) as store:
                yield Subject(store, ShopOutsider(tmp_path))

and ``pytestmark = pytest.mark.anyio`` in the module. A promise that a store cannot keep is marked as an expected
failure with the reason (override the test, mark it, call ``super()``); it is never removed. To have pytest explain
failing assertions, name the modules ``crmsync.testing.records`` and ``crmsync.testing.record_reading`` in
``pytest.register_assert_rewrite`` in a ``conftest.py``.
"""

from __future__ import annotations

from importlib.util import find_spec

from crmsync.errors import CRMError, MissingExtraError, TransientError

if find_spec("pytest") is None:
    raise MissingExtraError("crmsync.testing.records", "testing")

import anyio
import attrs
import pytest

from crmsync.models.records import NO_KEY, Operation, OperationKind, OutcomeStatus
from crmsync.protocols.records import RecordStore
from crmsync.testing.record_reading import ReadingPromises
from crmsync.testing.record_subject import TEXTS, Outsider, Pass, Subject, ids_of, read_pass, write_all

__all__ = ["TEXTS", "Outsider", "Pass", "RecordStoreContract", "Subject", "ids_of", "read_pass"]


class RecordStoreContract(ReadingPromises):
    """Subclass, give a ``subject`` fixture, and override what differs: names of fields, ids, values."""

    async def test_case_18_texts_are_stored_and_read_back_as_they_are(self, subject: Subject) -> None:
        operations = [
            attrs.evolve(create, fields={**create.fields, self.text_field: text})
            for number, text in enumerate(self.texts)
            for create in [self.create(subject.store, number)]
        ]
        ids = ids_of(await write_all(subject.store, operations))
        got = await subject.store.get(ids, fields=self.fields)
        assert [got[record_id].fields[self.text_field] for record_id in ids] == list(self.texts)
        assert [await subject.outside.read(record_id, self.text_field) for record_id in ids] == list(self.texts)

    async def test_case_03_typed_values_are_stored_and_read_back_as_they_are(self, subject: Subject) -> None:
        [record_id] = await subject.outside.add([self.make_fields(1)])
        for field, values in self.typed_values.items():
            for value in values:
                [outcome] = await subject.store.write([self.update(record_id, {field: value})])
                assert outcome.status is OutcomeStatus.UPDATED, f"{field}: {outcome.error}"
                stored = (await subject.store.get([record_id], fields=[field]))[record_id].fields[field]
                assert (stored, type(stored)) == (value, type(value)), field

    async def test_there_is_one_outcome_for_each_operation_in_order(self, subject: Subject) -> None:
        ids = await self.seven(subject)
        operations = [
            self.update(ids[6], {self.text_field: "Six"}, "u6"),
            self.create(subject.store, 10, "c10"),
            Operation("d0", OperationKind.DELETE, ids[0]),
            self.update(self.unknown_id(1), {self.text_field: "Nobody"}, "unknown"),
            self.create(subject.store, 11, "c11"),
            Operation("d-unknown", OperationKind.DELETE, self.unknown_id(2)),
            self.update(ids[1], {self.text_field: "One"}, "u1"),
        ]
        outcomes = await write_all(subject.store, operations)
        assert [outcome.op_id for outcome in outcomes] == [operation.op_id for operation in operations]
        updated, created, deleted, missing = (
            OutcomeStatus.UPDATED,
            OutcomeStatus.CREATED,
            OutcomeStatus.DELETED,
            OutcomeStatus.MISSING,
        )
        assert [o.status for o in outcomes] == [updated, created, deleted, missing, created, missing, updated]
        assert [await subject.outside.read(ids[at], self.text_field) for at in (6, 1)] == ["Six", "One"]
        assert [outcomes[at].id for at in (0, 2, 6)] == [ids[6], ids[0], ids[1]]
        for at, number in ((1, 10), (4, 11)):
            assert outcomes[at].id is not None
            got = await subject.store.get([str(outcomes[at].id)], fields=self.fields)
            assert got[str(outcomes[at].id)].fields[self.text_field] == f"Person {number}"

    async def test_case_22_one_bad_row_hinders_no_other(self, subject: Subject) -> None:
        [record_id] = await subject.outside.add([self.make_fields(1)])
        operations = [
            self.bad_operation(subject.store, "bad-1"),
            self.create(subject.store, 2),
            self.bad_operation(subject.store, "bad-2"),
            self.update(record_id, {self.text_field: "Good"}),
        ]
        outcomes = await write_all(subject.store, operations)
        assert [outcome.ok for outcome in outcomes] == [False, True, False, True]
        for bad in (outcomes[0], outcomes[2]):
            assert bad.status is OutcomeStatus.FAILED
            assert isinstance(bad.error, CRMError)
            assert not isinstance(bad.error, TransientError)
        assert await subject.outside.read(record_id, self.text_field) == "Good"
        full = await read_pass(subject.store, None, self.fields)
        assert full.live_ids() == {record_id, str(outcomes[1].id)}

    async def test_case_07_an_update_changes_only_the_fields_it_names(self, subject: Subject) -> None:
        [record_id] = await subject.outside.add([self.make_fields(1)])
        await subject.store.write([self.update(record_id, {self.text_field: "New"})])
        assert await subject.outside.read(record_id, self.text_field) == "New"
        assert await subject.outside.read(record_id, self.email_field) == "person1@example.com"

    async def test_case_06_none_clears_a_field(self, subject: Subject) -> None:
        [record_id] = await subject.outside.add([self.make_fields(1)])
        [outcome] = await subject.store.write([self.update(record_id, {self.email_field: None})])
        assert outcome.ok
        record = (await subject.store.get([record_id], fields=self.fields))[record_id]
        assert (record.fields[self.email_field], record.fields[self.text_field]) == (None, "Person 1")

    async def test_updating_or_deleting_what_is_gone_is_missing(self, subject: Subject) -> None:
        [record_id] = await subject.outside.add([self.make_fields(1)])
        delete = Operation("delete", OperationKind.DELETE, record_id)
        statuses = []
        for operation in (delete, delete, self.update(record_id, {self.text_field: "Ghost"})):
            [outcome] = await subject.store.write([operation])
            statuses.append(outcome.status)
        assert statuses == [OutcomeStatus.DELETED, OutcomeStatus.MISSING, OutcomeStatus.MISSING]
        with pytest.raises(KeyError):
            await subject.outside.read(record_id, self.text_field)

    async def test_case_09_a_repeated_create_finds_its_earlier_attempt(self, subject: Subject) -> None:
        limits = subject.store.limits
        key = Operation("k", OperationKind.CREATE, None, key=self.make_key(5), fields=self.make_fields(5))
        chosen = Operation("i", OperationKind.CREATE, self.make_id(6), fields=self.make_fields(6))
        for create in (key,) * limits.external_key + (chosen,) * limits.accepts_ids:
            before = await read_pass(subject.store, None, self.fields)
            again = attrs.evolve(create, op_id="again", fields={**create.fields, self.text_field: "Again"})
            [first] = await subject.store.write([create])
            [second] = await subject.store.write([again])
            [third] = await subject.second.write([again])
            assert first.status is OutcomeStatus.CREATED
            assert second.status is third.status is OutcomeStatus.UPDATED
            assert first.id == second.id == third.id
            assert await subject.outside.read(str(first.id), self.text_field) == "Again"
            after = await read_pass(subject.store, None, self.fields)
            assert after.live_ids() - before.live_ids() == {str(first.id)}

    async def test_a_key_moves_to_another_record_once_it_is_taken_away(self, subject: Subject) -> None:
        if not subject.store.limits.external_key:
            return
        key = self.make_key(5)
        create = Operation("k", OperationKind.CREATE, None, key=key, fields=self.make_fields(5))
        [first, second] = await write_all(subject.store, [create, self.create(subject.store, 6)])
        for record_id, given, bearers in ((first.id, NO_KEY, []), (second.id, key, [second.id])):
            [outcome] = await subject.store.write([Operation("u", OperationKind.UPDATE, record_id, key=given)])
            assert outcome.status is OutcomeStatus.UPDATED
            found = await subject.store.find_by_key([key], fields=self.fields)
            assert [record.id for record in found] == bearers
        assert await subject.outside.read(str(first.id), self.text_field) == "Person 5"

    async def test_case_08_the_same_key_twice_in_a_batch_makes_one_record(self, subject: Subject) -> None:
        limits = subject.store.limits
        twice = Operation("a", OperationKind.CREATE, None, key=self.make_key(5), fields=self.make_fields(5))
        if not limits.external_key:
            twice = Operation("a", OperationKind.CREATE, self.make_id(5), fields=self.make_fields(5))
        if not (limits.external_key or limits.accepts_ids):
            return
        outcomes = await subject.store.write([twice, self.create(subject.store, 6), attrs.evolve(twice, op_id="b")])
        full = await read_pass(subject.store, None, self.fields)
        made = [outcome.id for outcome in outcomes if outcome.ok]
        assert full.live_ids() == set(made)
        assert len(full.live_ids()) == 2

    async def test_what_is_said_to_be_stored_is_what_is_stored(self, subject: Subject) -> None:
        [record_id] = await subject.outside.add([self.make_fields(1)])
        operations = [self.create(subject.store, 2), self.update(record_id, {self.text_field: "New"})]
        for outcome in await write_all(subject.store, operations):
            if outcome.stored is None:
                continue
            assert outcome.stored.id == outcome.id
            got = (await subject.store.get([str(outcome.id)], fields=list(outcome.stored.fields)))[str(outcome.id)]
            assert dict(got.fields) == dict(outcome.stored.fields)
            assert (got.version, got.modified_at) == (outcome.stored.version, outcome.stored.modified_at)

    async def test_a_full_batch_is_taken(self, subject: Subject) -> None:
        size = min(subject.store.limits.write_batch, 500)
        outcomes = await subject.store.write([self.create(subject.store, number) for number in range(size)])
        assert len(set(ids_of(outcomes))) == size

    async def test_writing_nothing_is_answered_by_nothing(self, subject: Subject) -> None:
        assert list(await subject.store.write([])) == []

    # --- concurrency

    async def test_concurrent_calls_lose_nothing(self, subject: Subject) -> None:
        made: list[str] = []
        ids = await self.seven(subject)

        async def create(store: RecordStore, numbers: range) -> None:
            for number in numbers:
                made.extend(ids_of(await store.write([self.create(store, number)])))

        async def update(store: RecordStore, record_id: str) -> None:
            await store.write([self.update(record_id, {self.text_field: f"New {record_id}"})])

        async with anyio.create_task_group() as tasks:
            for worker in range(4):
                store = subject.store if worker % 2 else subject.second
                tasks.start_soon(create, store, range(100 + worker * 10, 103 + worker * 10))
                tasks.start_soon(update, store, ids[worker])
                tasks.start_soon(read_pass, subject.store, None, self.fields, 2)
        full = await read_pass(subject.store, None, self.fields, 3)
        assert full.live_ids() == {*ids, *made}
        assert len(made) == len(set(made)) == 12
        for record_id in ids[:4]:
            assert full.newest()[record_id].fields[self.text_field] == f"New {record_id}"
