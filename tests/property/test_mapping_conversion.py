"""What holds for every conversion, whatever the types, limits and values."""

from __future__ import annotations

from typing import Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from crmsync.mapping import compile_mapping, to_local, to_remote
from crmsync.mapping.fitting import cut_text
from crmsync.models.mappings import Enforcement, FieldMapping, MatchKeys, ObjectMapping, OnLoss
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.conversion import Conversion, FieldRule, LossKind
from crmsync.testing.strategies import anything, field_pairs, hostile_texts, object_mappings, texts, values_of

Pair = tuple[FieldMapping, FieldSchema, FieldSchema]

NO_MATCH: Final = MatchKeys(local_email="", remote_email="")


def compiled(mapping: FieldMapping, local: FieldSchema, remote: FieldSchema) -> FieldRule:
    """The rule of one field mapping."""
    sides = ObjectSchema(name="local", fields=(local,)), ObjectSchema(name="remote", fields=(remote,))
    return compile_mapping(ObjectMapping(fields=(mapping,), match=NO_MATCH), *sides).rules[0]


def reporting(pair: Pair) -> FieldRule:
    """The rule of a pair that accepts losses and reports them."""
    mapping, local, remote = pair
    return compiled(mapping.model_copy(update={"on_loss": OnLoss.REPORT}), local, remote)


@settings(max_examples=200)
@given(field_pairs(), anything())
def test_no_object_makes_a_converter_or_normaliser_raise(pair: Pair, value: object) -> None:
    rule = compiled(*pair)
    for convert in (rule.to_remote, rule.to_local):
        conversion = convert(value)
        assert isinstance(conversion, Conversion)
        assert conversion.losses or not conversion.rejected
    for normal in (rule.normal_local, rule.normal_remote):
        hash(normal(value))
    for elements, join in ((rule.elements_local, rule.join_local), (rule.elements_remote, rule.join_remote)):
        if rule.set_valued:
            join(elements(value))


@settings(max_examples=200)
@given(field_pairs(), anything())
def test_a_normal_form_is_its_own_normal_form(pair: Pair, value: object) -> None:
    rule = compiled(*pair)
    for normal in (rule.normal_local, rule.normal_remote):
        once = normal(value)
        assert normal(once) == once


@settings(max_examples=200)
@given(st.data())
def test_a_value_comes_back_or_its_loss_is_reported(data: st.DataObject) -> None:
    pair = data.draw(field_pairs())
    rule, value = reporting(pair), data.draw(values_of(pair[1]))
    there = rule.to_remote(value)
    if there.losses:
        return
    back = rule.to_local(there.value)
    assert back.losses or rule.normal_local(back.value) == rule.normal_local(value)


@settings(max_examples=200)
@given(st.data())
def test_a_crm_value_comes_back_or_its_loss_is_reported(data: st.DataObject) -> None:
    pair = data.draw(field_pairs())
    rule, value = reporting(pair), data.draw(values_of(pair[2]))
    there = rule.to_local(value)
    if there.losses:
        return
    back = rule.to_remote(there.value)
    assert back.losses or rule.normal_remote(back.value) == rule.normal_remote(value)


@settings(max_examples=200)
@given(st.data())
def test_converting_again_changes_nothing(data: st.DataObject) -> None:
    """What was converted once without a loss is converted to the same value after a trip there and back."""
    pair = data.draw(field_pairs())
    rule, value = reporting(pair), data.draw(values_of(pair[1]))
    there = rule.to_remote(value)
    back = rule.to_local(there.value)
    if there.losses or back.losses:
        return
    assert rule.normal_remote(rule.to_remote(back.value).value) == rule.normal_remote(there.value)


@given(st.data())
def test_missing_none_and_values_are_kept_apart(data: st.DataObject) -> None:
    pair = data.draw(field_pairs())
    rule, value = reporting(pair), data.draw(values_of(pair[1]))
    for convert in (rule.to_remote, rule.to_local):
        assert convert(MISSING) == Conversion(MISSING)
        assert convert(None) == Conversion(None)
    conversion = rule.to_remote(value)
    assert conversion.value is not MISSING
    if rule.normal_local(value) is not None:
        assert conversion.value is not None or conversion.losses


