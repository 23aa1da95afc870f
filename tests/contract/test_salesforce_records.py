"""The Salesforce store over the emulator, against the one contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from itertools import cycle
from typing import ClassVar

import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.models.records import Fields
from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.records import RecordStore
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.testing.record_reading import ReadingPromises
from crmsync.testing.record_subject import RecordStoreSetting
from crmsync.testing.records import RecordStoreContract, Subject
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock

pytestmark = pytest.mark.anyio

LOOK_BACK = 600


class BrowserUser:
    """Another user of the org, who works in the browser. Time passes a second before each thing that they do.

    What they add is of each of these objects in turn.
    """

    def __init__(self, org: SalesforceOrg, clock: FakeClock, objects: Sequence[str]) -> None:
        self._org = org
        self._clock = clock
        self._turns = cycle(objects)

    async def add(self, records: Sequence[Fields]) -> list[str]:
        self._clock.tick(1)
        return [self._create(fields) for fields in records]

    async def add_late(self, fields: Fields) -> str:
        self._clock.tick(-LOOK_BACK * 0.9)
        added = self._create(fields)
        self._clock.tick(LOOK_BACK * 0.9)
        return added

    def _create(self, fields: Fields) -> str:
        object_name = next(self._turns)
        needed = {"Company": "Acme"} if object_name == "Lead" else {}
        return self._org.create(object_name, {**needed, **_written(fields)})

    async def edit(self, record_id: str, fields: Fields) -> None:
        self._clock.tick(1)
        self._org.update(object_of(record_id), record_id, _written(fields))

    async def remove(self, record_id: str) -> None:
        self._clock.tick(1)
        self._org.delete(object_of(record_id), record_id)

    async def read(self, record_id: str, field: str) -> object:
        row = self._org.get(object_of(record_id), record_id)
        if row is None or row["IsDeleted"]:
            raise KeyError(record_id)
        return row[field]


def object_of(record_id: str) -> str:
    return {"003": "Contact", "00Q": "Lead"}[record_id[:3]]


def _written(fields: Fields) -> dict[str, object]:
    return {name: ";".join(value) if isinstance(value, tuple) else value for name, value in fields.items()}


class SalesforceSetting(RecordStoreSetting):
    """An org, and the settings of the connection to it."""

    text_field = "LastName"
    email_field = "Email"
    typed_values: ClassVar[Mapping[str, Sequence[object]]] = {
        "HasOptedOutOfEmail": (True, False),
        "Birthdate": (date(1700, 1, 1), date(2024, 2, 29), date(4000, 12, 31)),
        "MarkMail_Tags__c": (("a",), ("a", "b c")),
    }
    settings: ClassVar[Mapping[str, object]] = {}
    external_id_field: ClassVar[bool] = True
    campaigns: ClassVar[Sequence[str]] = ()
    page_records: ClassVar[int] = 50_000
    covered_lag: ClassVar[float] = 0.0
    object_name: ClassVar[str] = "Contact"
    prefix: ClassVar[str] = "003"
    added: ClassVar[Sequence[str]] = ("Contact",)

    def unknown_id(self, number: int) -> str:
        return f"{self.prefix}{number:012d}"

    @pytest.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        clock = FakeClock()
        org = SalesforceOrg(clock=clock.now, external_id_field=self.external_id_field)
        org.bulk.set_options(page_records=self.page_records)
        org.faults.covered_lag = self.covered_lag
        for name in self.campaigns:
            org.create("Campaign", {"Name": name})
        async with self.opened(org, clock) as store, self.opened(org, clock) as other:
            yield Subject(store, BrowserUser(org, clock, self.added), other)

    @asynccontextmanager
    async def opened(self, org: SalesforceOrg, clock: FakeClock) -> AsyncIterator[RecordStore]:
        settings = {
            "instance_url": "https://acme.my.salesforce.com",
            "look_back_seconds": LOOK_BACK,
            "retry_wait": 0,
            **self.settings,
        }
        token = {"access_token": SecretStr(DEFAULT_TOKEN)}
        context = ProviderContext(clock, RunBudget())
        async with SalesforceProviderFactory(InProcessTransport(org)).open(settings, token, context) as provider:
            yield await provider.records(self.object_name)


class SalesforceContract(SalesforceSetting, RecordStoreContract):
    """All that a record store promises."""


class TestSalesforce(SalesforceContract):
    """An org with the external id field."""


class TestSalesforceWithoutExternalIds(SalesforceContract):
    """An org that has not got the field."""

    external_id_field = False


class TestSalesforceWithCampaignTags(SalesforceContract):
    """Tags stand for campaigns."""

    settings: ClassVar[Mapping[str, object]] = {"campaigns": {"tags": {"news": "News", "vip": "VIP"}}}
    campaigns = ("News", "VIP")
    typed_values: ClassVar[Mapping[str, Sequence[object]]] = {"CampaignTags": (("news",), ("news", "vip"))}


class TestSalesforceLinkingAccounts(SalesforceContract):
    """A contact's company makes the account that it belongs to."""

    settings: ClassVar[Mapping[str, object]] = {"accounts": "create"}
    typed_values: ClassVar[Mapping[str, Sequence[object]]] = {
        **SalesforceContract.typed_values,
        "Account.Name": ("Acme", "O'Brien & Söhne", "北斗"),
    }


