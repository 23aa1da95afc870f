"""Whole records through a compiled mapping."""

from __future__ import annotations

import datetime as dt

import attrs
import pytest

from crmsync.mapping import RecordConverter, compile_mapping, problem_of, to_local, to_remote
from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.models.records import MISSING, Side
from crmsync.models.schema import ObjectSchema
from crmsync.protocols.conversion import REMEDIES, Conversion, Loss, LossKind, RecordRule


@pytest.fixture
def rule(contact: ObjectSchema) -> RecordRule:
    fields = (
        two_way("email", "Email"),
        two_way("last_name", "LastName"),
        two_way("born", "Birthdate", on_loss="reject_record"),
        two_way("opted_out", "HasOptedOutOfEmail", policy="most_restrictive"),
        two_way("full_name", "Name", sync_direction="from_crm"),
    )
    return compile_mapping(ObjectMapping(fields=fields), ObjectSchema(name="subscribers", open=True), contact)


def test_a_record_is_converted_field_by_field(rule: RecordRule) -> None:
    record = {"email": "Ann@example.com", "last_name": "O'Brien", "born": "1970-01-31", "opted_out": "no", "x": 1}
    assert to_remote(rule, record) == (
        {
            "Email": "Ann@example.com",
            "LastName": "O'Brien",
            "Birthdate": dt.date(1970, 1, 31),
            "HasOptedOutOfEmail": False,
        },
        (),
        (),
    )


def test_missing_fields_stay_absent_and_cleared_ones_are_none(rule: RecordRule) -> None:
    assert to_remote(rule, {"email": MISSING, "born": None}).values == {"Birthdate": None}


def test_a_rejected_field_is_left_out_and_reported_without_its_value(rule: RecordRule) -> None:
    values, losses, problems = to_remote(rule, {"email": "a@b.c", "last_name": "x" * 81})
    assert values == {"Email": "a@b.c"}
    assert [(loss.kind, loss.field) for loss in losses] == [(LossKind.TRUNCATED, "LastName")]
    (problem,) = problems
    assert (problem.path, problem.code, problem.message) == (
        "LastName",
        "truncated",
        "81 characters, the field holds 80",
    )
    assert problem.remedy == REMEDIES[LossKind.TRUNCATED]


def test_a_loss_that_rejects_the_record_leaves_nothing_to_write(rule: RecordRule) -> None:
    values, _, problems = to_remote(rule, {"email": "a@b.c", "born": "soon"})
    assert values == {}
    assert [problem.path for problem in problems] == ["Birthdate"]


def test_fields_that_do_not_flow_are_left_out_unless_asked_for(rule: RecordRule) -> None:
    assert to_remote(rule, {"full_name": "Ann"}).values == {}
    assert to_local(rule, {"Name": "Ann"}).values == {"full_name": "Ann"}
    every = RecordConverter(rule, Side.REMOTE, every_field=True)
    assert every({"full_name": "Ann"}).values == {"Name": "Ann"}


def test_a_converter_that_is_not_ours_is_called_as_the_protocol_says(rule: RecordRule) -> None:
    loss = Loss(LossKind.INVALID, "Email", "refused")

    def refuse(value: object) -> Conversion:
        return Conversion(value) if value == "a@b.c" else Conversion(None, (loss,), rejected=True)

    foreign = attrs.evolve(rule, rules=tuple(attrs.evolve(each, to_remote=refuse) for each in rule.rules[1:2]))
    assert foreign.rules[0].remote == "Email"
    assert to_remote(foreign, {"email": "a@b.c"}).values == {"Email": "a@b.c"}
    assert to_remote(foreign, {"email": "x"}).losses == (loss,)


@pytest.mark.parametrize("kind", LossKind)
def test_every_kind_of_loss_has_a_remedy(kind: LossKind) -> None:
    problem = problem_of("Email", Conversion(None, (Loss(kind, "Email", "why"),), rejected=True))
    assert (problem.path, problem.code, problem.message) == ("Email", kind.value, "why")
    assert problem.remedy
