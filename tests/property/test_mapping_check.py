"""The check of a mapping says what compiling it would, about any mapping and any two sides, and its fixes mend."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from crmsync.errors import MappingError
from crmsync.mapping import TEXT_FORMS, check_mapping, compile_mapping, fixed
from crmsync.mapping.codes import MEANINGS
from crmsync.mapping.drift import compile_in_spite, mapping_digest, remember
from crmsync.mapping.findings import MappingCode
from crmsync.models.checks import MappingCheck, MappingFinding, Severity
from crmsync.models.mappings import (
    ConflictPolicy,
    Enforcement,
    FieldMapping,
    MatchKeys,
    ObjectMapping,
    OnBlank,
    OnLoss,
    SyncDirection,
)
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.testing.world import FakeClock

LOCAL_NAMES = ("email", "first_name", "last_name", "plan", "tags")
REMOTE_NAMES = ("Email", "FirstName", "LastName", "Plan__c", "Tags__c")
KINDS = (
    FieldType.TEXT,
    FieldType.EMAIL,
    FieldType.INTEGER,
    FieldType.BOOLEAN,
    FieldType.DATE,
    FieldType.DATETIME,
    FieldType.PICKLIST,
    FieldType.TAGS,
)
WORDS = ("gold", "Gold", "silver", "iron")

mostly = st.sampled_from([True, True, True, False])
options = st.lists(st.sampled_from(WORDS), unique=True, max_size=3).map(tuple)


def schemas(name: str, names: tuple[str, ...]) -> st.SearchStrategy[ObjectSchema]:
    """Objects with some of these fields, of any kind and any permission."""
    fields = [
        st.builds(
            FieldSchema,
            name=st.just(each),
            type=st.sampled_from(KINDS),
            length=st.sampled_from([None, 5, 80]),
            required=st.booleans(),
            nillable=mostly,
            readable=mostly,
            createable=mostly,
            updateable=mostly,
            unique=st.booleans(),
            options=options,
            restricted=st.booleans(),
        )
        for each in names
    ]
    chosen = st.tuples(*(st.one_of(st.none(), field, field) for field in fields))
    kept = chosen.map(lambda found: tuple(field for field in found if field is not None))
    return st.builds(ObjectSchema, name=st.just(name), fields=kept, open=st.booleans())


field_mappings = st.builds(
    FieldMapping,
    markmail_field=st.sampled_from(LOCAL_NAMES),
    crm_field=st.sampled_from([*REMOTE_NAMES, "email", "Lastname"]),
    field_type=st.sampled_from(KINDS),
    sync_direction=st.sampled_from(SyncDirection),
    policy=st.one_of(st.none(), st.sampled_from([one for one in ConflictPolicy if one is not ConflictPolicy.CUSTOM])),
    to_crm=st.one_of(st.none(), st.sampled_from(Enforcement)),
    from_crm=st.one_of(st.none(), st.sampled_from(Enforcement)),
    on_loss=st.sampled_from(OnLoss),
    default=st.sampled_from([None, "x", "gold"]),
    namespace=st.sampled_from(["", "mm:"]),
    separator=st.sampled_from([";", ""]),
    value_map=st.dictionaries(st.sampled_from(WORDS), st.sampled_from(WORDS), max_size=2),
    on_blank=st.sampled_from(OnBlank),
    normalise=st.lists(st.sampled_from([*TEXT_FORMS, "casefold"]), max_size=1).map(tuple),
)
mappings = st.builds(
    ObjectMapping,
    fields=st.lists(field_mappings, max_size=4).map(tuple),
    match=st.sampled_from([MatchKeys(), MatchKeys(local_email="", remote_email=""), MatchKeys(local_email="")]),
)
locals_, remotes = schemas("subscribers", LOCAL_NAMES), schemas("Contact", REMOTE_NAMES)


def faults(mapping: ObjectMapping, local: ObjectSchema, remote: ObjectSchema) -> list[tuple[str, str]]:
    """What compiling refuses."""
    try:
        compile_mapping(mapping, local, remote)
    except MappingError as error:
        return [(problem.path, problem.code) for problem in error.problems]
    return []


def has(check: MappingCheck, finding: MappingFinding) -> bool:
    return any((each.path, each.message) == (finding.path, finding.message) for each in check.findings)


@settings(max_examples=150)
@given(mappings, locals_, remotes)
def test_a_check_finds_what_compiling_refuses_and_each_fix_mends_its_finding(
    mapping: ObjectMapping, local: ObjectSchema, remote: ObjectSchema
) -> None:
    check = check_mapping(mapping, local, remote)
    refused = faults(mapping, local, remote)
    assert sorted((each.path, each.code) for each in check.of(Severity.ERROR)) == sorted(refused)
    assert check.ok is not bool(refused)
    for finding in check.findings:
        assert finding.severity in MEANINGS[MappingCode(finding.code)].severities, finding
        assert finding.remedy
        if finding.fix is not None:
            assert not has(check_mapping(fixed(mapping, [finding.fix]), local, remote), finding), finding


@settings(max_examples=100)
@given(mappings, locals_, remotes, remotes)
def test_whatever_the_crm_becomes_a_run_goes_on_with_the_rest_or_says_every_fault(
    mapping: ObjectMapping, local: ObjectSchema, before: ObjectSchema, after: ObjectSchema
) -> None:
    key, now = mapping_digest(mapping), FakeClock().now()
    if faults(mapping, local, before):
        return
    memory = remember(mapping, before, None, key=key, now=now)
    try:
        rule = compile_in_spite(mapping, (local, after), memory, custom={})
    except MappingError:
        return
    for each in rule.rules:
        if each.remote in rule.suspended:
            assert (each.to_crm, each.from_crm) == (Enforcement.OFF, Enforcement.OFF)
    later = remember(mapping, after, memory, key=key, now=now)
    assert remember(mapping, after, later, key=key, now=now) is later
