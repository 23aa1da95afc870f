"""Directives of field mappings under random edits of both sides: what a blank does, and what is compared how."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import attrs
import hypothesis.strategies as st
from hypothesis import example, given, settings

from crmsync.mapping import TEXT_FORMS
from crmsync.mapping.comparing import comparing
from crmsync.models.mappings import ConflictPolicy, Enforcement, FieldMapping, ObjectMapping, OnBlank, two_way
from crmsync.models.records import MISSING, Side
from crmsync.models.schema import FieldType
from crmsync.models.verification import VerifyOptions
from crmsync.testing.world import World, world

VERIFY = VerifyOptions()
NAMES = {"kept": "Kept", "filled": "Filled", "folded": "Folded", "tags": "Tags"}
POLICIES = (
    ConflictPolicy.NEWEST_WINS,
    ConflictPolicy.LOCAL_WINS,
    ConflictPolicy.REMOTE_WINS,
    ConflictPolicy.PREFER_NONBLANK,
)


@attrs.frozen
class Edit:
    """Somebody sets or clears a field on one side."""

    side: Side
    field: str
    value: str | None


words = st.one_of(st.none(), st.sampled_from(["alpha", "Alpha", "ALPHA ", "beta", "gamma"]))
edits = st.builds(Edit, st.sampled_from(Side), st.sampled_from(list(NAMES)), words)
enforcements = st.sampled_from([Enforcement.PROPAGATE, Enforcement.MIRROR, Enforcement.FILL_BLANK])


def mapping(policy: ConflictPolicy, to_crm: Enforcement) -> ObjectMapping:
    return ObjectMapping(
        fields=(
            two_way("email", "Email", field_type=FieldType.EMAIL),
            two_way("kept", "Kept", policy=policy, to_crm=to_crm, never_clear=True),
            two_way("filled", "Filled", policy=policy, to_crm=to_crm, on_blank=OnBlank.DEFAULT, default="none"),
            two_way("folded", "Folded", policy=policy, to_crm=to_crm, normalise=("case_fold", "collapse_space")),
            two_way("tags", "Tags", field_type=FieldType.TAGS, never_clear=True),
        )
    )


def held(w: World) -> dict[Side, Mapping[str, object]]:
    """What the only person has on each side, by local names."""
    ours, theirs = next(iter(w.local.snapshot().values())), next(iter(w.remote.snapshot().values()))
    return {Side.LOCAL: ours, Side.REMOTE: {name: theirs.get(there) for name, there in NAMES.items()}}


def make(w: World, edit: Edit) -> None:
    store, name = (w.local, edit.field) if edit.side is Side.LOCAL else (w.remote, NAMES[edit.field])
    value: object = edit.value
    if edit.field == "tags":
        value = (edit.value.strip(),) if edit.value else ()
    store.edit(next(iter(store.snapshot())), {name: value})


@settings(max_examples=25)
@given(st.lists(st.lists(edits, max_size=4), min_size=1, max_size=5), st.sampled_from(POLICIES), enforcements)
@example(
    [
        [Edit(Side.LOCAL, "kept", "alpha"), Edit(Side.LOCAL, "tags", "beta")],
        [Edit(Side.LOCAL, "kept", None), Edit(Side.LOCAL, "tags", None), Edit(Side.LOCAL, "filled", None)],
    ],
    ConflictPolicy.LOCAL_WINS,
    Enforcement.PROPAGATE,
)
def test_a_blank_does_what_its_field_says_and_the_sides_come_to_rest(
    rounds: list[list[Edit]], policy: ConflictPolicy, to_crm: Enforcement
) -> None:
    async def play() -> None:
        async with world(mapping(policy, to_crm)) as w:
            w.local.add(email="ada@example.org")
            await w.sync()
            for made in rounds:
                for edit in made:
                    make(w, edit)
                before = held(w)
                await w.sync()
                await w.sync()
                after = held(w)
                for side in Side:
                    for name in ("kept", "tags"):
                        assert not before[side].get(name) or after[side].get(name), (side, name, before, after)
                again = await w.sync()
                assert (again.written, again.conflicts_open, again.problem_count) == (0, 0, 0)
                assert held(w) == after
            values = {"alpha", "Alpha", "ALPHA ", "beta", "gamma", "none", None, ""}
            for side in Side:
                assert {after[side].get(name) for name in ("kept", "filled", "folded")} <= values

    anyio.run(play)


def test_values_that_are_alike_as_compared_are_not_written() -> None:
    async def play() -> None:
        async with world(mapping(ConflictPolicy.LOCAL_WINS, Enforcement.PROPAGATE)) as w:
            ours = w.local.add(email="ada@example.org", folded="Ada  Lovelace", filled="x")
            await w.sync()
            w.local.edit(ours, folded="ADA LOVELACE")
            assert (await w.sync()).written == 0
            w.local.edit(ours, folded="Ada King", filled=None)
            assert (await w.sync()).remote.updated == 1
            assert held(w)[Side.REMOTE] == {"kept": None, "folded": "Ada King", "filled": "none", "tags": None}
            assert (await w.sync()).written == 0
            verified = await (await w.runner()).verify(VERIFY)
            assert verified.consistent, verified.findings

    anyio.run(play)


def test_a_field_that_a_blank_leaves_alone_is_not_out_of_step() -> None:
    async def play() -> None:
        async with world(mapping(ConflictPolicy.LOCAL_WINS, Enforcement.PROPAGATE)) as w:
            ours = w.local.add(email="ada@example.org", kept="x", tags=("a",))
            await w.sync()
            w.local.edit(ours, kept=None, tags=())
            await w.sync()
            assert held(w)[Side.REMOTE]["kept"] == "x"
            verified = await (await w.runner()).verify(VERIFY)
            assert verified.consistent, verified.findings
            w.local.edit(ours, kept="y")
            await w.sync()
            assert held(w)[Side.REMOTE]["kept"] == "y"

    anyio.run(play)


forms = st.lists(st.sampled_from(list(TEXT_FORMS)), min_size=1, max_size=3, unique=True)


@given(st.text(max_size=30), forms)
def test_a_normal_form_is_idempotent_and_leaves_no_text_blank(text: str, names: list[str]) -> None:
    normal = comparing(lambda value: value, [TEXT_FORMS[name] for name in names])
    once = normal(text)
    assert isinstance(once, str)
    assert normal(once) == once
    assert bool(once.strip()) == bool(text.strip())
    assert normal(frozenset({text})) == frozenset({once})
    assert normal(None) is None
    assert normal(MISSING) is MISSING


def test_a_function_of_the_users_that_fails_or_answers_nonsense_leaves_the_text() -> None:
    def fails(text: str) -> str:
        raise ValueError(text)

    assert comparing(lambda value: value, [fails])("Ada") == "Ada"
    assert comparing(lambda value: value, [lambda _: ""])("Ada") == "Ada"
    assert FieldMapping(markmail_field="a", crm_field="A", never_clear=True).blank is OnBlank.KEEP
