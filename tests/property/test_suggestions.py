"""What holds for suggestions, whatever the fields are called and whatever the samples are."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.mapping.pairs import Fit, fit_of
from crmsync.mapping.suggestions import plain_ratio, propose
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.models.suggestions import Samples
from crmsync.testing.strategies import anything, hostile_texts

KNOWN = (
    "Email",
    "first_name",
    "Vorname",
    "MailingCity",
    "Telefon",
    "address1_line1",
    "E-mail 2 Address",
    "Name",
    "nom",
)


@st.composite
def objects(draw: st.DrawFn) -> ObjectSchema:
    names = draw(st.lists(st.sampled_from(KNOWN) | hostile_texts(), max_size=5, unique=True))
    fields = [
        FieldSchema(
            name=name,
            label=draw(st.just("") | hostile_texts()),
            type=draw(st.sampled_from(FieldType)),
            options=tuple(draw(st.lists(hostile_texts(), max_size=3))),
        )
        for name in names
    ]
    return ObjectSchema(name="object", fields=tuple(fields))


@settings(max_examples=30)
@given(objects(), objects(), st.data())
def test_suggestions_of_any_fields_are_one_to_one_scored_and_possible(
    local: ObjectSchema, remote: ObjectSchema, data: st.DataObject
) -> None:
    values = {field.name: tuple(data.draw(st.lists(anything(), max_size=3))) for field in local.fields}
    found = propose(local, remote, plain_ratio, samples=Samples(values, values))
    ours, theirs = [one.local_field for one in found.fields], [one.crm_field for one in found.fields]
    assert len(set(ours)) == len(ours)
    assert len(set(theirs)) == len(theirs)
    listed = {field.name for field in local.fields if field.type is not FieldType.ID}
    assert {*ours, *found.unmatched} == listed
    for one in found.fields:
        assert 0.5 <= one.score <= 1
        assert one.reasons
        there, back = fit_of(one.local_type, one.crm_type), fit_of(one.crm_type, one.local_type)
        assert (there, back) != (Fit.REFUSED, Fit.REFUSED)


@settings(max_examples=30)
@given(objects(), objects())
def test_the_order_of_fields_changes_no_suggestion(local: ObjectSchema, remote: ObjectSchema) -> None:
    def shuffled(schema: ObjectSchema) -> ObjectSchema:
        fields = sorted(schema.fields, key=lambda field: field.name[::-1])
        return schema.model_copy(update={"fields": tuple(fields)})

    one, other = propose(local, remote, plain_ratio), propose(shuffled(local), shuffled(remote), plain_ratio)
    assert one.fields == other.fields
    assert dict(one.unmatched) == dict(other.unmatched)
