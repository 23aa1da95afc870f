"""The strategies that third parties draw their cases from."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import find, given
from hypothesis import strategies as st

from crmsync.mapping import compile_mapping
from crmsync.models.mappings import ObjectMapping
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.testing.strategies import NOTORIOUS, anything, field_schemas, hostile_texts, object_mappings, values_of


@given(object_mappings())
def test_a_drawn_mapping_compiles(drawn: tuple[ObjectMapping, ObjectSchema, ObjectSchema]) -> None:
    mapping, local, remote = drawn
    assert len(compile_mapping(mapping, local, remote).rules) == len(mapping.fields)


@given(field_schemas([FieldType.TEXT, FieldType.PICKLIST, FieldType.BOOLEAN]), st.data())
def test_a_drawn_value_fits_its_field(field: FieldSchema, data: st.DataObject) -> None:
    value = data.draw(values_of(field))
    assert value is not None or field.nillable
    if field.length is not None and isinstance(value, str):
        assert len(value) <= field.length
    if field.restricted and value is not None:
        assert value in field.options


def test_lone_surrogates_and_every_notorious_value_are_drawn() -> None:
    assert find(hostile_texts(), lambda text: any("\ud800" <= char <= "\udfff" for char in text))
    assert find(anything(), lambda value: type(value) is type(NOTORIOUS[-1]) and value == NOTORIOUS[-1])


def test_without_hypothesis_the_module_imports_and_a_strategy_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from crmsync.errors import MissingExtraError\n"
        "from crmsync.testing.strategies import hostile_texts\n"
        "try: hostile_texts()\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("pip install 'crmsync[testing]'")
