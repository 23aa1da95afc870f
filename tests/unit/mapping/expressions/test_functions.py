"""What each function makes of a record, and of blanks, hidden fields and values that it cannot use."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from crmsync.mapping import evaluate
from crmsync.mapping.expressions.forms import FORMS
from crmsync.mapping.expressions.functions import FUNCTIONS
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldType

RECORD = {
    "name": "  ada  o'brien-lovelace ",
    "First Name": "Ada",
    "Account.Name": "Engines, Ltd.",
    "blank": None,
    "amount": Decimal("1234.5"),
    "half": Decimal("0.5"),
    "zero": 0,
    "born": dt.date(2024, 2, 29),
    "seen": dt.datetime(2026, 1, 31, 23, 30, tzinfo=dt.UTC),
    "yes": True,
    "no": False,
    "tags": ("a", "b", "c"),
    "phone": "+44 (20) 7946-0958",
    "code": "N-42",
}
TYPES = {"hidden": FieldType.TEXT, "hidden flag": FieldType.BOOLEAN}

CASES: list[tuple[str, object]] = [
    ("upper([First Name])", "ADA"),
    ("lower([First Name])", "ada"),
    ("title(squeeze(name))", "Ada O'Brien-Lovelace"),
    ('title("they\'re")', "They're"),
    ("trim(name)", "ada  o'brien-lovelace"),
    ("length([First Name]) + length(tags)", Decimal(6)),
    ("left(code, 1) & right(code, 2)", "N42"),
    ("left(code, -1)", ""),
    ("substring(code, 3)", "42"),
    ("substring(code, 1, 2)", "N-"),
    ('replace([Account.Name], "Engines", "Works")', "Works, Ltd."),
    ('before([Account.Name], ",")', "Engines"),
    ('before(code, ",")', "N-42"),
    ('after(code, "-")', "42"),
    ('after(code, ",")', None),
    ('part("a/b/c", "/", -1)', "c"),
    ('part("a/b/c", "/", 4)', None),
    ('starts_with(code, "N") and ends_with(code, "2")', True),
    ('contains(tags, "b")', True),
    ('contains(code, "x")', False),
    ('split("a; b;;a", ";")', ("a", "b")),
    ('join(tags, "|")', "a|b|c"),
    ("element(tags, 2)", "b"),
    ('list(code, blank, "x", code)', ("N-42", "x")),
    ('concat([First Name], blank, "-", amount, yes, born)', "Ada-1234.5true2024-02-29"),
    ("concat(blank, blank)", None),
    ('concat_with(" ", [First Name], blank, "", "L")', "Ada L"),
    ('concat_with(" ", blank)', None),
    ("blank & [First Name]", "Ada"),
    ('coalesce(blank, "  ", hidden, [First Name])', "Ada"),
    ("coalesce(blank, hidden)", MISSING),
    ("coalesce(blank, blank)", None),
    ("is_blank(blank) and is_blank(trim(' '))", True),
    ('if(amount > 1000, "big", "small")', "big"),
    ('if(blank = "x", "then", "else")', "else"),
    ('if([hidden flag], "then", "else")', MISSING),
    ("no and [hidden flag]", False),
    ("yes or [hidden flag]", True),
    ("yes and [hidden flag]", MISSING),
    ("yes and blank = code", None),
    ("not no", True),
    ('lookup(code, {"N-42": 1, "N-43": 2})', Decimal(1)),
    ('lookup([First Name], {"x": "y"}, "other")', "other"),
    ("lookup(blank, {'x': 'y'}, 'other')", None),
    ("code = 'N-42'", True),
    ("code != 'N-42'", False),
    ("born < date(seen)", True),
    ("amount >= 1234.5", True),
    ("amount + 1 - 2 * 3 / 4", Decimal(1234)),
    ("-amount", Decimal("-1234.5")),
    ("mod(-7, 3)", Decimal(2)),
    ("abs(-7)", Decimal(7)),
    ("round(half)", Decimal(1)),
    ("round(-2.345, 2)", Decimal("-2.35")),
    ("floor(-half)", Decimal(-1)),
    ("ceiling(half)", Decimal(1)),
    ("min(3, amount, half)", Decimal("0.5")),
    ("max(3, half)", Decimal(3)),
    ('number(" 12.50 ")', Decimal("12.5")),
    ("number(yes)", Decimal(1)),
    ("text(amount)", "1234.5"),
    ("text(seen)", "2026-01-31T23:30:00Z"),
    ('boolean("Yes")', True),
    ('format_number(amount, 2, ".", ",")', "1.234,50"),
    ("format_number(-0.001, 2)", "0.00"),
    ('parse_number("1.234,50", ".", ",")', Decimal("1234.5")),
    ('parse_number("-1 234", " ")', Decimal(-1234)),
    ('date("2026-01-31")', dt.date(2026, 1, 31)),
    ("date(seen)", dt.date(2026, 1, 31)),
    ("datetime(born)", dt.datetime(2024, 2, 29, tzinfo=dt.UTC)),
    ('time("23:30")', dt.time(23, 30)),
    ('parse_date("31.01.2026", "dd.MM.yyyy")', dt.date(2026, 1, 31)),
    ('parse_datetime("20260131T2330", "yyyyMMdd\'T\'HHmm")', dt.datetime(2026, 1, 31, 23, 30, tzinfo=dt.UTC)),
    ('format_date(seen, "dd/MM/yyyy HH:mm:ss")', "31/01/2026 23:30:00"),
    ("add_days(born, 1)", dt.date(2024, 3, 1)),
    ("add_months(born, 12)", dt.date(2025, 2, 28)),
    ("add_months(born, -2)", dt.date(2023, 12, 29)),
    ("add_hours(seen, 1)", dt.datetime(2026, 2, 1, 0, 30, tzinfo=dt.UTC)),
    ("add_minutes(seen, -30)", dt.datetime(2026, 1, 31, 23, tzinfo=dt.UTC)),
    ("days_between(born, seen)", Decimal(702)),
    ("year(born) * 10000 + month(born) * 100 + day(born)", Decimal(20240229)),
    ("weekday(born)", Decimal(4)),
    (r"matches(phone, '^\+\d+')", True),
    (r"extract(code, '-(\d+)', 1)", "42"),
    (r"extract(code, 'x')", None),
    (r"replace_pattern(phone, '[^0-9+]', '')", "+442079460958"),
    (r"replace_pattern(code, '(\w)-(\d)', '$2$$$1')", "4$N2"),
]


@pytest.mark.parametrize("expression,expected", CASES)
def test_a_function_gives_this(expression: str, expected: object) -> None:
    found = evaluate(expression, RECORD, types=TYPES)
    assert not found.failure
    assert found.value == expected
    assert type(found.value) is type(expected)


def test_every_function_is_among_the_cases() -> None:
    text = " ".join(expression for expression, _ in CASES)
    words = (*FUNCTIONS, *FORMS)
    assert [name for name in words if f"{name}(" not in text and f" {name} " not in f" {text} "] == ["<="]
    assert evaluate("1 <= 1", {}).value is True


@pytest.mark.parametrize(
    "expression", ["upper(blank)", "left(code, length(blank))", "amount + number(blank)", "-number(blank)"]
)
def test_null_makes_null(expression: str) -> None:
    assert evaluate(expression, RECORD).value is None


@pytest.mark.parametrize(
    "expression", ["upper(hidden)", "hidden & code", "concat_with(' ', hidden, code)", "hidden = blank"]
)
def test_a_field_that_is_not_shown_makes_a_value_that_is_not_shown(expression: str) -> None:
    found = evaluate(expression, RECORD, types=TYPES)
    assert found.value is MISSING
    assert not found.failure


FAILURES = [
    ("1 / zero", "no such result"),
    ("mod(1, zero)", "no such result"),
    ('number("x")', "not a number"),
    ('parse_number("1,23.4", ",")', "not a number"),
    ("left(code, half)", "whole"),
    ("add_days(born, half)", "whole"),
    ("add_days(born, 9999999)", "years 1 to 9999"),
    ("add_months(born, 99999)", "years 1 to 9999"),
    ('date("31.01.2026")', "not a date"),
    ('parse_date("2026-02-30", "yyyy-MM-dd")', "form of the pattern"),
    ('datetime("2026-01-31T10:00:00")', "without a zone"),
    ('boolean("maybe")', "not a truth value"),
    ('lookup(code, {"x": "y"})', "not in the table"),
    ("extract(code, 'N', 1)", "no group 1"),
    ("max(amount, 1) * 100000000000000000000000000000000000000 * 100000000000000000000000000000000000000", "digits"),
]


@pytest.mark.parametrize("expression,reason", FAILURES)
def test_what_has_no_value_says_why(expression: str, reason: str) -> None:
    found = evaluate(expression, RECORD)
    assert found.value is MISSING
    assert reason in found.failure


def test_a_failure_wins_over_a_blank_and_a_hidden_field_over_both() -> None:
    assert evaluate('number("x") + number(blank)', RECORD).failure
    assert not evaluate('number("x") + number(hidden)', RECORD, types=TYPES).failure


def test_texts_stay_within_bounds() -> None:
    record = {"long": "x" * 131_072, "longer": "x" * 131_073}
    assert evaluate("length(long)", record).value == 131_072
    for expression in ("long & long", "replace(long, 'x', 'yy')", "replace_pattern(long, 'x', 'yy')", "upper(longer)"):
        assert "131072 characters" in evaluate(expression, record).failure


def test_a_value_is_read_as_the_type_of_its_field() -> None:
    types = {"n": FieldType.INTEGER, "d": FieldType.DATE, "b": FieldType.BOOLEAN, "t": FieldType.TAGS}
    record = {"n": "12", "d": "2026-01-31", "b": "yes", "t": "a;b"}
    assert evaluate("if(b, n + day(d) + length(t), 0)", record, types=types).value == 45
    assert "not a number" in evaluate("n + 1", {"n": "twelve"}, types=types).failure
