"""The code that is generated for a mapping, and what it never holds."""

from __future__ import annotations

import types

from crmsync.mapping import RecordConverter, compile_mapping
from crmsync.models.mappings import FieldMapping, MatchKeys, ObjectMapping
from crmsync.models.records import Side
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema

HOSTILE = 'x"]; __import__("os").abort(); {v} {0} %s \\ \n'


def converter(*fields: FieldMapping, holds: tuple[FieldSchema, ...] = ()) -> RecordConverter:
    local = ObjectSchema(name="subscribers", open=True)
    remote = ObjectSchema(name="Contact", fields=holds, open=True)
    keys = MatchKeys(local_email="", remote_email="")
    return RecordConverter(compile_mapping(ObjectMapping(fields=fields, match=keys), local, remote), Side.REMOTE)


def code_of(convert: RecordConverter) -> types.CodeType:
    assert isinstance(convert.convert, types.FunctionType)
    return convert.convert.__code__


def test_no_name_option_or_length_of_a_mapping_is_part_of_the_code() -> None:
    """A mapping full of quotes and calls compiles to the very code that a harmless one compiles to."""
    hostile, harmless = (
        converter(
            FieldMapping(markmail_field=name, crm_field=name, value_map={name: name}),
            FieldMapping(markmail_field=f"{name}2", crm_field=f"{name}2", default=name),
            holds=(
                FieldSchema(name=name, type=FieldType.PICKLIST, options=(name,), restricted=True),
                FieldSchema(name=f"{name}2", length=length),
            ),
        )
        for name, length in ((HOSTILE, 77), ("plain", 5))
    )
    assert code_of(hostile) is code_of(harmless)
    assert hostile({HOSTILE: HOSTILE, f"{HOSTILE}2": "ok"}).values == {HOSTILE: HOSTILE, f"{HOSTILE}2": "ok"}


def test_a_mapping_without_fields_converts_a_record_to_nothing() -> None:
    off = converter(FieldMapping(markmail_field="a", crm_field="A", to_crm="off"))
    assert off({"a": "1"}) == ({}, (), ())


def test_two_fields_that_are_read_into_one_leave_the_later_value() -> None:
    """No mapping writes a field twice, but whoever asks for every field may read it so."""
    fields = (
        FieldMapping(markmail_field="a", crm_field="A"),
        FieldMapping(markmail_field="b", crm_field="A", to_crm="off"),
    )
    keys = MatchKeys(local_email="", remote_email="")
    rule = compile_mapping(
        ObjectMapping(fields=fields, match=keys), ObjectSchema(name="x", open=True), ObjectSchema(name="X", open=True)
    )
    both = RecordConverter(rule, Side.REMOTE, every_field=True)
    assert both({"a": "1", "b": "2"}).values == both.step_by_step({"a": "1", "b": "2"}).values == {"A": "2"}
    assert both({"a": "1"}).values == {"A": "1"}


def test_a_mapping_of_a_thousand_fields_is_one_function() -> None:
    fields = tuple(FieldMapping(markmail_field=f"f{n}", crm_field=f"F{n}") for n in range(1000))
    wide = converter(*fields)
    assert len(wide({f"f{n}": str(n) for n in range(1000)}).values) == 1000
