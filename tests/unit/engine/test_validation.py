"""The local side's own rules through whole syncs."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.models.mappings import FieldMapping, ObjectMapping, ValidationRule, two_way
from crmsync.models.runs import RunStatus
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

FIELDS = (
    two_way("email", "Email", field_type="email"),
    two_way("name", "Name"),
    two_way("plan", "Plan"),
    FieldMapping(markmail_field="starts", crm_field="Starts", field_type="date"),
    FieldMapping(markmail_field="ends", crm_field="Ends", field_type="date"),
)


def mapping(*rules: dict[str, Any]) -> ObjectMapping:
    return ObjectMapping(fields=FIELDS, validation=tuple(ValidationRule.model_validate(rule) for rule in rules))


PLAN = {"field": "plan", "allowed": ["gold", "free"], "message": "we sell gold and free"}
TERM = {"condition": "date(starts) <= date(ends)"}


def row(w: World) -> dict[str, object]:
    [found] = w.local.snapshot().values()
    return found


async def test_a_field_that_breaks_a_rule_keeps_its_value_until_the_crm_is_mended() -> None:
    async with world(mapping(PLAN)) as w:
        w.local.add(email="ada@example.org", name="Ada", plan="gold")
        await w.sync()
        [crm_id] = w.remote.snapshot()
        w.remote.edit(crm_id, Plan="silver", Name="Augusta")
        report = await w.sync()
        assert report.status is RunStatus.PARTIAL
        [problem] = report.problems
        assert (problem.field, problem.code, problem.message) == ("plan", "validation_allowed", "we sell gold and free")
        assert problem.remedy == "correct the value in the CRM, or the rule"
        assert (row(w)["plan"], row(w)["name"]) == ("gold", "Augusta")
        assert (await w.sync()).problem_count == 1
        w.remote.edit(crm_id, Plan="free")
        assert (await w.sync()).status is RunStatus.SUCCESS
        assert row(w)["plan"] == "free"


async def test_a_new_record_comes_without_the_field_or_not_at_all_as_the_rule_says() -> None:
    for on_failure, count in (("reject_field", 1), ("reject_record", 0)):
        async with world(mapping({**PLAN, "on_failure": on_failure})) as w:
            w.remote.add(Email="ada@example.org", Name="Ada", Plan="silver")
            plan = await w.plan()
            assert [each.code for each in plan.report.problems] == ["validation_allowed"]
            report = await w.sync()
            assert [each.code for each in report.problems] == ["validation_allowed"]
            assert len(w.local.snapshot()) == count
            if count:
                assert row(w).get("plan") is None
            [crm_id] = w.remote.snapshot()
            w.remote.edit(crm_id, Plan="gold")
            assert (await w.sync()).status is RunStatus.SUCCESS
            assert row(w)["plan"] == "gold"


async def test_a_required_field_is_not_cleared_and_a_record_without_it_is_told() -> None:
    async with world(mapping({"field": "name", "required": True, "on_failure": "reject_record"})) as w:
        w.remote.add(Email="ada@example.org", Plan="gold")
        report = await w.sync()
        assert [(each.field, each.code) for each in report.problems] == [("name", "validation_required")]
        assert not w.local.snapshot()
        [crm_id] = w.remote.snapshot()
        w.remote.edit(crm_id, Name="Ada")
        await w.sync()
        w.remote.edit(crm_id, Name=None)
        assert (await w.sync()).problem_count == 1
        assert row(w)["name"] == "Ada"


async def test_a_condition_judges_the_record_as_it_would_be() -> None:
    async with world(mapping(TERM)) as w:
        w.local.add(email="ada@example.org", starts="2026-01-01", ends="2026-12-31", name="Ada")
        await w.sync()
        [crm_id] = w.remote.snapshot()
        w.remote.edit(crm_id, Starts="2027-01-01", Name="Augusta")
        report = await w.sync()
        assert [each.code for each in report.problems] == ["validation_condition"]
        assert (row(w)["starts"], row(w)["name"]) == ("2026-01-01", "Augusta")
        w.remote.edit(crm_id, Ends="2027-12-31")
        assert (await w.sync()).status is RunStatus.SUCCESS
        assert str(row(w)["starts"]) == "2027-01-01"


async def test_what_the_local_side_holds_itself_is_not_judged() -> None:
    async with world(mapping(PLAN)) as w:
        w.local.add(email="ada@example.org", name="Ada", plan="platinum")
        assert (await w.sync()).status is RunStatus.SUCCESS
        [contact] = w.remote.snapshot().values()
        assert contact["Plan"] == "platinum"
