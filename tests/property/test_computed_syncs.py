"""Random edits of both sides under computed fields: they come to rest, agree, and nothing is echoed or made up."""

from __future__ import annotations

from typing import Final

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.mapping import compile_mapping
from crmsync.models.mappings import ComputedField, ConflictPolicy, FieldMapping, ObjectMapping, SyncDirection, two_way
from crmsync.models.records import Fields, Side
from crmsync.testing.world import World, world

MAPPING: Final = ObjectMapping(
    policy=ConflictPolicy.REMOTE_WINS,
    computed=(
        ComputedField(
            side=Side.LOCAL,
            name="full",
            expression='concat_with(" ", first, last)',
            inverse={"first": 'before(value, " ")', "last": 'after(value, " ")'},
        ),
        ComputedField(side=Side.LOCAL, name="tier", expression='lookup(plan, {"g": "Gold", "f": "Free"})'),
        ComputedField(side=Side.LOCAL, name="code", expression='"C-" & trim(number)'),
        ComputedField(side=Side.LOCAL, name="shout", expression="upper(city)"),
        ComputedField(side=Side.REMOTE, name="greeting", expression='"Dear " & Name'),
        ComputedField(
            side=Side.REMOTE,
            name="street",
            expression='before(Address, "/")',
            inverse={"Address": 'concat_with("/", value, after(Address, "/"))'},
        ),
        ComputedField(
            side=Side.REMOTE,
            name="town",
            expression='after(Address, "/")',
            inverse={"Address": 'concat_with("/", before(Address, "/"), value)'},
        ),
    ),
    fields=(
        two_way("email", "Email", field_type="email"),
        two_way("full", "Name"),
        two_way("tier", "Tier"),
        two_way("code", "Code"),
        two_way("shout", "City"),
        two_way("street", "street"),
        two_way("town", "town"),
        FieldMapping(markmail_field="greeting", crm_field="greeting", sync_direction=SyncDirection.FROM_CRM),
    ),
)

WORDS: Final = st.sampled_from(["Ada", "Bo", "Cy Di", "é", "x/y", " ada ", "", None])
LOCAL_EDITS: Final = st.fixed_dictionaries(
    {},
    optional={
        "first": WORDS,
        "last": WORDS,
        "plan": st.sampled_from(["g", "f", "?", None]),
        "number": st.sampled_from(["1", " 2", None]),
        "city": WORDS,
        "street": WORDS,
        "town": WORDS,
    },
)
REMOTE_EDITS: Final = st.fixed_dictionaries(
    {},
    optional={
        "Name": WORDS,
        "Tier": st.sampled_from(["Gold", "Free", "Silver", None]),
        "Code": st.sampled_from(["C-1", "C-3", "4", None]),
        "City": WORDS,
        "Address": st.sampled_from(["a/b", "a/c d", "alone", "/", None]),
    },
)
MOST_RUNS: Final = 4


def trimming(value: object) -> object:
    """A side that trims what it stores, and keeps no blank text."""
    return value.strip() or None if isinstance(value, str) else value


LOSSY: Final = dict.fromkeys(("first", "last", "city", "street", "town"), trimming)


async def played(edits: list[tuple[dict[str, object], dict[str, object]]], *, stored: bool, lossy: bool) -> None:
    mangled = LOSSY if lossy else {}
    async with world(
        MAPPING, local={"returns_stored": stored, "lossy": mangled}, remote={"returns_stored": stored}
    ) as w:
        start = dict.fromkeys(("first", "last", "plan", "number", "city", "street", "town", "greeting"))
        local_id = w.local.add({"email": "ada@example.org", **start})
        await w.sync()
        [crm_id] = w.remote.snapshot()
        w.remote.edit(crm_id, dict.fromkeys(("Name", "Tier", "Code", "City", "Address")))
        for ours, theirs in edits:
            w.local.edit(local_id, ours)
            w.remote.edit(crm_id, theirs)
            await rests(w)


async def rests(w: World) -> None:
    """After a few runs nothing is written any more; what is not in step was reported."""
    for _ in range(MOST_RUNS):
        before = w.local.snapshot(), w.remote.snapshot()
        report = await w.sync()
        if before == (w.local.snapshot(), w.remote.snapshot()):
            break
    assert before == (w.local.snapshot(), w.remote.snapshot()), "it does not come to rest"
    assert not report.written, "a run writes what is there already"
    rule = compile_mapping(w.mapping, await w.local.describe(), await w.remote.describe())
    [ours], [theirs] = w.local.snapshot().values(), w.remote.snapshot().values()
    here = rule.computed[Side.LOCAL].attach(ours)
    there = rule.computed[Side.REMOTE].attach(theirs)
    told = {problem.field for problem in report.problems}
    for each in rule.rules:
        if each.local not in told:
            assert bare(here, each.local) == bare(there, each.remote), each.local


def bare(fields: Fields, name: str) -> object:
    """A value without what computing or storing it changes on purpose."""
    value = fields.get(name)
    return "".join(value.split()).casefold() or None if isinstance(value, str) else value


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(LOCAL_EDITS, REMOTE_EDITS), min_size=1, max_size=3), st.booleans(), st.booleans())
def test_edits_of_both_sides_come_to_rest_in_agreement_or_are_reported(
    edits: list[tuple[dict[str, object], dict[str, object]]], stored: bool, lossy: bool
) -> None:
    async def main() -> None:
        await played(edits, stored=stored, lossy=lossy)

    anyio.run(main)
