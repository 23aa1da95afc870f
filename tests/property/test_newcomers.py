"""A new record that is decided upon at once comes to what its fields come to one by one, and so do its shadows."""

from __future__ import annotations

import datetime as dt
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.diff import BLANK_SHADOW, Digester, Merger, SideResult, merge_new, settle
from crmsync.mapping import compile_mapping
from crmsync.models.mappings import Enforcement, ObjectMapping, two_way
from crmsync.models.records import Record, Side
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema

KINDS = {
    "email": FieldType.EMAIL,
    "name": FieldType.TEXT,
    "phone": FieldType.PHONE,
    "size": FieldType.INTEGER,
    "since": FieldType.DATE,
    "vip": FieldType.BOOLEAN,
}
VALUES: dict[str, list[object]] = {
    "email": ["a@example.org", " A@Example.org", "", None],
    "name": ["Ann", " Ann ", " ", "", "O'Brien", "a\r\nb", None, 7],
    "phone": ["+49 30 1", "ask her", None],
    "size": [0, 1, "2", "2.5", None],
    "since": [dt.date(2026, 1, 2), "2026-01-02", "soon", None],
    "vip": [True, False, "yes", None],
}
RECORDS = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()})
FULL = st.fixed_dictionaries({name: st.sampled_from(values[:1] + values[-1:]) for name, values in VALUES.items()})
RESULTS = st.builds(
    SideResult,
    ok=st.sampled_from([True, True, False]),
    stored=st.none() | st.just(Record("r", {"name": "An", "Name": "An"})),
    unwritten=st.sampled_from([frozenset[str](), frozenset({"name", "Name"})]),
)


def merger(defaults: dict[str, str], **rules: Any) -> Merger:
    fields = [two_way(name, name.title(), field_type=kind, default=defaults.get(name)) for name, kind in KINDS.items()]
    remote = [FieldSchema(name=name.title(), type=kind, nillable=name != "vip") for name, kind in KINDS.items()]
    mapping = ObjectMapping(fields=tuple(fields))
    sides = ObjectSchema(name="l", open=True), ObjectSchema(name="r", fields=tuple(remote))
    rule = compile_mapping(mapping, *sides)
    return Merger(
        attrs.evolve(rule, rules=tuple(attrs.evolve(one, **rules) for one in rule.rules)), Digester(b"k" * 16)
    )


PLAIN = merger({})
MERGERS = st.sampled_from([PLAIN, PLAIN, merger({"name": "nobody"}), merger({}, to_crm=Enforcement.OFF)])


@settings(max_examples=150)
@given(
    MERGERS,
    st.sampled_from(Side),
    RECORDS | FULL,
    RESULTS | st.just(SideResult()),
    st.sampled_from([b"", BLANK_SHADOW]),
)
def test_at_once_or_one_by_one(
    at_once: Merger, side: Side, values: dict[str, object], result: SideResult, shadow: bytes
) -> None:
    one_by_one = Merger(attrs.evolve(at_once.rule, whole=None), at_once.digester)
    fields = values if side is Side.LOCAL else {name.title(): value for name, value in values.items()}
    found, expected = (merge_new(each, side, Record("1", fields)) for each in (at_once, one_by_one))
    assert expected.newcomer is None
    assert dict(found.decisions) == dict(expected.decisions)
    assert len(found.decisions) == len(expected.decisions)
    assert [found.writes(each) for each in Side] == [expected.writes(each) for each in Side]
    assert (found.smooth, found.rejected, found.known) == (expected.smooth, expected.rejected, expected.known)
    if found.newcomer is not None:
        assert found.newcomer.sent == at_once.digests(side.other, found.writes(side.other))
    results = (SideResult(), result) if side is Side.LOCAL else (result, SideResult())
    shadows = [settle(at_once, merge, (shadow, shadow), *results) for merge in (found, expected)]
    assert shadows[0] == shadows[1]


def test_a_record_of_ordinary_values_and_blanks_is_decided_upon_at_once() -> None:
    for values in ({name: values[0] for name, values in VALUES.items()}, dict.fromkeys(VALUES)):
        assert merge_new(PLAIN, Side.LOCAL, Record("1", values)).newcomer is not None


def test_no_value_is_shown() -> None:
    merge = merge_new(PLAIN, Side.LOCAL, Record("1", {name: values[0] for name, values in VALUES.items()}))
    assert merge.newcomer is not None
    assert merge.decisions["name\0Name"].remote_write == "Ann"
    assert "Ann" not in repr(merge)
