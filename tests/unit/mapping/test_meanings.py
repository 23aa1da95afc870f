"""What the settings of a field mapping make of values that do not say themselves what they mean."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from crmsync.errors import MappingError
from crmsync.models.mappings import OnLoss
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldSchema, FieldType
from crmsync.protocols.conversion import LossKind
from tests.unit.mapping.conftest import CompileOne

T = FieldType
UTC = dt.UTC
LEAD_SOURCE = FieldSchema(name="LeadSource", type=T.PICKLIST, options=("Web", "Phone", "Other"), restricted=True)


@pytest.mark.parametrize(
    "given,moment",
    [
        ("2024-06-01 09:00:00", dt.datetime(2024, 6, 1, 7, tzinfo=UTC)),
        ("2024-01-01T09:00:00", dt.datetime(2024, 1, 1, 8, tzinfo=UTC)),
        ("2024-06-01T09:00:00Z", dt.datetime(2024, 6, 1, 9, tzinfo=UTC)),
        ("2024-06-01T09:00:00-04:00", dt.datetime(2024, 6, 1, 13, tzinfo=UTC)),
        ("2024-06-01", dt.datetime(2024, 5, 31, 22, tzinfo=UTC)),
        (dt.datetime(2024, 6, 1, 9), dt.datetime(2024, 6, 1, 7, tzinfo=UTC)),  # noqa: DTZ001 (what a zoneless source has)
        (dt.datetime(2024, 10, 27, 2, 30, fold=1), dt.datetime(2024, 10, 27, 1, 30, tzinfo=UTC)),  # noqa: DTZ001 (as above)
    ],
)
def test_a_time_without_a_zone_is_read_in_the_mappings(rule_of: CompileOne, given: object, moment: dt.datetime) -> None:
    conversion = rule_of(T.TEXT, T.DATETIME, zone="Europe/Berlin").to_remote(given)
    assert conversion.value == moment
    assert not conversion.losses


@pytest.mark.parametrize(
    "given,nearest",
    [
        ("2024-03-31 02:30:00", dt.datetime(2024, 3, 31, 1, 30, tzinfo=UTC)),
        ("2024-10-27 02:30:00", dt.datetime(2024, 10, 27, 0, 30, tzinfo=UTC)),
    ],
    ids=["skipped", "twice"],
)
def test_a_time_that_clocks_skipped_or_showed_twice_is_a_loss(
    rule_of: CompileOne, given: str, nearest: dt.datetime
) -> None:
    strict = rule_of(T.TEXT, T.DATETIME, zone="Europe/Berlin").to_remote(given)
    assert strict.rejected
    assert [loss.kind for loss in strict.losses] == [LossKind.ZONE]
    assert rule_of(T.TEXT, T.DATETIME, zone="Europe/Berlin", on_loss="report").to_remote(given).value == nearest


def test_a_moment_is_written_into_a_text_with_its_offset_and_comes_back(rule_of: CompileOne) -> None:
    rule = rule_of(T.TEXT, T.DATETIME, zone="America/New_York")
    moment = dt.datetime(2024, 6, 1, 7, tzinfo=UTC)
    assert rule.to_local(moment).value == "2024-06-01T03:00:00-04:00"
    assert rule.to_remote(rule.to_local(moment).value).value == moment


def test_the_date_of_a_moment_is_that_of_the_zone(rule_of: CompileOne) -> None:
    rule = rule_of(T.DATETIME, T.DATE, zone="Asia/Tokyo", on_loss="accept")
    assert rule.to_remote(dt.datetime(2024, 6, 1, 16, tzinfo=UTC)).value == dt.date(2024, 6, 2)


def test_a_day_that_has_no_midnight_begins_when_clocks_do(rule_of: CompileOne) -> None:
    """In Beirut clocks are put forward at midnight."""
    rule = rule_of(T.DATETIME, T.DATE, zone="Asia/Beirut")
    there = rule.to_local(dt.date(2024, 3, 31))
    assert there.value == dt.datetime(2024, 3, 30, 22, tzinfo=UTC)
    assert rule.to_remote(there.value).value == dt.date(2024, 3, 31)
    assert not rule.to_remote(there.value).losses


@pytest.mark.parametrize(
    "given,duration",
    [
        ("PT1H30M", dt.timedelta(hours=1, minutes=30)),
        ("P1W2DT3H", dt.timedelta(days=9, hours=3)),
        ("-PT0,5S", dt.timedelta(milliseconds=-500)),
        ("1:30:00", dt.timedelta(hours=1, minutes=30)),
        ("100:00:00.25", dt.timedelta(hours=100, milliseconds=250)),
        (90, dt.timedelta(seconds=90)),
        (Decimal("1.5"), dt.timedelta(seconds=1.5)),
        (0, dt.timedelta(0)),
        ("", None),
    ],
)
def test_a_duration_is_read(rule_of: CompileOne, given: object, duration: dt.timedelta | None) -> None:
    conversion = rule_of(T.TEXT, T.DURATION).to_remote(given)
    assert conversion.value == duration
    assert not conversion.losses


@pytest.mark.parametrize(
    "given", ["90", "1 hour", "P", "PT", "P1M", "1:90:00", "10:30", True, 10**30, "P999999999999D"]
)
def test_what_is_no_duration_is_refused(rule_of: CompileOne, given: object) -> None:
    assert rule_of(T.TEXT, T.DURATION).to_remote(given).losses[0].kind is LossKind.INVALID


@pytest.mark.parametrize(
    "unit,duration,number",
    [
        ("minutes", dt.timedelta(hours=1, minutes=30), 90),
        ("hours", dt.timedelta(hours=36), 36),
        ("days", dt.timedelta(days=-2), -2),
        ("milliseconds", dt.timedelta(seconds=1), 1000),
        (None, dt.timedelta(minutes=1), 60),
    ],
)
def test_a_duration_is_a_number_of_its_unit(
    rule_of: CompileOne, unit: str | None, duration: dt.timedelta, number: int
) -> None:
    rule = rule_of(T.INTEGER, T.DURATION, unit=unit)
    assert rule.to_local(duration).value == number
    assert rule.to_remote(number).value == duration


def test_a_duration_that_is_no_whole_number_of_units_is_rounded(rule_of: CompileOne) -> None:
    loss = rule_of(T.INTEGER, T.DURATION, unit="minutes").to_local(dt.timedelta(seconds=100)).losses[0]
    assert (loss.kind, loss.after) == (LossKind.ROUNDED, 2)


@pytest.mark.parametrize(
    "unit,crm_unit,here,there",
    [
        ("fraction", None, "0.5", "50"),
        ("fraction", None, "0.125", "12.5"),
        (None, None, "50", "50"),
        ("percent", "fraction", "50", "0.5"),
        ("fraction", "fraction", "0.5", "0.5"),
    ],
)
def test_a_percentage_is_a_fraction_where_the_mapping_says_so(
    rule_of: CompileOne, unit: str | None, crm_unit: str | None, here: str, there: str
) -> None:
    rule = rule_of(T.DECIMAL, T.PERCENT, unit=unit, crm_unit=crm_unit)
    assert rule.to_remote(Decimal(here)).value == Decimal(there)
    assert rule.to_local(Decimal(there)).value == Decimal(here)


def test_a_per_cent_sign_always_means_percents(rule_of: CompileOne) -> None:
    assert rule_of(T.TEXT, T.PERCENT, unit="fraction").to_remote("50 %").value == 50


@pytest.mark.parametrize("given", ["12.50 EUR", "EUR12.50", "eur 12.50", "12.50"])
def test_an_amount_may_name_its_currency(rule_of: CompileOne, given: str) -> None:
    assert rule_of(T.TEXT, T.CURRENCY, currency="EUR").to_remote(given).value == Decimal("12.5")


@pytest.mark.parametrize("given,currency", [("12.50 USD", "EUR"), ("12.50 EUR", ""), ("EUR 12.50 USD", "EUR")])
def test_an_amount_in_another_currency_is_never_taken_for_one(rule_of: CompileOne, given: str, currency: str) -> None:
    conversion = rule_of(T.TEXT, T.CURRENCY, currency=currency, on_loss="accept").to_remote(given)
    assert conversion.rejected
    assert conversion.value is None


def test_options_are_found_whatever_the_case(rule_of: CompileOne) -> None:
    rule = rule_of(T.TEXT, LEAD_SOURCE, case_fold=True)
    assert rule.to_remote("wEB").value == "Web"
    assert rule.normal_local("WEB") == rule.normal_remote("Web")
    assert rule.to_remote("Fair").losses[0].kind is LossKind.UNKNOWN_OPTION


def test_options_that_differ_only_in_case_are_told_apart(rule_of: CompileOne) -> None:
    field = LEAD_SOURCE.model_copy(update={"options": ("us", "US")})
    rule = rule_of(T.TEXT, field, case_fold=True)
    assert (rule.to_remote("US").value, rule.to_remote("us").value) == ("US", "us")
    assert rule.to_remote("Us").rejected


@pytest.mark.parametrize("on_loss", OnLoss)
def test_a_fallback_stands_for_unknown_options_and_is_reported(rule_of: CompileOne, on_loss: OnLoss) -> None:
    options = {"unknown_option": "fallback", "fallback_option": "Other", "on_loss": on_loss}
    conversion = rule_of(T.TEXT, LEAD_SOURCE, **options).to_remote("Fair")
    assert (conversion.value, conversion.rejected) == ("Other", False)
    assert bool(conversion.losses) == (on_loss is not OnLoss.ACCEPT)


def test_unknown_values_can_be_refused_where_the_list_would_take_them(rule_of: CompileOne) -> None:
    field = LEAD_SOURCE.model_copy(update={"restricted": False})
    assert rule_of(T.TEXT, field).to_remote("Fair").value == "Fair"
    assert rule_of(T.TEXT, field, unknown_option="reject").to_remote("Fair").rejected


def test_elements_of_a_set_are_spelt_as_the_options_are(rule_of: CompileOne) -> None:
    field = FieldSchema(name="Interests__c", type=T.MULTI_PICKLIST, options=("Maths", "Art"), restricted=True)
    rule = rule_of(T.TAGS, field, case_fold=True)
    assert rule.to_remote(("maths", "MATHS", "art")).value == ("Maths", "Art")
    assert rule.normal_local(("maths",)) == rule.normal_remote(("Maths",))


def test_several_crm_values_can_mean_one_local_one(rule_of: CompileOne) -> None:
    rule = rule_of(T.TEXT, T.PICKLIST, value_map={"mailed": "Sent"}, crm_value_map={"Delivered": "mailed"})
    assert rule.to_local("Sent").value == rule.to_local("Delivered").value == "mailed"
    assert rule.to_remote("mailed").value == "Sent"
    assert rule.to_remote("Delivered").losses[0].kind is LossKind.UNKNOWN_OPTION  # it would come back as mailed


def test_two_local_values_may_share_a_crm_value_in_one_direction(rule_of: CompileOne) -> None:
    rule = rule_of(T.TEXT, T.PICKLIST, value_map={"a": "X", "b": "X"}, sync_direction="to_crm")
    assert rule.to_remote("a").value == rule.to_remote("b").value == "X"
    with pytest.raises(MappingError):
        rule_of(T.TEXT, T.PICKLIST, value_map={"a": "X", "b": "X"})


@pytest.mark.parametrize(
    "mask", ["*****", "XXX-XX-1234", "XXXX XXXX XXXX 4711", "\u2022\u2022\u2022", "X1234", " **** "]
)
def test_a_mask_is_neither_read_nor_written(rule_of: CompileOne, mask: str) -> None:
    for rule in (rule_of(T.TEXT, T.ENCRYPTED, on_loss="accept"), rule_of(T.ENCRYPTED, T.ENCRYPTED, on_loss="accept")):
        for conversion in (rule.to_remote(mask), rule.to_local(mask)):
            assert conversion.rejected
            assert conversion.value is None
            assert mask.strip() not in repr(conversion)


@pytest.mark.parametrize("value", ["123-45-6789", "Xaver Huber", "*", "4711", "O'Brien"])
def test_an_encrypted_value_that_is_shown_is_a_value(rule_of: CompileOne, value: str) -> None:
    conversion = rule_of(T.TEXT, T.ENCRYPTED).to_local(value)
    assert conversion.rejected == (value == "*")
    assert conversion.value == (None if value == "*" else value)


@pytest.mark.parametrize(
    "one,other",
    [
        ("HTTPS://Example.org", "https://example.org/"),
        ("http://example.org:80/a%2fb", "http://example.org/a%2Fb"),
        ("https://example.org:443/", "https://EXAMPLE.org"),
    ],
)
def test_addresses_that_lead_to_one_place_are_the_same(rule_of: CompileOne, one: str, other: str) -> None:
    rule = rule_of(T.URL, T.URL)
    assert rule.normal_local(one) == rule.normal_remote(other)
    assert rule.to_remote(one).value == one


@pytest.mark.parametrize(
    "one,other",
    [
        ("https://example.org/a", "https://example.org/A"),
        ("http://example.org", "https://example.org"),
        ("example.org", "https://example.org"),
        ("https://example.org/?a=1", "https://example.org/?a=2"),
    ],
)
def test_addresses_that_may_lead_elsewhere_are_not(rule_of: CompileOne, one: str, other: str) -> None:
    rule = rule_of(T.URL, T.URL)
    assert rule.normal_local(one) != rule.normal_local(other)


@pytest.mark.parametrize(
    "options,path,code",
    [
        ({"zone": "Europe/Atlantis"}, "fields[0].zone", "unknown_zone"),
        ({"zone": "../../etc/passwd"}, "fields[0].zone", "unknown_zone"),
        ({"unit": "minutes"}, "fields[0].unit", "unit_unfit"),
        ({"crm_unit": "fraction", "field_type": "integer"}, "fields[0].crm_unit", "unit_unfit"),
        ({"unknown_option": "fallback"}, "fields[0].fallback_option", "unknown_option"),
        ({"unknown_option": "fallback", "fallback_option": "Fair"}, "fields[0].fallback_option", "unknown_option"),
        (
            {"value_map": {"a": "Web", "A": "Phone"}, "case_fold": True},
            "fields[0].value_map",
            "value_map_not_one_to_one",
        ),
    ],
)
def test_settings_that_cannot_work_are_faults(
    rule_of: CompileOne, options: dict[str, object], path: str, code: str
) -> None:
    with pytest.raises(MappingError) as caught:
        rule_of(T.TEXT, LEAD_SOURCE, **options)
    assert (path, code) in {(problem.path, problem.code) for problem in caught.value.problems}


def test_no_setting_touches_missing_and_none(rule_of: CompileOne) -> None:
    rule = rule_of(T.TEXT, LEAD_SOURCE, unknown_option="fallback", fallback_option="Other", case_fold=True)
    assert rule.to_remote(None).value is None
    assert rule.to_remote(MISSING).value is MISSING
    assert rule.normal_local(None) is None
