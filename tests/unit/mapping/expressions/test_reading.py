"""How expressions are written, and what is said of those that cannot be used."""

from __future__ import annotations

import pytest

from crmsync.errors import MappingError
from crmsync.mapping import evaluate
from crmsync.mapping.expressions import Call, Name, printed, read
from crmsync.mapping.expressions.syntax import MAX_DEPTH
from crmsync.models.schema import FieldType

FIELDS = {"a": FieldType.TEXT, "b": FieldType.TEXT, "n": FieldType.DECIMAL, "flag": FieldType.BOOLEAN}


def faults(expression: str) -> list[tuple[str, str]]:
    """Code and message of each fault."""
    with pytest.raises(MappingError) as caught:
        evaluate(expression, {}, types=FIELDS)
    assert all(problem.remedy for problem in caught.value.problems)
    return [(problem.code, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "expression,form",
    [
        ("a&b", "a & b"),
        ("a & (b & a)", "a & (b & a)"),
        ("(a & b) & a", "a & b & a"),
        ("1-(2-3)", "1 - (2 - 3)"),
        ("-(n + 1) * -2", "-(n + 1) * -2"),
        ("- -n", "--n"),
        ("- -1", "1"),
        ("not (flag and not flag) or flag", "not (flag and not flag) or flag"),
        ("(1 < 2) = flag", "(1 < 2) = flag"),
        ("[a]&[Full Name]&[x]]y]", "a & [Full Name] & [x]]y]"),
        ("[and]", "[and]"),
        ("Account.Owner.Name", "Account.Owner.Name"),
        (r"'raw\d' & " + r'"tab\t\"\u00e9"', r'"raw\\d" & "tab\t\"é"'),
        ('lookup(a,{"x":-1,"y":2.50})', 'lookup(a, {"x": -1, "y": 2.50})'),
        ("upper(\n  a\n)", "upper(a)"),
        ("order", "order"),
    ],
)
def test_an_expression_has_one_form(expression: str, form: str) -> None:
    assert printed(read(expression)) == form
    assert read(form) == read(expression)


def test_operators_bind_as_usual() -> None:
    assert read("flag or a = b & b and not flag") == read("flag or ((a = (b & b)) and (not flag))")
    assert read("1 + 2 * n - 3") == read("(1 + (2 * n)) - 3")


@pytest.mark.parametrize(
    "expression", ["", "a +", "(a", "a b", '"open', "upper(a,)", "1 < 2 < 3", "{", "a ; b", "1.", "[]", "=a"]
)
def test_what_cannot_be_read_says_where(expression: str) -> None:
    [(code, message)] = faults(expression)
    assert code == "syntax"
    assert message.startswith("column ")


def test_a_place_in_several_lines_has_its_line() -> None:
    assert faults("concat(\n  a,\n  nobody)") == [
        ("unknown_name", "line 3, column 3: the record has no field 'nobody'"),
    ]


def test_every_fault_is_told_at_once() -> None:
    assert [code for code, _ in faults('upper(n) & flop(1) & nobody & matches(a, "(") & left(a) & if(a, 1, "x")')] == [
        "argument_type",
        "unknown_function",
        "unknown_name",
        "bad_constant",
        "argument_count",
        "argument_type",
        "argument_type",
    ]


@pytest.mark.parametrize(
    "expression,code",
    [
        ("n & upper(n)", "argument_type"),
        ("a < n", "argument_type"),
        ("coalesce(a, 1)", "argument_type"),
        ("matches(a, b)", "not_constant"),
        ("split(a, '')", "bad_constant"),
        ("round(n, 0.5)", "bad_constant"),
        ("format_date(date(a), 'QQ')", "bad_constant"),
        ("parse_date(a, 'dd.MM')", "bad_constant"),
        ("parse_date(a, 'dd.MM.yyyy HH')", "bad_constant"),
        (r"matches(a, '(a)\1')", "bad_constant"),
        (r"matches(a, 'a(?=b)')", "bad_constant"),
        (r"matches(a, '((a{100}){100}){100}')", "bad_constant"),
        ('{"a": "b"}', "table"),
        ('lookup(a, "x")', "table"),
        ("lookup(a, {})", "table"),
        ('lookup(a, {"x": 1, "x": 2})', "table"),
        ('lookup(n, {"x": 1})', "argument_type"),
        ("if(flag, 1)", "argument_count"),
        ("today()", "unknown_function"),
        ('"\\q"', "bad_constant"),
        ("1" * 41, "bad_constant"),
        ("a" * 4001, "too_long"),
        ("&".join("a" * 200), "too_large"),
        ("concat(" + ",".join("a" * 1500) + ")", "too_large"),
    ],
)
def test_a_fault_has_a_stable_code(expression: str, code: str) -> None:
    assert code in [found for found, _ in faults(expression)]


def test_nesting_ends_at_its_bound() -> None:
    deep = "upper(" * (MAX_DEPTH - 1) + "a" + ")" * (MAX_DEPTH - 1)
    assert printed(read(deep)) == deep
    assert faults(f"upper({deep})")[0][0] == "too_large"


def test_parentheses_are_no_part_of_the_tree() -> None:
    assert read("(" * 1000 + "a" + ")" * 1000) == Name("a")
    assert read("(a) & (a)") == Call("&", (Name("a"), Name("a")))


def test_a_pattern_that_would_run_away_elsewhere_takes_no_time_here() -> None:
    record = {"a": "a" * 100_000 + "!"}
    assert evaluate(r"matches(a, '^(a+)+$')", record).value is False
    assert evaluate(r"extract(a, '(a|a)*b')", record).value is None
