"""The inverses that are known, and why there is none for the rest."""

from __future__ import annotations

import pytest

from crmsync.mapping.expressions import Scope, compile_node, printed, read
from crmsync.mapping.expressions.inverting import Inverter, NoInverseError
from crmsync.models.schema import FieldType

SCOPE = Scope(
    {
        "name": FieldType.TEXT,
        "last": FieldType.TEXT,
        "level": FieldType.PICKLIST,
        "number": FieldType.INTEGER,
        "born": FieldType.DATE,
        "seen": FieldType.DATETIME,
        "flag": FieldType.BOOLEAN,
    }
)
OPTIONS = {"level": ("gold", "silver")}


def inverse(expression: str) -> dict[str, str]:
    found = Inverter(SCOPE, OPTIONS).invert(read(expression))
    return {name: printed(tree) for name, tree in found.items()}


@pytest.mark.parametrize(
    "expression,expected",
    [
        ("name", {"name": "value"}),
        ("trim(upper(name))", {"name": "value"}),
        ('lookup(name, {"a": "b", "c": "d"})', {"name": 'lookup(value, {"b": "a", "d": "c"})'}),
        ("not flag", {"flag": "not value"}),
        ("text(number)", {"number": "number(value)"}),
        ("text(born)", {"born": "date(value)"}),
        ("number(name)", {"name": "text(value)"}),
        ("number * 100 + 1", {"number": "(value - 1) / 100"}),
        ("10 - number / 4", {"number": "(10 - value) * 4"}),
        ("-number", {"number": "-value"}),
        ('format_number(number, 2, ".", ",")', {"number": 'parse_number(value, ".", ",")'}),
        ('format_date(born, "dd.MM.yyyy")', {"born": 'parse_date(value, "dd.MM.yyyy")'}),
        ('parse_date(name, "dd.MM.yyyy")', {"name": 'format_date(value, "dd.MM.yyyy")'}),
        ("add_days(born, 7)", {"born": "add_days(value, -7)"}),
        ('"C-" & name', {"name": "substring(value, 3)"}),
        ('concat("<", name, ">")', {"name": "left(substring(value, 2), length(substring(value, 2)) - 1)"}),
        ('number & "/" & name', {"number": 'number(before(value, "/"))', "name": 'after(value, "/")'}),
        ('concat_with(" ", level, name)', {"level": 'before(value, " ")', "name": 'after(value, " ")'}),
    ],
)
def test_this_is_undone_by_that(expression: str, expected: dict[str, str]) -> None:
    assert inverse(expression) == expected


@pytest.mark.parametrize(
    "expression,reason",
    [
        ('name & " " & last', "may stand within 'name'"),
        ('number & "." & name', "may stand within 'number'"),
        ('level & "o" & name', "may stand within 'level'"),
        ("name & last", "nothing stands between"),
        ('level & "/" & level', "twice"),
        ("number + number", "taken apart"),
        ("number / 3", "no end"),
        ("number * 0", "no end"),
        ('lookup(name, {"a": "x", "b": "x"})', "same value"),
        ('lookup(name, {"a": "x"}, "y")', "stands for many"),
        ("date(seen)", "time of day"),
        ('format_date(born, "MM/yyyy")', "leaves a part"),
        ("left(name, 2)", "left cannot be undone"),
        ('"constant"', "constant"),
        ("if(flag, name, last)", "if cannot be undone"),
    ],
)
def test_this_is_not_undone(expression: str, reason: str) -> None:
    with pytest.raises(NoInverseError, match=reason):
        inverse(expression)


def test_an_inverse_has_the_type_of_its_field() -> None:
    scope = Scope({"value": FieldType.TEXT})
    [tree] = Inverter(SCOPE, OPTIONS).invert(read("text(born)")).values()
    assert compile_node(tree, scope).type == "date"
