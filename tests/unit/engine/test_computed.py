"""Computed fields through whole syncs: they flow like any other field, and nothing is guessed or echoed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest

from crmsync.models.mappings import ComputedField, FieldMapping, ObjectMapping, SyncDirection, two_way
from crmsync.models.records import Fields, Side
from crmsync.models.runs import RunStatus
from crmsync.protocols.conversion import ComputedRule
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

EMAIL = two_way("email", "Email", field_type="email")
NAME = ComputedField(
    side=Side.LOCAL,
    name="full",
    expression='concat_with(" ", first, last)',
    inverse={"first": 'before(value, " ")', "last": 'after(value, " ")'},
)
PLAN = ComputedField(
    side=Side.LOCAL, name="tier", expression='lookup(plan, {"g": "Gold", "f": "Free"})', field_type="text"
)
SHOUT = ComputedField(side=Side.LOCAL, name="shout", expression="upper(city)")
GREETING = ComputedField(side=Side.REMOTE, name="greeting", expression='"Dear " & Name')
MAPPING = ObjectMapping(
    computed=(NAME, PLAN, SHOUT, GREETING),
    fields=(
        EMAIL,
        two_way("full", "Name"),
        two_way("tier", "Tier"),
        two_way("shout", "City"),
        FieldMapping(markmail_field="greeting", crm_field="greeting", sync_direction=SyncDirection.FROM_CRM),
    ),
)
ADA = {"email": "ada@example.org", "first": "Ada", "last": "Lovelace", "plan": "g", "city": "London", "greeting": None}


def rows(w: World) -> tuple[Mapping[str, object], Mapping[str, object]]:
    [ours], [theirs] = w.local.snapshot().values(), w.remote.snapshot().values()
    return ours, theirs


async def settled(w: World) -> None:
    """Sync until nothing is written, which is soon."""
    for _ in range(3):
        report = await w.sync()
        if not report.written:
            return
    pytest.fail("it does not settle")


@pytest.mark.parametrize("stored", [True, False], ids=["says what it stored", "does not say"])
async def test_values_flow_both_ways_and_come_to_rest(*, stored: bool) -> None:
    options = {"returns_stored": stored}
    async with world(MAPPING, local=options, remote=options) as w:
        w.local.add(ADA)
        await settled(w)
        ours, theirs = rows(w)
        assert theirs == {"Email": "ada@example.org", "Name": "Ada Lovelace", "Tier": "Gold", "City": "LONDON"}
        assert ours["greeting"] == "Dear Ada Lovelace"
        w.clock.tick()
        [crm_id] = w.remote.snapshot()
        w.remote.edit(crm_id, Name="Augusta King", Tier="Free", City="Ockham")
        await settled(w)
        ours, theirs = rows(w)
        assert (ours["first"], ours["last"], ours["plan"], ours["city"]) == ("Augusta", "King", "f", "Ockham")
        assert ours["greeting"] == "Dear Augusta King"
        assert theirs["City"] == "Ockham"


async def test_a_value_that_cannot_be_written_back_is_a_reject_and_the_rest_goes_on() -> None:
    async with world(MAPPING) as w:
        w.local.add(ADA)
        await settled(w)
        [crm_id] = w.remote.snapshot()
        w.remote.edit(crm_id, Tier="Silver", City="Ockham")
        report = await w.sync()
        assert report.status is RunStatus.PARTIAL
        [problem] = report.problems
        assert (problem.field, problem.code) == ("tier", "not_invertible")
        assert "not in the table" in problem.message
        assert "Silver" not in problem.message
        ours, _ = rows(w)
        assert (ours["plan"], ours["city"]) == ("g", "Ockham")
        w.remote.edit(crm_id, Tier="Free")
        assert (await w.sync()).status is RunStatus.SUCCESS
        assert rows(w)[0]["plan"] == "f"


async def test_a_value_that_cannot_be_computed_is_a_reject_until_it_is_mended() -> None:
    async with world(MAPPING) as w:
        added = w.local.add({**ADA, "plan": "?"})
        report = await w.sync()
        [problem] = report.problems
        assert (problem.field, problem.code, problem.remedy) == (
            "tier",
            "not_computed",
            "correct what it is made of: plan",
        )
        assert rows(w)[1]["Name"] == "Ada Lovelace"
        assert (await w.sync()).problem_count == 1
        w.local.edit(added, plan="g")
        assert (await w.sync()).status is RunStatus.SUCCESS
        assert rows(w)[1]["Tier"] == "Gold"


async def test_an_edit_of_an_input_flows_and_one_of_another_field_does_not() -> None:
    async with world(MAPPING) as w:
        added = w.local.add(ADA)
        await settled(w)
        w.clock.tick()
        w.local.edit(added, unmapped="x")
        assert not (await w.sync()).written
        w.local.edit(added, last="King")
        await settled(w)
        assert rows(w)[1]["Name"] == "Ada King"
        # What changes an input and not the value is no change.
        w.local.edit(added, city="LONDON")
        assert not (await w.sync()).written


async def test_a_plan_shows_what_a_sync_would_reject() -> None:
    async with world(MAPPING) as w:
        w.local.add({**ADA, "plan": "?"})
        plan = await w.plan()
        assert [(each.field, each.code) for each in plan.report.problems] == [("tier", "not_computed")]
        await w.apply(plan)
        assert rows(w)[1]["Name"] == "Ada Lovelace"


async def test_edits_of_two_parts_on_two_sides_survive() -> None:
    async with world(MAPPING) as w:
        added = w.local.add(ADA)
        await settled(w)
        w.clock.tick()
        [crm_id] = w.remote.snapshot()
        w.local.edit(added, city="Paris")
        w.remote.edit(crm_id, Name="Augusta King")
        await settled(w)
        ours, theirs = rows(w)
        assert (ours["first"], ours["last"]) == ("Augusta", "King")
        assert theirs["City"] == "PARIS"


async def test_what_a_run_wrote_into_a_computed_field_can_be_taken_back() -> None:
    async with world(MAPPING.model_copy(update={"history_days": 30})) as w:
        w.local.add(ADA)
        await settled(w)
        [crm_id] = w.remote.snapshot()
        w.remote.edit(crm_id, Name="Augusta King")
        report = await w.sync()
        assert rows(w)[0]["first"] == "Augusta"
        await (await w.runner()).undo(report.run_id)
        ours, _ = rows(w)
        assert (ours["first"], ours["last"]) == ("Ada", "Lovelace")


async def test_a_formula_that_our_own_write_made_shorter_is_no_echo() -> None:
    async with world(MAPPING) as w:
        added = w.local.add(ADA)
        await settled(w)
        assert rows(w)[0]["greeting"] == "Dear Ada Lovelace"
        w.clock.tick()
        w.local.edit(added, last=None)
        await settled(w)
        assert rows(w)[1]["Name"] == "Ada"
        assert rows(w)[0]["greeting"] == "Dear Ada"


class Counting:
    """The computed fields of a side, counting how often one is worked out."""

    def __init__(self, rule: ComputedRule) -> None:
        self._rule = rule
        self.inputs = rule.inputs
        self.count = 0

    def attach(self, fields: Fields) -> Fields:
        attached = self._rule.attach(fields)
        return attached if attached is fields else _Counted(attached, self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)


class _Counted(Mapping[str, object]):
    def __init__(self, fields: Fields, counter: Counting) -> None:
        self._fields, self._counter = fields, counter

    def __getitem__(self, name: str) -> object:
        self._counter.count += name in self._counter.inputs
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


async def test_a_field_is_worked_out_only_when_something_it_is_made_of_changed() -> None:
    async with world(MAPPING) as w:
        added = w.local.add(ADA)
        await settled(w)

        async def counted() -> int:
            runner = await w.runner(from_scratch=False)
            counters = {side: Counting(rule) for side, rule in runner.rule.computed.items()}
            await attrs.evolve(runner, rule=attrs.evolve(runner.rule, computed=counters)).sync()
            w.clock.tick()
            return sum(counter.count for counter in counters.values())

        w.local.edit(added, unmapped="x")
        assert await counted() == 0
        w.local.edit(added, city="Paris")
        assert await counted() > 0


async def test_a_list_made_of_a_text_merges_element_by_element() -> None:
    interests = ComputedField(
        side=Side.LOCAL,
        name="topics",
        expression='split(interests, ",")',
        inverse={"interests": 'join(value, ", ")'},
    )
    mapping = ObjectMapping(computed=(interests,), fields=(EMAIL, two_way("topics", "Topics", field_type="tags")))
    async with world(mapping) as w:
        added = w.local.add(email="ada@example.org", interests="poetry, engines")
        await settled(w)
        [crm_id] = w.remote.snapshot()
        assert set(w.remote.snapshot()[crm_id]["Topics"]) == {"poetry", "engines"}  # type: ignore[call-overload] # a set
        w.clock.tick()
        w.local.edit(added, interests="engines, horses")
        w.remote.edit(crm_id, Topics=("poetry", "engines", "numbers"))
        await settled(w)
        ours, theirs = rows(w)
        assert set(str(ours["interests"]).split(", ")) == {"engines", "horses", "numbers"}
        assert set(theirs["Topics"]) == {"engines", "horses", "numbers"}  # type: ignore[call-overload] # a set