@settings(max_examples=200)
@given(hostile_texts(), st.integers(1, 40), st.sampled_from(OnLoss))
def test_no_text_is_cut_or_altered_without_a_loss(text: str, length: int, on_loss: OnLoss) -> None:
    mapping = FieldMapping(markmail_field="a", crm_field="A", on_loss=on_loss)
    conversion = compiled(mapping, FieldSchema(name="a"), FieldSchema(name="A", length=length)).to_remote(text)
    if conversion.value == text:
        assert not conversion.losses
        return
    if on_loss is OnLoss.ACCEPT:
        assert not conversion.losses  # asked for by name: written without a report
    else:
        assert conversion.losses
        assert {loss.kind for loss in conversion.losses} <= {LossKind.TRUNCATED, LossKind.ENCODING}
    assert conversion.rejected == (on_loss in (OnLoss.REJECT_FIELD, OnLoss.REJECT_RECORD))
    assert conversion.whole_record == (on_loss is OnLoss.REJECT_RECORD)
    assert len(str(conversion.value)) <= length


@given(texts(), st.integers(1, 10))
@example("e\u0301" * 6, 5)
@example("\U0001f1e9\U0001f1ea" * 4, 5)
def test_a_cut_text_is_a_beginning_of_the_text(text: str, length: int) -> None:
    cut = cut_text(text, length)
    assert text.startswith(cut)
    assert len(cut) <= length
    assert cut or not text


@given(object_mappings(), st.data())
def test_the_order_of_field_mappings_does_not_matter(
    given_mapping: tuple[ObjectMapping, ObjectSchema, ObjectSchema], data: st.DataObject
) -> None:
    mapping, local, remote = given_mapping
    shuffled = mapping.model_copy(update={"fields": tuple(data.draw(st.permutations(mapping.fields)))})
    one, other = compile_mapping(mapping, local, remote), compile_mapping(shuffled, local, remote)
    assert one.version == other.version
    assert [rule.local for rule in one.rules] == [rule.local for rule in other.rules]
    record = {field.name: data.draw(values_of(field)) for field in local.fields}
    assert to_remote(one, record) == to_remote(other, dict(reversed(record.items())))


@given(object_mappings(), st.data())
def test_a_record_keeps_every_field_or_reports_it(
    given_mapping: tuple[ObjectMapping, ObjectSchema, ObjectSchema], data: st.DataObject
) -> None:
    """Each field is in the values, in the problems, or absent from the source."""
    mapping, local, remote = given_mapping
    rule = compile_mapping(mapping, local, remote)
    for convert, schema, source, target in (
        (to_remote, local, "local", "remote"),
        (to_local, remote, "remote", "local"),
    ):
        absent = data.draw(st.sets(st.sampled_from([field.name for field in schema.fields])))
        record = {field.name: data.draw(values_of(field)) for field in schema.fields if field.name not in absent}
        values, losses, problems = convert(rule, record)
        rejected = {problem.path for problem in problems}
        whole_record = any(
            getattr(each, f"to_{target}")(record[getattr(each, source)]).whole_record
            for each in rule.rules
            if getattr(each, source) in record
        )
        expected = {getattr(each, target) for each in rule.rules if getattr(each, source) in record}
        assert set(values) == (set() if whole_record else expected - rejected)
        assert rejected <= {loss.field for loss in losses}


def test_every_type_of_field_is_drawn() -> None:
    """The strategies above leave out no type, so neither do the tests."""
    for kind in FieldType:
        field = FieldSchema(name="a", type=kind)
        rule = compiled(FieldMapping(markmail_field="a", crm_field="a", field_type=kind), field, field)
        assert rule.to_crm is Enforcement.PROPAGATE
