"""Values that systems like this one lose, double or take for others, each through the whole engine.

One run for each kind of local side and each channel carries them all into an emulated org, and a second one from there
into an empty side of the same kind; a test looks at what became of one value. A value goes through as it is, or its
loss is reported and nothing is written.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import anyio
import attrs
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from crmsync.engine import RunBudget, Runner
from crmsync.mapping import compile_mapping
from crmsync.models.integrations import Integration
from crmsync.models.mappings import FieldMapping, MatchKeys, ObjectMapping
from crmsync.models.records import Record
from crmsync.protocols.conversion import FieldRule, LossKind
from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.records import RecordStore
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.storage import csv_records
from crmsync.storage.memory import open_repository
from crmsync.storage.sql import records as sql_records
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg, custom_field
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import LOCAL_LIMITS, FakeClock

UTC = dt.UTC
BOSS = "003000000000001AAA"
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "last_name": {"crm_field": "LastName", "required": True},
    "note": {"crm_field": "Note__c"},
    "email": {"crm_field": "Email"},
    "amount": {"crm_field": "Amount__c"},
    "share": {"crm_field": "Share__c", "unit": "fraction", "field_type": "percent"},
    "flag": {"crm_field": "Flag__c"},
    "born": {"crm_field": "Birthdate"},
    "seen": {"crm_field": "Seen__c"},
    "seen_in_berlin": {"crm_field": "Seen_There__c", "zone": "Europe/Berlin"},
    "boss": {"crm_field": "ReportsToId"},
    "tags": {"crm_field": "MarkMail_Tags__c", "field_type": "tags"},
    "talked": {"crm_field": "Talked__c", "field_type": "duration", "crm_unit": "minutes"},
}
ORG_FIELDS = [
    custom_field("Note__c", "Note", length=60),
    custom_field("Amount__c", "Amount", "double", scale=2),
    custom_field("Share__c", "Share", "percent", scale=2),
    custom_field("Flag__c", "Flag", "boolean"),
    custom_field("Seen__c", "Seen", "datetime"),
    custom_field("Seen_There__c", "Seen there", "datetime"),
    custom_field("Talked__c", "Minutes", "double", scale=0),
]


@attrs.frozen
class Case:
    """A value of a local field, and what the org should hold afterwards.

    ``loss``: nothing is written. ``reported``: it is written, and the run says so.
    """

    field: str
    given: object
    stored: object = None
    loss: LossKind | None = None
    reported: str = ""


def same(field: str, value: object) -> Case:
    return Case(field, value, value)


CASES: Final[Mapping[str, Case]] = {
    # those that the design names
    "zero": Case("amount", 0, Decimal(0)),
    "zero_as_text": same("note", "0"),
    "false": Case("flag", False, False),  # noqa: FBT003 (a value)
    "false_as_text": same("note", "False"),
    "empty": Case("note", "", None),
    "apostrophe": same("note", "O'Brien"),
    "na": same("note", "NA"),
    "hash_na": same("note", "#N/A"),
    "formula": same("note", "=cmd|' /C calc'!A0"),
    "emoji": same("note", FAMILY),
    "right_to_left": same("note", "\u05e9\u05dc\u05d5\u05dd \u202e\u0645\u0631\u062d\u0628\u0627"),
    "nul": Case("note", "a\x00b", loss=LossKind.ENCODING),
    "year_1700": Case("born", "1700-01-01", dt.date(1700, 1, 1)),
    "year_4000": Case("born", "4000-12-31", dt.date(4000, 12, 31)),
    "moment_1700": Case("seen", "1700-01-01T00:00:00Z", dt.datetime(1700, 1, 1, tzinfo=UTC)),
    "moment_4000": Case("seen", "4000-12-31T23:59:59Z", dt.datetime(4000, 12, 31, 23, 59, 59, tzinfo=UTC)),
    "id_15": Case("boss", BOSS[:15], BOSS),
    "id_18": same("boss", BOSS),
    # those that we know of besides
    "null_word": same("note", "null"),
    "none_word": same("note", "None"),
    "true_word": same("note", "TRUE"),
    "leading_zeros": same("note", "00123"),
    "scientific_look": same("note", "1e5"),
    "date_look": same("note", "01/02/2024"),
    "thousands_look": same("note", "1,000"),
    "phone_look": same("note", "+1-800-5550100"),
    "at_formula": same("note", "@SUM(A1)"),
    "quotes_and_commas": same("note", '"quoted", comma'),
    "semicolons": same("note", "a;b"),
    "backslashes": same("note", "C:\\new\\table"),
    "markup": same("note", "<b>&amp;</b>"),
    "line_feed": same("note", "one\ntwo"),
    "tab": same("note", "one\ttwo"),
    "combining_accent": same("note", "e\u0301"),
    "zero_width_space": same("note", "a\u200bb"),
    "astral_letters": same("note", "\U00020bb7\u91ce\u5bb6"),
    "white_space_around": Case("note", "  x  ", "x"),
    "as_long_as_fits": same("note", "x" * 60),
    "too_long": Case("note", "x" * 61, loss=LossKind.TRUNCATED),
    "e_mail_with_apostrophe": same("email", "O'Brien+x@Example.com"),
    "no_e_mail": Case("email", "nobody", loss=LossKind.INVALID),
    "minus_zero": Case("amount", "-0", Decimal(0)),
    "tenth": Case("amount", "0.10", Decimal("0.1")),
    "big_amount": Case("amount", "1234567890.12", Decimal("1234567890.12")),
    "half_a_cent": Case("amount", "1.005", loss=LossKind.ROUNDED),
    "thousands": Case("amount", "1,000", loss=LossKind.INVALID),
    "fraction": Case("share", "0.5", Decimal(50)),
    "small_fraction": Case("share", "0.0001", Decimal("0.01")),
    "word_for_false": Case("flag", "off", False),  # noqa: FBT003 (a value)
    "word_for_true": Case("flag", "Y", True),  # noqa: FBT003 (a value)
    "no_truth_value": Case("flag", "maybe", loss=LossKind.INVALID),
    "leap_day": Case("born", "2024-02-29", dt.date(2024, 2, 29)),
    "no_leap_day": Case("born", "2023-02-29", loss=LossKind.INVALID),
    "german_date": Case("born", "31.01.2024", loss=LossKind.INVALID),
    "offset": Case("seen", "2024-06-01T09:00:00+02:00", dt.datetime(2024, 6, 1, 7, tzinfo=UTC)),
    "no_zone": Case("seen", "2024-06-01 09:00:00", loss=LossKind.ZONE),
    "milliseconds": Case(
        "seen", "2024-06-01T09:00:00.250Z", dt.datetime(2024, 6, 1, 9, tzinfo=UTC), reported="precision_accepted"
    ),
    "zone_of_the_mapping": Case("seen_in_berlin", "2024-06-01 09:00:00", dt.datetime(2024, 6, 1, 7, tzinfo=UTC)),
    "skipped_by_clocks": Case("seen_in_berlin", "2024-03-31 02:30:00", loss=LossKind.ZONE),
    "shown_twice_by_clocks": Case("seen_in_berlin", "2024-10-27 02:30:00", loss=LossKind.ZONE),
    "tags": Case("tags", "vip; O'Brien;#N/A", ("vip", "O'Brien", "#N/A")),
    "duration": Case("talked", "PT1H30M", Decimal(90)),
    "half_a_minute": Case("talked", "PT30S", loss=LossKind.ROUNDED),
}


@asynccontextmanager
async def csv_side(directory: Path, rows: Mapping[str, dict[str, object]]) -> AsyncIterator[RecordStore]:
    path = directory / "people.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", *FIELDS])
        writer.writeheader()
        writer.writerows({"id": name, **row} for name, row in rows.items())
    async with csv_records.open_records(path=path, key="id") as store:
        yield store


@asynccontextmanager
async def sql_side(directory: Path, rows: Mapping[str, dict[str, object]]) -> AsyncIterator[RecordStore]:
    url = f"sqlite:///{directory / 'people.db'}"
    metadata = sa.MetaData()
    columns = [sa.Column(name, sa.Text) for name in FIELDS]
    table = sa.Table("people", metadata, sa.Column("id", sa.String(64), primary_key=True), *columns)
    engine = sa.create_engine(url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        for name, row in rows.items():
            texts = {field: None if value is None else str(value) for field, value in row.items()}
            connection.execute(sa.insert(table).values(id=name, **texts))
    engine.dispose()
    async with sql_records.open_records(url=url, table="people") as store:
        yield store


@asynccontextmanager
async def memory_side(_directory: Path, rows: Mapping[str, dict[str, Any]]) -> AsyncIterator[RecordStore]:
    store = MemoryRecordStore("subscribers", limits=LOCAL_LIMITS)
    for name, row in rows.items():
        store.add(id=name, **row)
    yield store


SIDES: Final[Mapping[str, Callable[..., Any]]] = {"csv": csv_side, "sql": sql_side, "memory": memory_side}
WAYS: Final = [(side, channel) for side in SIDES for channel in ("rest", "bulk")]


@attrs.frozen
class Journey:
    """What the three places hold after both runs, by the names of the cases."""

    rules: Mapping[str, FieldRule]
    org: Mapping[str, Record]
    ours: Mapping[str, Record]
    theirs: Mapping[str, Record]
    losses: Mapping[str, set[str]]
    replanned: tuple[int, int]


MAPPING: Final = ObjectMapping(
    fields=tuple(FieldMapping(markmail_field=name, **settings) for name, settings in FIELDS.items()),
    match=MatchKeys(local_email="", remote_email=""),
)


async def travel(side: str, channel: str, directory: Path) -> Journey:
    """All cases from one side into an org, and from there into another side."""
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now, custom_fields={"Contact": ORG_FIELDS})
    boss = org.create("Contact", {"LastName": "Boss", "MarkMail_Id__c": "boss"})
    rows: dict[str, dict[str, object]] = {
        name: {"last_name": name, case.field: _given(case, boss)} for name, case in CASES.items()
    }
    rows["boss"] = {"last_name": "Boss"}
    channels = {"channel": {"rest": "collections"}.get(channel, channel), "first_read": channel}
    settings = {"instance_url": "https://acme.my.salesforce.com", **channels}
    token = {"access_token": SecretStr(DEFAULT_TOKEN)}
    async with AsyncExitStack() as stack:
        (directory / "there").mkdir()
        here = await stack.enter_async_context(SIDES[side](directory, rows))
        there = await stack.enter_async_context(SIDES[side](directory / "there", {}))
        context = ProviderContext(clock, RunBudget())
        factory = SalesforceProviderFactory(InProcessTransport(org))
        provider = await stack.enter_async_context(factory.open(settings, token, context))
        contacts = await provider.records("Contact")
        repository = await stack.enter_async_context(open_repository("memory://"))

        async def run(store: RecordStore, integration: str) -> tuple[dict[str, set[str]], int]:
            await repository.save_integration(Integration(id=integration, provider="salesforce"))
            rule = compile_mapping(MAPPING, await store.describe(), await contacts.describe())
            runner = Runner(
                integration_id=integration,
                entity_type="Contact",
                mapping=MAPPING,
                rule=rule,
                local=store,
                remote=contacts,
                repository=repository,
                clock=clock,
                budget=RunBudget(),
                digest_key=bytes(32),
            )
            report = await runner.sync()
            clock.tick(3600)
            await runner.sync()
            clock.tick(3600)
            planned = len((await runner.plan()).records)
            found: dict[str, set[str]] = {}
            for problem in report.problems:
                found.setdefault(str(problem.markmail_id), set()).add(problem.code)
            return found, planned

        losses, first = await run(here, "out")
        _, second = await run(there, "back")
        stored = {str(row["LastName"]): str(row["Id"]) for row in org.records("Contact")}
        remote = await contacts.get(list(stored.values()), fields=[each.crm_field for each in MAPPING.fields])
        rules = compile_mapping(MAPPING, await here.describe(), await contacts.describe()).rules
        return Journey(
            {rule.local: rule for rule in rules},
            {name: remote[record_id] for name, record_id in stored.items()},
            await _named(here),
            await _named(there),
            losses,
            (first, second),
        )


def _given(case: Case, boss: str) -> object:
    return boss[: len(str(case.given))] if case.field == "boss" else case.given


async def _named(store: RecordStore) -> dict[str, Record]:
    found: dict[str, Record] = {}
    cursor, more = None, True
    while more:
        page = await store.changes(cursor, fields=list(FIELDS))
        found |= {str(record.fields["last_name"]): record for record in page.records if not record.deleted}
        cursor, more = page.cursor, page.has_more
    return found


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def journey(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    side, channel = request.param
    return anyio.run(travel, side, channel, tmp_path_factory.mktemp(f"{side}-{channel}"))


@pytest.mark.parametrize("name", CASES)
def test_the_value_arrives_or_its_loss_is_reported(journey: Journey, name: str) -> None:
    case = CASES[name]
    crm_field = journey.rules[case.field].remote
    held = journey.org[name].fields[crm_field]
    if case.loss is not None:
        assert held in (None, False)  # a new record: the field was left out
        assert journey.losses[name] == {case.loss.value}
        return
    expected = journey.org["Boss"].id if case.field == "boss" else case.stored
    assert (held, type(held)) == (expected, type(expected))
    assert journey.losses.get(name, set()) == ({case.reported} if case.reported else set())


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.loss is None])
def test_the_value_comes_out_of_the_org_as_the_same(journey: Journey, name: str) -> None:
    case = CASES[name]
    normal = journey.rules[case.field].normal_local
    ours, theirs = journey.ours[name].fields[case.field], journey.theirs[name].fields[case.field]
    assert normal(theirs) == normal(ours)


@pytest.mark.parametrize("name", CASES)
def test_the_original_stays_as_it_was_spelt(journey: Journey, name: str) -> None:
    case = CASES[name]
    given = _given(case, journey.org["Boss"].id)
    ours = journey.ours[name].fields[case.field]
    assert ours in (given, str(given)) or (given == "" and ours is None)


def test_nothing_is_written_a_second_time(journey: Journey) -> None:
    lossy = sum(case.loss is not None for case in CASES.values())
    assert journey.replanned[0] <= lossy
    assert journey.replanned[1] == 0
