"""The contact-level verbs over stores that refuse, fail, hide and restrict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from crmsync.errors import ConversionError, CRMError, MappingError, RejectedError, SchemaChangedError, UnavailableError
from crmsync.models.contacts import CRMContact
from crmsync.models.mappings import (
    ComputedField,
    Enforcement,
    FieldMapping,
    ObjectMapping,
    SyncDirection,
    ValidationRule,
    two_way,
)
from crmsync.models.records import Operation, Outcome, Side, StoreLimits
from crmsync.models.results import CRMSyncResult, SyncAction
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.records import RecordStore
from crmsync.providers.contact_verbs import ContactVerbs
from crmsync.testing.memory_records import MemoryRecordStore

pytestmark = pytest.mark.anyio

FIELDS = (
    FieldSchema(name="Email", type=FieldType.EMAIL),
    FieldSchema(name="First", length=10),
    FieldSchema(name="Last", required=True),
    FieldSchema(name="Tags", type=FieldType.TAGS),
    FieldSchema(name="Total__c", type=FieldType.INTEGER, custom=True, createable=False, updateable=False),
    FieldSchema(name="Source__c", custom=True, updateable=False),
    FieldSchema(name="Note"),
)
MAPPING = (
    two_way("email", "Email"),
    two_way("first_name", "First"),
    two_way("last_name", "Last"),
    two_way("company", "Employer"),
    two_way("tags", "Tags", namespace="mm-"),
)


class RecordingStore(MemoryRecordStore):
    """Remembers what was asked of it."""

    def __init__(self, *, fail_at: int | None = None, **options: Any) -> None:
        super().__init__("Person", schema=options.pop("schema", ObjectSchema(name="Person", fields=FIELDS)), **options)
        self.written: list[list[Operation]] = []
        self.finds = 0
        self._fail_at = fail_at

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        self.written.append(list(operations))
        if self._fail_at == len(self.written):
            raise UnavailableError("the CRM does not answer")
        return await super().write(operations)

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Any:
        self.finds += 1
        return await super().find(field, values, fields=fields)


class Verbs(ContactVerbs):
    provider_name = "tested"
    contact_object = "Person"

    def __init__(self, store: RecordingStore, fields: tuple[FieldMapping, ...] = MAPPING) -> None:
        super().__init__()
        self._stores = {"Person": store}
        self._fields = fields

    async def records(self, object_name: str) -> RecordStore:
        if object_name not in self._stores:
            raise SchemaChangedError("no such object")
        return self._stores[object_name]

    def contact_mapping(self) -> ObjectMapping:
        return ObjectMapping(fields=self._fields)


def person(number: int, **changes: object) -> CRMContact:
    return CRMContact.model_validate({"email": f"p{number}@example.com", "last_name": f"Last {number}", **changes})


def refusing(match: Callable[[Mapping[str, object]], bool], error: CRMError) -> Callable[[Operation], CRMError | None]:
    return lambda operation: error if match(operation.fields) else None


def failure(result: CRMSyncResult) -> tuple[str | None, bool]:
    assert result.action is SyncAction.FAILED, result
    return result.code, result.retryable


async def test_only_what_changed_is_written_and_one_find_serves_a_batch() -> None:
    store = RecordingStore()
    verbs = Verbs(store)
    await verbs.bulk_sync_contacts([person(number, first_name="A") for number in range(5)])
    bulk = await verbs.bulk_sync_contacts(
        [person(number, first_name="B" if number == 3 else "A") for number in range(5)]
    )
    assert [result.action for result in bulk.results].count(SyncAction.UNCHANGED) == 4
    [operation] = store.written[-1]
    assert operation.fields == {"First": "B"}
    assert (store.finds, len(store.written)) == (2, 2)


async def test_an_attribute_without_a_field_fails_unless_it_is_empty() -> None:
    verbs = Verbs(RecordingStore())
    assert (await verbs.sync_contact(person(1, company=None))).success
    result = await verbs.sync_contact(person(2, company="Acme"))
    assert failure(result) == ("unmapped_field", False)
    assert "company" in str(result.error)
    assert "Acme" not in str(result.error)


async def test_a_custom_field_that_is_not_there_fails_by_name() -> None:
    result = await Verbs(RecordingStore()).sync_contact(person(1, custom_fields={"Nope": None}))
    assert failure(result) == ("unmapped_field", False)
    assert "Nope" in str(result.error)


async def test_a_value_that_does_not_fit_fails_with_its_loss_and_field() -> None:
    store = RecordingStore()
    result = await Verbs(store).sync_contact(person(1, first_name="x" * 11))
    assert failure(result) == ("truncated", False)
    assert "First" in str(result.error)
    assert store.written == []


async def test_a_standard_field_can_be_written_as_a_custom_one() -> None:
    store = RecordingStore()
    await Verbs(store).sync_contact(person(1, custom_fields={"Note": "hello"}))
    got = await Verbs(store).get_contact("p1@example.com")
    assert got is not None
    assert got.custom_fields["Note"] == "hello"


async def test_a_read_only_field_fails_only_when_it_would_change() -> None:
    store = RecordingStore()
    store.add(Email="p1@example.com", Last="Last 1", Total__c=5)
    verbs = Verbs(store)
    got = await verbs.get_contact("p1@example.com")
    assert got is not None
    assert got.custom_fields["Total__c"] == 5
    assert (await verbs.sync_contact(got)).action is SyncAction.UNCHANGED
    changed = await verbs.sync_contact(got.model_copy(update={"custom_fields": {"Total__c": 6}}))
    assert failure(changed) == ("not_writable", False)


async def test_a_field_that_only_a_create_may_give_fails_when_an_update_would_change_it() -> None:
    store = RecordingStore()
    verbs = Verbs(store)
    assert (await verbs.sync_contact(person(1, custom_fields={"Source__c": "web"}))).action is SyncAction.CREATED
    assert (await verbs.sync_contact(person(1, custom_fields={"Source__c": "web"}))).action is SyncAction.UNCHANGED
    assert failure(await verbs.sync_contact(person(1, custom_fields={"Source__c": "ad"}))) == ("not_writable", False)


async def test_elements_outside_the_namespace_stay() -> None:
    store = RecordingStore()
    store.add(Email="p1@example.com", Last="Last 1", Tags=("theirs", "mm-old"))
    await Verbs(store).sync_contact(person(1, tags=("mm-new",)))
    [fields] = store.snapshot().values()
    assert set(fields["Tags"]) == {"theirs", "mm-new"}  # type: ignore[call-overload]


async def test_what_the_mapping_wishes_is_kept_without_a_failure() -> None:
    fields = (
        two_way("email", "Email"),
        two_way("last_name", "Last", to_crm=Enforcement.FILL_BLANK),
        two_way("first_name", "First", to_crm=Enforcement.CREATE_ONLY),
    )
    store = RecordingStore()
    store.add(Email="p1@example.com", Last="Theirs", First=None)
    result = await Verbs(store, fields).sync_contact(person(1, first_name="Late"))
    assert result.action is SyncAction.UNCHANGED
    made = await Verbs(store, fields).sync_contact(person(2, first_name="New"))
    assert store.snapshot()[str(made.crm_id)] == {"Email": "p2@example.com", "Last": "Last 2", "First": "New"}


async def test_a_create_takes_defaults_and_needs_what_is_required() -> None:
    fields = (
        two_way("email", "Email"),
        two_way("first_name", "First", default="Friend"),
        two_way("last_name", "Last", required=True),
    )
    store = RecordingStore()
    verbs = Verbs(store, fields)
    bulk = await verbs.bulk_sync_contacts([person(1), CRMContact(email="p2@example.com")])
    assert [result.success for result in bulk.results] == [True, False]
    assert failure(bulk.results[1]) == ("required", False)
    assert store.snapshot()[str(bulk.results[0].crm_id)]["First"] == "Friend"
    assert failure(await verbs.sync_contact(person(1, last_name=None))) == ("required", False)
    assert (await verbs.sync_contact(CRMContact(email="p1@example.com", first_name="Ann"))).success


async def test_case_22_a_row_that_the_store_refuses_fails_with_its_code_and_no_other() -> None:
    refusal = refusing(
        lambda fields: fields.get("Last") == "Last 1", RejectedError("not allowed", code="rule", field="Last")
    )
    bulk = await Verbs(RecordingStore(reject=refusal)).bulk_sync_contacts([person(number) for number in range(3)])
    assert [result.success for result in bulk.results] == [True, False, True]
    assert failure(bulk.results[1]) == ("rule", False)


async def test_a_row_that_may_be_sent_again_is_retryable() -> None:
    busy = refusing(bool, UnavailableError("locked"))
    result = await Verbs(RecordingStore(reject=busy)).sync_contact(person(1))
    assert failure(result) == ("unavailable", True)


async def test_a_call_that_fails_before_anything_took_effect_raises() -> None:
    with pytest.raises(UnavailableError):
        await Verbs(RecordingStore(fail_at=1)).bulk_sync_contacts([person(1)])


async def test_a_call_that_fails_later_leaves_the_results_of_those_before() -> None:
    store = RecordingStore(fail_at=2, limits=StoreLimits(write_batch=2))
    bulk = await Verbs(store).bulk_sync_contacts([person(number) for number in range(5)])
    assert [result.success for result in bulk.results] == [True, True, False, False, True]
    assert failure(bulk.results[2]) == ("unavailable", True)


async def test_case_08_inputs_take_effect_in_their_order() -> None:
    store = RecordingStore()
    first = store.add(Email="p1@example.com", Last="Last 1")
    moved = person(1, id=first, email="new@example.com")
    stranger = person(1, last_name="Stranger")
    again = CRMContact(email="NEW@example.com", first_name="Again")
    bulk = await Verbs(store).bulk_sync_contacts([moved, stranger, again])
    assert [result.crm_id == first for result in bulk.results] == [True, False, True]
    assert store.snapshot()[first] == {"Email": "NEW@example.com", "Last": "Last 1", "First": "Again"}
    by_email = {fields["Email"]: fields for fields in store.snapshot().values()}
    assert by_email["p1@example.com"]["Last"] == "Stranger"


async def test_case_08_a_bad_first_input_does_not_hinder_the_second_of_the_same_person() -> None:
    store = RecordingStore()
    bulk = await Verbs(store).bulk_sync_contacts([person(1, first_name="x" * 11), person(1, first_name="ok")])
    assert [result.action for result in bulk.results] == [SyncAction.FAILED, SyncAction.CREATED]
    assert len(store) == 1


async def test_an_open_object_takes_fields_that_it_does_not_list() -> None:
    store = RecordingStore(schema=ObjectSchema(name="Person", open=True))
    verbs = Verbs(store)
    await verbs.sync_contact(person(1))
    assert (await verbs.sync_contact(person(1, custom_fields={"Colour": "red"}))).action is SyncAction.UPDATED
    got = await verbs.get_contact("p1@example.com")
    assert got is not None
    assert got.custom_fields == {"Colour": "red"}


async def test_a_record_that_is_no_contact_is_named_by_field_and_not_told() -> None:
    store = RecordingStore(schema=ObjectSchema(name="Person", open=True))
    store.add(Email="no-address", Last="Secret")
    with pytest.raises(ConversionError, match="email") as caught:
        await Verbs(store).get_contact("no-address")
    assert "no-address" not in str(caught.value)


async def test_a_crm_without_an_email_field_cannot_be_mapped() -> None:
    store = RecordingStore(schema=ObjectSchema(name="Person", fields=(FieldSchema(name="Last"),)))
    with pytest.raises(MappingError):
        await Verbs(store).get_contact("p1@example.com")


async def test_mapped_custom_fields_create_records_only_if_they_cover_what_is_required() -> None:
    verbs = Verbs(RecordingStore())
    note = two_way("note", "Note")
    assert (await verbs.map_custom_fields([note], "Person")).create_in_crm is False
    assert (await verbs.map_custom_fields([note, two_way("last", "Last")], "Person")).create_in_crm is True
    inward = two_way("last", "Last", sync_direction=SyncDirection.FROM_CRM)
    assert (await verbs.map_custom_fields([note, inward], "Person")).create_in_crm is False
    with pytest.raises(MappingError) as caught:
        await verbs.map_custom_fields([two_way("a", "Nope"), note, two_way("b", "Nada")], "Person")
    assert [problem.path for problem in caught.value.problems] == ["fields[0].crm_field", "fields[2].crm_field"]


class Computing(Verbs):
    """Its mapping has parts that are written for the application's records, and not for contacts."""

    def contact_mapping(self) -> ObjectMapping:
        return ObjectMapping(
            fields=(*self._fields, two_way("first_name", "initial"), two_way("shout", "Note")),
            computed=(
                ComputedField(side=Side.REMOTE, name="initial", expression="left(First, 1)"),
                ComputedField(side=Side.LOCAL, name="shout", expression="upper(plan)"),
            ),
            validation=(ValidationRule(field="plan", required=True),),
        )


async def test_the_verbs_leave_computed_fields_and_rules_of_the_local_side_out() -> None:
    store = RecordingStore()
    verbs = Computing(store)
    created = await verbs.sync_contact(CRMContact(email="ada@example.org", first_name="Ada", last_name="Lovelace"))
    assert created.action is SyncAction.CREATED
    [record] = store.snapshot().values()
    assert (record["First"], record["Last"]) == ("Ada", "Lovelace")
    found = await verbs.get_contact("ada@example.org")
    assert found is not None
    assert found.first_name == "Ada"
