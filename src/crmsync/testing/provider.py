"""The promises of `CRMProvider` as tests, to be subclassed by whoever implements one.

    class TestShop(ProviderContract):
        @asynccontextmanager
        async def open(self):
            async with ShopFactory().open(settings, credentials, self.context()) as provider:
                yield provider

and ``pytestmark = pytest.mark.anyio`` in the module. A feature that the provider does not declare is not tested, only
that its verb says so. A promise that a provider cannot keep is marked as an expected failure with the reason (override
the test, mark it, call ``super()``); it is never removed. To have pytest explain failing assertions, name the module
``crmsync.testing.provider`` in ``pytest.register_assert_rewrite`` in a ``conftest.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from importlib.util import find_spec

from crmsync.errors import ConfigurationError, ConflictError, MappingError, MissingExtraError, SchemaChangedError

if find_spec("pytest") is None:
    raise MissingExtraError("crmsync.testing.provider", "testing")


import anyio
import pytest

from crmsync.models.campaigns import CRMCampaign
from crmsync.models.contacts import CRMContact, CRMList
from crmsync.models.mappings import ConflictPolicy, FieldMapping
from crmsync.models.results import CRMFeature, SyncAction
from crmsync.protocols.provider import CRMProvider
from crmsync.testing.provider_subject import MISFIT, ProviderSetting

CREATED, UPDATED, UNCHANGED = SyncAction.CREATED, SyncAction.UPDATED, SyncAction.UNCHANGED
FAILED, DELETED = SyncAction.FAILED, SyncAction.DELETED

__all__ = ["MISFIT", "ProviderContract"]


class ProviderContract(ProviderSetting):
    """Subclass, override `open`, and what else differs."""

    # --- the connection

    async def test_it_is_a_provider_with_a_name(self) -> None:
        async with self.open() as provider:
            assert isinstance(provider, CRMProvider)
            assert provider.provider_name
            assert provider.provider_name == provider.provider_name.strip().lower()

    async def test_it_says_of_every_feature_whether_it_has_it(self) -> None:
        async with self.open() as provider:
            assert {type(provider.supports_feature(feature)) for feature in CRMFeature} == {bool}
            assert provider.supports_feature(CRMFeature.CONTACTS)

    async def test_testing_the_connection_changes_nothing(self) -> None:
        async with self.open() as provider:
            assert (await provider.test_connection()).ok
            assert await self.emails(provider) == []

    async def test_no_secret_shows(self) -> None:
        async with self.open() as provider:
            shown = f"{provider!r} {provider} {await provider.test_connection()!r}"
            assert [secret for secret in self.secrets if secret in shown] == []

    async def test_an_object_that_is_not_there_is_a_changed_schema(self) -> None:
        async with self.open() as provider:
            with pytest.raises(SchemaChangedError):
                await provider.records("NoSuchObject")

    async def test_a_store_is_the_object_asked_for_and_keeps_keys_as_declared(self) -> None:
        async with self.open() as provider:
            store = await provider.records(self.contact_object)
            assert store.name == (await store.describe()).name == self.contact_object
            assert store.limits.external_key is provider.supports_feature(CRMFeature.EXTERNAL_KEY)

    # --- one contact

    async def test_a_contact_is_created_and_read_back(self) -> None:
        async with self.open() as provider:
            assert await provider.get_contact("person1@example.com") is None
            result = await provider.sync_contact(self.contact(1))
            got = await provider.get_contact("person1@example.com")
            assert result.action is CREATED, result
            assert got is not None
            assert got.id == result.crm_id is not None
            assert (got.email, got.first_name, got.last_name) == ("person1@example.com", "First 1", "Last 1")

    async def test_case_18_texts_are_kept_as_they_are(self) -> None:
        async with self.open() as provider:
            for number, name in enumerate(("O'Brien", 'say "hi"', "back\\slash", "a;b,c", "NA", "Łukasz Ω", "=1+1")):
                await provider.sync_contact(self.contact(number, last_name=name))
                got = await provider.get_contact(f"person{number}@example.com")
                assert got is not None
                assert got.last_name == name

    async def test_an_email_is_found_whatever_the_case(self) -> None:
        async with self.open() as provider:
            first = await provider.sync_contact(self.contact(1, email="Person.One@Example.com"))
            again = await provider.sync_contact(self.contact(1, email="person.one@example.COM"))
            got = await provider.get_contact("PERSON.ONE@example.com")
            assert got is not None
            assert got.id == first.crm_id == again.crm_id
            assert await self.emails(provider) == ["person.one@example.com"]

    async def test_case_08_syncing_again_makes_no_second_contact(self) -> None:
        async with self.open() as provider:
            first = await provider.sync_contact(self.contact(1))
            again = await provider.sync_contact(self.contact(1))
            assert (again.action, again.crm_id) == (UNCHANGED, first.crm_id)
            assert await self.emails(provider) == ["person1@example.com"]

    async def test_case_07_what_was_not_given_is_left_as_it_is(self) -> None:
        async with self.open() as provider:
            await provider.sync_contact(self.contact(1))
            changed = await provider.sync_contact(CRMContact(email="person1@example.com", first_name="New"))
            got = await provider.get_contact("person1@example.com")
            assert changed.action is UPDATED, changed
            assert got is not None
            assert (got.first_name, got.last_name) == ("New", "Last 1")

    async def test_case_06_none_clears(self) -> None:
        async with self.open() as provider:
            await provider.sync_contact(self.contact(1))
            await provider.sync_contact(CRMContact(email="person1@example.com", first_name=None))
            got = await provider.get_contact("person1@example.com")
            assert got is not None
            assert (got.first_name, got.last_name) == (None, "Last 1")

    async def test_a_contact_that_was_read_is_unchanged_when_it_is_written(self) -> None:
        async with self.open() as provider:
            await provider.sync_contact(self.contact(1))
            got = await provider.get_contact("person1@example.com")
            assert got is not None
            assert (await provider.sync_contact(got)).action is UNCHANGED
            assert (await provider.update_contact(got)).action is UNCHANGED

    async def test_the_id_goes_before_the_email(self) -> None:
        async with self.open() as provider:
            first = await provider.sync_contact(self.contact(1))
            moved = await provider.sync_contact(self.contact(1, id=first.crm_id, email="moved@example.com"))
            assert (moved.action, moved.crm_id) == (UPDATED, first.crm_id)
            assert await self.emails(provider) == ["moved@example.com"]

    async def test_an_update_makes_no_contact(self) -> None:
        async with self.open() as provider:
            first = await provider.sync_contact(self.contact(1))
            assert first.crm_id is not None
            updated = await provider.update_contact(self.contact(1, first_name="New"))
            assert (updated.action, updated.crm_id) == (UPDATED, first.crm_id)
            await provider.delete_contact(first.crm_id)
            for contact in (self.contact(2), self.contact(1), self.contact(1, id=first.crm_id)):
                result = await provider.update_contact(contact)
                assert (result.action, result.code, result.retryable) == (FAILED, "not_found", False)
            assert await self.emails(provider) == []

    async def test_a_deleted_contact_is_gone_and_stays_gone(self) -> None:
        async with self.open() as provider:
            kept, first = [await provider.sync_contact(self.contact(number)) for number in (1, 2)]
            assert kept.crm_id != first.crm_id
            actions = [(await provider.delete_contact(str(first.crm_id))).action for _ in range(2)]
            assert actions == [DELETED, UNCHANGED]
            assert await provider.get_contact("person2@example.com") is None
            assert await self.emails(provider) == ["person1@example.com"]

    async def test_case_13_of_two_contacts_with_an_email_none_is_picked(self) -> None:
        async with self.open() as provider:
            ids = {await self.add_contact(provider, "twin@example.com") for _ in range(2)}
            with pytest.raises(ConflictError) as caught:
                await provider.get_contact("twin@example.com")
            assert set(caught.value.candidates) == ids
            for verb in (provider.sync_contact, provider.update_contact):
                result = await verb(self.contact(1, email="twin@example.com"))
                assert (result.action, result.code, result.retryable) == (FAILED, "ambiguous", False)
            chosen = min(ids)
            by_id = await provider.sync_contact(self.contact(1, id=chosen, email="one@example.com"))
            assert (by_id.action, by_id.crm_id) == (UPDATED, chosen)
            assert await self.emails(provider) == ["one@example.com", "twin@example.com"]

    async def test_what_the_crm_cannot_hold_fails_and_is_not_told(self) -> None:
        async with self.open() as provider:
            result = await provider.sync_contact(self.misfit(1))
            assert (result.action, result.success, result.retryable) == (FAILED, False, False)
            assert result.code
            assert result.error
            assert MISFIT not in result.error
            assert await self.emails(provider) == []

    # --- many contacts

    async def test_each_input_has_its_result_in_order(self) -> None:
        async with self.open() as provider:
            await provider.bulk_sync_contacts([self.contact(3), self.contact(1)])
            bulk = await provider.bulk_sync_contacts(
                [self.contact(0), self.contact(1), self.contact(2), self.contact(3, first_name="New")]
            )
            assert [result.action for result in bulk.results] == [CREATED, UNCHANGED, CREATED, UPDATED]
            for number, result in enumerate(bulk.results):
                got = await provider.get_contact(f"person{number}@example.com")
                assert got is not None
                assert got.id == result.crm_id
            assert (await provider.bulk_sync_contacts([])).results == ()

    async def test_case_08_the_same_person_twice_in_a_batch_is_one_contact(self) -> None:
        async with self.open() as provider:
            later = CRMContact(email="PERSON1@example.com", first_name="Later")
            bulk = await provider.bulk_sync_contacts([self.contact(1), self.contact(2), later])
            assert await self.emails(provider) == ["person1@example.com", "person2@example.com"]
            assert [result.success for result in bulk.results] == [True] * 3
            assert bulk.results[0].crm_id == bulk.results[2].crm_id != bulk.results[1].crm_id
            got = await provider.get_contact("person1@example.com")
            assert got is not None
            assert (got.first_name, got.last_name) == ("Later", "Last 1")

    async def test_case_22_one_bad_row_hinders_no_other(self) -> None:
        async with self.open() as provider:
            for _ in range(2):
                await self.add_contact(provider, "twin@example.com")
            twin = self.contact(4, email="twin@example.com")
            bulk = await provider.bulk_sync_contacts([self.contact(1), self.misfit(2), twin, self.contact(3)])
            assert [result.success for result in bulk.results] == [True, False, False, True]
            assert (bulk.succeeded, bulk.failed, [i for i, _ in bulk.failures()]) == (2, 2, [1, 2])
            expected = ["person1@example.com", "person3@example.com", "twin@example.com", "twin@example.com"]
            assert await self.emails(provider) == expected

    async def test_concurrent_calls_lose_nothing(self) -> None:
        async with self.open() as provider:
            async with anyio.create_task_group() as tasks:
                for number in range(6):
                    tasks.start_soon(provider.sync_contact, self.contact(number))
                    tasks.start_soon(provider.get_contact, f"person{number}@example.com")
            assert await self.emails(provider) == [f"person{number}@example.com" for number in range(6)]

    # --- custom fields

    async def test_custom_fields_are_fields_of_the_object(self) -> None:
        async with self.open() as provider:
            schema = await (await provider.records(self.contact_object)).describe()
            custom = await provider.get_custom_fields(self.contact_object)
            assert all(field.custom for field in custom)
            assert {field.name for field in custom} == {field.name for field in schema.fields if field.custom}

    async def test_good_mappings_become_an_object_mapping(self) -> None:
        async with self.open() as provider:
            mappings = [FieldMapping(markmail_field="email", crm_field=self.email_field)]
            made = await provider.map_custom_fields(mappings, self.contact_object)
            assert made.fields == tuple(mappings)

    async def test_every_fault_of_mappings_is_told_at_once(self) -> None:
        async with self.open() as provider:
            # Policy custom needs a function, and there is none.
            mappings = [
                FieldMapping(markmail_field=name, crm_field=self.email_field, policy=ConflictPolicy.CUSTOM)
                for name in ("one", "two")
            ]
            with pytest.raises(MappingError) as caught:
                await provider.map_custom_fields(mappings, self.contact_object)
            paths = {problem.path for problem in caught.value.problems}
            assert paths >= {"fields[0].policy", "fields[1].policy"}

    # --- what only some can do

    async def test_campaigns_are_created_once_and_updated(self) -> None:
        async with self.open() as provider:
            campaign = CRMCampaign(name="Spring", status="Planned", start_date=date(2026, 3, 1))
            if await self._is_missing(provider, CRMFeature.CAMPAIGNS, lambda: provider.sync_campaign(campaign)):
                return
            running = campaign.model_copy(update={"status": "Running"})
            results = [await provider.sync_campaign(each) for each in (campaign, campaign, running)]
            assert [result.action for result in results] == [CREATED, UNCHANGED, UPDATED]
            assert len({result.crm_id for result in results}) == 1
            unknown = await provider.sync_campaign(campaign.model_copy(update={"id": "nobody"}))
            assert (unknown.action, unknown.retryable) == (FAILED, False)

    async def test_an_email_event_is_recorded_once_with_its_contact(self) -> None:
        async with self.open() as provider:
            event = self.event(1)
            if await self._is_missing(provider, CRMFeature.EMAIL_ACTIVITY, lambda: provider.log_email_activity(event)):
                return
            assert (await provider.log_email_activity(event)).action is FAILED
            await provider.sync_contact(self.contact(1))
            first, again = [await provider.log_email_activity(event) for _ in range(2)]
            assert (first.action, again.action) == (CREATED, UNCHANGED)
            assert first.crm_id == again.crm_id is not None
            later = event.model_copy(update={"message_id": "m-2"})
            assert (await provider.log_email_activity(later)).crm_id != first.crm_id

    async def test_many_events_have_their_results_in_order(self) -> None:
        async with self.open() as provider:
            await provider.bulk_sync_contacts([self.contact(1), self.contact(2)])
            events = [self.event(number, minute) for number, minute in ((1, 0), (3, 0), (2, 0), (1, 1), (1, 0))]
            if await self._is_missing(
                provider, CRMFeature.EMAIL_ACTIVITY, lambda: provider.log_email_activities(events)
            ):
                return
            bulk = await provider.log_email_activities(events)
            assert [result.success for result in bulk.results] == [True, False, True, True, True]
            assert bulk.results[1].code == "not_found"
            assert (bulk.results[0].action, bulk.results[2].action) == (CREATED, CREATED)
            assert bulk.results[4].action is UNCHANGED
            assert bulk.results[0].crm_id == bulk.results[4].crm_id != bulk.results[2].crm_id
            again = await provider.log_email_activities(events)
            assert [result.action for result in again.results] == [UNCHANGED, FAILED, *[UNCHANGED] * 3]
            assert (await provider.log_email_activities([])).results == ()

    async def test_a_list_has_the_members_it_was_given(self) -> None:
        async with self.open() as provider:
            if await self._is_missing(
                provider, CRMFeature.LISTS, lambda: provider.sync_list_membership(CRMList(name="News"))
            ):
                return
            made = await provider.bulk_sync_contacts([self.contact(1), self.contact(2)])
            one, two, nobody = (f"person{number}@example.com" for number in (1, 2, 3))
            expected = [
                ((one, nobody, two), [CREATED, FAILED, CREATED]),
                ((two, one), [UNCHANGED, UNCHANGED]),
                ((two,), [UNCHANGED]),
                ((one, one), [UNCHANGED, UNCHANGED]),
            ]
            for members, actions in expected:
                bulk = await provider.sync_list_membership(CRMList(name="News", member_emails=members))
                assert [result.action for result in bulk.results] == actions, members
            assert [result.crm_id for result in bulk.results] == [made.results[0].crm_id] * 2

    async def test_other_members_of_a_list_go_only_if_that_is_asked(self) -> None:
        async with self.open() as provider:
            if await self._is_missing(
                provider, CRMFeature.LISTS, lambda: provider.sync_list_membership(CRMList(name="News"))
            ):
                return
            await provider.bulk_sync_contacts([self.contact(1), self.contact(2)])
            one, two = (f"person{number}@example.com" for number in (1, 2))
            expected = [
                ((one, two), [CREATED, CREATED]),
                ((two,), [UNCHANGED]),
                ((one, two), [CREATED, UNCHANGED]),
                ((), []),
                ((one, one), [CREATED, UNCHANGED]),
            ]
            for members, actions in expected:
                wanted = CRMList(name="News", member_emails=members)
                bulk = await provider.sync_list_membership(wanted, remove_others=True)
                assert [result.action for result in bulk.results] == actions, members

    async def _is_missing(
        self, provider: CRMProvider, feature: CRMFeature, verb: Callable[[], Awaitable[object]]
    ) -> bool:
        """Whether the feature is not declared; then its verb has to say so."""
        if provider.supports_feature(feature):
            return False
        with pytest.raises(ConfigurationError):
            await verb()
        return True
