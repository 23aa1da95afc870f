"""What holds for every expression and every record."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Final

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crmsync.mapping.computed import ComputedFields
from crmsync.mapping.expressions import (
    Compiled,
    Failed,
    Fault,
    FaultyError,
    Literal,
    Node,
    Scope,
    ValueType,
    compile_node,
    names_in,
    printed,
    read,
)
from crmsync.mapping.expressions.inverting import VALUE, Inverter, NoInverseError
from crmsync.mapping.expressions.values import MAX_TEXT, field_type_of
from crmsync.mapping.findings import Findings
from crmsync.mapping.virtual import add_computed
from crmsync.models.mappings import ComputedField, ObjectMapping
from crmsync.models.records import MISSING, Side
from crmsync.models.schema import FieldSchema, ObjectSchema
from tests.property.programs import FIELDS, TYPES, fitting, programs, records

SCOPE: Final = Scope(FIELDS)
PYTHON: Final = {
    ValueType.TEXT: str,
    ValueType.NUMBER: Decimal,
    ValueType.BOOLEAN: bool,
    ValueType.DATE: dt.date,
    ValueType.DATETIME: dt.datetime,
    ValueType.TIME: dt.time,
    ValueType.LIST: tuple,
}
SCHEMA: Final = ObjectSchema(
    name="rows", fields=tuple(FieldSchema(name=name, type=kind) for name, kind in FIELDS.items())
)


def any_program() -> st.SearchStrategy[Node]:
    return st.sampled_from(TYPES).flatmap(programs)


def compiled(node: Node) -> Compiled:
    """A program compiled; those with a blank where a type cannot be told are left out."""
    try:
        return compile_node(node, SCOPE)
    except FaultyError:
        assume(condition=False)
        raise


@settings(max_examples=60)
@given(any_program())
def test_reading_what_was_printed_gives_the_same_tree(node: Node) -> None:
    assert read(printed(node)) == node
    assert printed(read(printed(node))) == printed(node)


@given(st.text(max_size=60) | st.text("ab1\"'[](){}&|+-*/<>=!,.: \\n", max_size=60))
def test_no_text_makes_reading_raise_anything_but_a_fault_in_it(text: str) -> None:
    faults: tuple[Fault, ...] = ()
    try:
        compile_node(read(text), Scope({}, open=True))
    except FaultyError as error:
        faults = error.faults
    assert all(0 <= fault.at <= len(text) and fault.remedy for fault in faults)


@settings(max_examples=60)
@given(any_program(), records(hostile=True))
def test_no_record_makes_a_program_raise(node: Node, record: dict[str, object]) -> None:
    program = compiled(node)
    value = program.run(record.get)
    if value is None or value is MISSING or isinstance(value, Failed):
        return
    assert isinstance(value, PYTHON[program.type])
    assert not isinstance(value, str) or len(value) <= MAX_TEXT


@settings(max_examples=60)
@given(any_program(), records(), records())
def test_only_what_a_program_depends_on_changes_its_value(
    node: Node, record: dict[str, object], other: dict[str, object]
) -> None:
    program = compiled(node)
    assert program.names == {name.name for name in names_in(node)}
    kept = {name: value for name, value in record.items() if name in program.names}
    rest = {name: value for name, value in other.items() if name not in program.names}
    assert program.run({**rest, **kept}.get) == program.run(record.get)


@settings(max_examples=60)
@given(st.sampled_from(TYPES), records())
def test_a_strict_function_keeps_blanks_and_hidden_fields(kind: ValueType, record: dict[str, object]) -> None:
    name = next(name for name, each in FIELDS.items() if field_type_of(kind) is each or each == "text")
    program = compile_node(read(f"coalesce([{name.replace(']', ']]')}])"), SCOPE)
    found = program.run(record.get)
    given_value = record.get(name, MISSING)
    assert (found is MISSING) is (given_value is MISSING)
    assert given_value is not None or found is None


INVERTIBLE: Final = (
    "name",
    "trim(name)",
    "text(seats)",
    "seats * 100 - 7",
    "-amount / 8",
    "not flag",
    'format_date(born, "dd/MM/yyyy")',
    "text(born)",
    "text(seen)",
    "add_days(born, -3)",
    'seats & "/" & name',
    '"<" & name & ">"',
    'born & " " & seats',
    'concat_with(" ", born, amount)',
    'lookup(name, {"a": "x", "b": "y", "c": "z"})',
    'format_number(amount, 2, ".", ",")',
)


@settings(max_examples=60)
@given(st.sampled_from(INVERTIBLE), records())
def test_a_known_inverse_gives_the_fields_back(expression: str, record: dict[str, object]) -> None:
    program = compile_node(read(expression), SCOPE)
    value = program.run(record.get)
    assume(value is not MISSING and not isinstance(value, Failed))
    scope = Scope({VALUE: field_type_of(program.type)})
    trees = Inverter(SCOPE, {}).invert(program.node)
    back = {name: compile_node(tree, scope).run({VALUE: value}.get) for name, tree in trees.items()}
    again = program.run({**record, **back}.get)
    assume(not any(isinstance(each, Failed) for each in back.values()))
    assert again == value


@settings(max_examples=60)
@given(st.data())
def test_what_is_written_comes_back_or_is_refused(data: st.DataObject) -> None:
    node = data.draw(any_program())
    program = compiled(node)
    try:
        Inverter(SCOPE, {}).invert(node)
    except NoInverseError:
        assume(condition=False)
    source = printed(node)
    assume(not isinstance(node, Literal) and len(source) < 4000)
    mapping = ObjectMapping(fields=(), computed=(ComputedField(side=Side.LOCAL, name="made", expression=source),))
    findings = Findings()
    side = add_computed(mapping, SCHEMA, ObjectSchema(name="other"), findings).sides[Side.LOCAL]
    assert not findings.faults
    record, value = data.draw(records()), data.draw(fitting(field_type_of(program.type)))
    expansion = side.expand({"made": value}, record)
    if "made" in expansion.refused:
        assert not expansion.fields
        return
    held = ComputedFields({**record, **expansion.fields}, side.columns).get("made")
    assert bare(held) == bare(value)


def bare(value: object) -> object:
    """What is the same but for case and white space."""
    if isinstance(value, str):
        return "".join(value.split()).casefold() or None
    return frozenset(map(bare, value)) or None if isinstance(value, tuple) else value
