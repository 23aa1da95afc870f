"""Picklists whose options depend on another field."""

from __future__ import annotations

import pytest

from crmsync.models.records import OutcomeStatus
from crmsync.testing.salesforce import custom_field
from crmsync.testing.salesforce.schema import PicklistValue
from tests.unit.providers.salesforce.objects.conftest import Connect, connect
from tests.unit.providers.salesforce.writing.conftest import update

__all__ = ["connect"]

pytestmark = pytest.mark.anyio

REGIONS = tuple(PicklistValue(value=name, label=name) for name in ("North", "South"))
# The first bit stands for North, the second for South.
TOWNS = (
    PicklistValue(value="Oslo", label="Oslo", valid_for="gAAA"),
    PicklistValue(value="Rome", label="Rome", valid_for="QAAA"),
)
ORG = {
    "custom_fields": {
        "Contact": [
            custom_field("Region__c", "Region", "picklist", values=REGIONS, restricted=True),
            custom_field("Town__c", "Town", "picklist", values=TOWNS, restricted=True, controller="Region__c"),
        ]
    }
}


async def test_a_describe_says_on_which_field_a_picklist_depends(connect: Connect) -> None:
    async with connect(org=ORG) as it:
        schema = await (await it.provider.records("Contact")).describe()
        town, region = schema.field("Town__c"), schema.field("Region__c")
        assert town is not None
        assert region is not None
        assert (town.controlled_by, town.options, region.controlled_by) == ("Region__c", ("Oslo", "Rome"), "")


async def test_a_value_that_the_controlling_field_does_not_offer_is_written_as_it_is(connect: Connect) -> None:
    async with connect(org=ORG) as it:
        person = it.contact(1, Region__c="North")
        store = await it.provider.records("Contact")
        [outcome] = await store.write([update(person, Town__c="Rome")])
        assert outcome.status is OutcomeStatus.UPDATED
        [kept] = it.org.records("Contact")
        assert (kept["Region__c"], kept["Town__c"]) == ("North", "Rome")