class TestSalesforceThroughBulkJobs(SalesforceContract):
    """Whatever can go through a job does."""

    settings: ClassVar[Mapping[str, object]] = {"channel": "bulk"}


class TestSalesforceReadByQueryJobs(SalesforceContract):
    """Everything there is comes from the results of a query job."""

    settings: ClassVar[Mapping[str, object]] = {"first_read": "bulk"}


class TestSalesforceReadByQueryJobsWithSmallPages(SalesforceContract):
    """The results come in many pages."""

    settings: ClassVar[Mapping[str, object]] = {"first_read": "bulk"}
    page_records: ClassVar[int] = 2


class TestSalesforceByGetUpdated(SalesforceSetting, ReadingPromises):
    """`getUpdated` names what changed, in an org where a transaction always began before the latest late commit."""

    settings: ClassVar[Mapping[str, object]] = {"changes": "get_updated"}
    covered_lag: ClassVar[float] = LOOK_BACK


class TestLeads(SalesforceContract):
    """Leads by themselves."""

    object_name = "Lead"
    prefix = "00Q"
    added = ("Lead",)
    typed_values: ClassVar[Mapping[str, Sequence[object]]] = {
        "Company": ("Acme",),
        "HasOptedOutOfEmail": (True, False),
        "MarkMail_Tags__c": (("a",), ("a", "b c")),
    }

    def make_fields(self, number: int) -> dict[str, object]:
        return {**super().make_fields(number), "Company": f"Company {number}"}


class PeopleContract(SalesforceContract):
    """Contacts and leads as one; the other user adds one of each in turn."""

    object_name = "Person"
    added = ("Contact", "Lead")
    settings: ClassVar[Mapping[str, object]] = {"people": "lead_then_contact"}
    typed_values: ClassVar[Mapping[str, Sequence[object]]] = {
        "HasOptedOutOfEmail": (True, False),
        "MarkMail_Tags__c": (("a",), ("a", "b c")),
    }


class TestPeople(PeopleContract):
    """New people become leads."""


class TestPeopleOfWhomSomeAreContacts(PeopleContract):
    """New people become contacts and leads, as the rule says."""

    settings: ClassVar[Mapping[str, object]] = {
        "people": "lead_then_contact",
        "contact_when": {"field": "LastName", "values": [f"Person {number}" for number in range(0, 1000, 2)]},
    }


class TestPeopleWithoutExternalIds(PeopleContract):
    """Neither object has the field."""

    external_id_field = False


class TestPeopleThroughBulkJobs(PeopleContract):
    """Whatever can go through a job does."""

    settings: ClassVar[Mapping[str, object]] = {"people": "lead_then_contact", "channel": "bulk"}
