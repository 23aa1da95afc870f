"""Tags in a multi-select picklist, both ways, through the engine and the emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from pydantic import SecretStr

from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.runs import RecordProblem, RunReport
from crmsync.models.schema import FieldType
from crmsync.protocols.conversion import elements_of
from crmsync.security.vault import Vault
from crmsync.service import CRMSync
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import (
    DEFAULT_TOKEN,
    FieldDef,
    PicklistValue,
    SalesforceOrg,
    custom_field,
    running_emulator,
)

pytestmark = pytest.mark.anyio

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("last_name", "LastName", required=True),
        two_way("tags", "Tags__c", field_type=FieldType.TAGS),
    )
)


def picklist(*, restricted: bool = False, **attributes: Any) -> FieldDef:
    values = tuple(PicklistValue(value=name, label=name) for name in ("VIP", "Press"))
    return custom_field("Tags__c", "Tags", "multipicklist", values=values, restricted=restricted, **attributes)


@attrs.define
class Pair:
    """A person on both sides."""

    app: CRMSync
    org: SalesforceOrg
    local: MemoryRecordStore

    async def sync(self) -> RunReport:
        return await self.app.sync("main", "Contact", self.local)

    def tag(self, *tags: str) -> None:
        [person] = self.local.snapshot()
        self.local.edit(person, tags=tags, last_name=f"Tagged {len(tags)}")

    def tag_there(self, tags: str) -> None:
        [contact] = self.org.records("Contact")
        self.org.update("Contact", contact["Id"], {"Tags__c": tags})

    @property
    def here(self) -> list[str]:
        [person] = self.local.snapshot().values()
        return sorted(map(str, elements_of(person.get("tags"))))

    @property
    def there(self) -> list[str]:
        [contact] = self.org.records("Contact")
        return sorted(str(contact.get("Tags__c")).split(";"))


@asynccontextmanager
async def pair(field: FieldDef) -> AsyncIterator[Pair]:
    local = MemoryRecordStore("subscribers")
    local.add(email="a@example.com", last_name="A", tags=("VIP",))
    org = SalesforceOrg(custom_fields={"Contact": [field]})
    with running_emulator(org) as emulator:
        async with CRMSync.open("memory://", vault=Vault.from_key(Vault.generate_key())) as app:
            await app.add_integration(
                "main",
                provider="salesforce",
                settings={"instance_url": emulator.url, "allow_insecure_loopback": True, "safety_seconds": 0},
                credentials={"access_token": SecretStr(DEFAULT_TOKEN)},
                mappings={"Contact": MAPPING},
            )
            made = Pair(app, org, local)
            await made.sync()
            assert made.there == ["VIP"]
            yield made


def only(report: RunReport) -> RecordProblem:
    [problem] = report.problems
    return problem


async def test_a_restricted_picklist_rejects_an_unknown_tag_by_name_until_there_is_one() -> None:
    async with pair(picklist(restricted=True)) as it:
        it.tag("VIP", "Press", "Newcomer")
        for _ in range(2):
            problem = only(await it.sync())
            assert (problem.field, problem.code) == ("tags", "unknown_option")
            assert problem.message == "the field has no option 'Newcomer'"
            assert "add the option to the field" in problem.remedy
            assert it.there == ["VIP"]
            assert it.org.records("Contact")[0]["LastName"] == "Tagged 3"
        it.tag("VIP", "Press")
        assert (await it.sync()).problems == ()
        assert it.there == ["Press", "VIP"]
        assert (await it.sync()).written == 0


async def test_an_unrestricted_picklist_takes_new_tags_and_both_sides_edits_merge() -> None:
    async with pair(picklist()) as it:
        it.tag("VIP", "Newcomer", "O'Brien & Söhne")
        it.tag_there("VIP;Press")
        await it.sync()
        assert it.here == it.there == ["Newcomer", "O'Brien & Söhne", "Press", "VIP"]
        it.tag_there("Newcomer")
        await it.sync()
        assert it.here == ["Newcomer"]
        assert (await it.sync()).written == 0


async def test_tags_that_do_not_fit_are_rejected_as_a_field_and_none_is_cut() -> None:
    async with pair(picklist(length=20)) as it:
        it.tag("VIP", "0123456789", "abcdefghij")
        problem = only(await it.sync())
        assert (problem.field, problem.code) == ("tags", "truncated")
        assert problem.message == "25 characters in all, Tags__c holds 20"
        assert it.there == ["VIP"]
        assert it.org.records("Contact")[0]["LastName"] == "Tagged 3"
        it.tag("VIP", "0123456789")
        assert (await it.sync()).problems == ()
        assert it.there == ["0123456789", "VIP"]


async def test_a_tag_with_a_semicolon_would_be_two_and_is_rejected() -> None:
    async with pair(picklist()) as it:
        it.tag("VIP", "a;b")
        assert only(await it.sync()).code == "dropped_element"
        assert it.there == ["VIP"]
