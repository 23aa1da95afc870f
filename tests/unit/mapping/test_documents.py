"""Mapping documents: the same in TOML and JSON, held to their schema, and refused with every fault."""

from __future__ import annotations

import json
import tomllib

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from crmsync.errors import MappingError
from crmsync.mapping.documents import DocumentForm, read_document, write_document
from crmsync.models.mappings import (
    ConflictPolicy,
    DeletePolicy,
    Enforcement,
    FieldMapping,
    MatchKeys,
    ObjectMapping,
    OnBlank,
    two_way,
)
from crmsync.models.schema import FieldType
from crmsync.models.templates import MappingDocument, mapping_schema
from crmsync.testing.memory import MemoryProviderFactory

SCHEMA = Draft202012Validator(mapping_schema())

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
values = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False), names
)
fields = st.builds(
    FieldMapping,
    markmail_field=names,
    crm_field=names,
    field_type=st.sampled_from(FieldType),
    policy=st.one_of(st.none(), st.sampled_from(ConflictPolicy)),
    to_crm=st.one_of(st.none(), st.sampled_from(Enforcement)),
    value_map=st.dictionaries(names, names, max_size=3),
    default=values,
    on_blank=st.sampled_from(OnBlank),
    normalise=st.lists(names, max_size=2).map(tuple),
    never_clear=st.booleans(),
)
mappings = st.builds(
    ObjectMapping,
    local_object=names,
    fields=st.lists(fields, max_size=3).map(tuple),
    match=st.builds(MatchKeys, local_email=names),
    delete_in_crm=st.sampled_from(DeletePolicy),
    overwrite_guard_share=st.floats(0, 1),
)
documents = st.builds(
    MappingDocument,
    provider=names,
    name=names,
    description=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    objects=st.dictionaries(names, mappings, min_size=1, max_size=2),
)


@settings(max_examples=40)
@given(documents)
def test_a_document_says_the_same_in_both_languages_and_keeps_to_its_schema(document: MappingDocument) -> None:
    toml, text = (write_document(document, form) for form in DocumentForm)
    assert read_document(toml) == read_document(text) == document
    assert tomllib.loads(toml) == json.loads(text)
    SCHEMA.validate(json.loads(text))


def test_the_mappings_of_a_provider_can_be_read_by_a_person() -> None:
    document = MappingDocument(
        provider="memory",
        name="ours",
        objects={"Contact": MemoryProviderFactory().default_mappings()["Contact"]},
    )
    lines = write_document(document, DocumentForm.TOML).splitlines()
    assert lines[:4] == ['format = "crmsync-mapping/1"', 'provider = "memory"', 'name = "ours"', ""]
    assert "[[objects.Contact.fields]]" in lines
    assert 'markmail_field = "first_name"' in lines


def test_every_fault_is_told_with_its_path_and_without_the_value() -> None:
    content = {
        "format": "crmsync-mapping/1",
        "provider": "salesforce",
        "name": "",
        "objects": {
            "Contact": {"fields": [{"markmail_field": "a"}, {"crm_field": "B", "markmail_field": "b", "x": 1}]}
        },
        "secret": "hunter2",
    }
    with pytest.raises(MappingError) as caught:
        read_document(json.dumps(content))
    assert sorted(problem.path for problem in caught.value.problems) == [
        "name",
        "objects.Contact.fields[0].crm_field",
        "objects.Contact.fields[1].x",
        "secret",
    ]
    assert "hunter2" not in str(caught.value)
    assert not SCHEMA.is_valid(content)


@pytest.mark.parametrize(
    "text,code",
    [
        ("{", "not_json"),
        ("[[[", "not_toml"),
        ("", "missing"),
        ("[" * 100_000, "not_toml"),
        ('{"a":' * 100_000, "not_json"),
        ('format = "crmsync-mapping/2"\nprovider = "p"\nname = "n"\nobjects = {}', "literal_error"),
    ],
)
def test_what_is_no_document_is_refused(text: str, code: str) -> None:
    with pytest.raises(MappingError) as caught:
        read_document(text)
    assert code in {problem.code for problem in caught.value.problems}
    assert all(problem.remedy or problem.path == "" for problem in caught.value.problems)


def test_what_an_older_document_leaves_out_has_its_default() -> None:
    text = '{"format": "crmsync-mapping/1", "provider": "p", "name": "n", "objects": {"C": {"fields": []}}}'
    assert read_document(text).objects == {"C": ObjectMapping(fields=())}
    assert two_way("a", "A") == FieldMapping(markmail_field="a", crm_field="A")
