"""The engine's invariants under random edits, lossy stores and crashes, on real bookkeeping in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import attrs
import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from crmsync.errors import UnavailableError
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, ObjectMapping, two_way
from crmsync.models.records import Side, StoreLimits
from crmsync.models.schema import FieldType
from crmsync.testing.faults import Crash, Fault, FaultyStore, When
from crmsync.testing.world import REMOTE_LIMITS, World, world

PEOPLE = 2
FIELDS = {"name": "Name", "city": "City", "note": "Note"}
LOSSES: dict[str, Callable[[object], object]] = {
    "cut": lambda v: v[:3] if isinstance(v, str) else v,
    "upper": lambda v: v.upper() if isinstance(v, str) else v,
    "trim": lambda v: v.strip() if isinstance(v, str) else v,
}


@attrs.frozen
class Edit:
    """Someone sets one field of one person on one side."""

    side: Side
    person: int
    field: str
    value: str | None


@attrs.frozen
class Step:
    """Edits, then a run in which perhaps a call fails or the process ends."""

    edits: tuple[Edit, ...]
    fault: tuple[Side, str, int, When, bool] | None
    page: int | None


words = st.one_of(st.none(), st.sampled_from(["alpha", "beta ", "Gamma", "O'Brien", "delta-delta"]))
edits = st.builds(Edit, st.sampled_from(Side), st.integers(0, PEOPLE - 1), st.sampled_from(list(FIELDS)), words)
faults = st.one_of(
    st.none(),
    st.tuples(
        st.sampled_from(Side),
        st.sampled_from(["write", "write", "write", "get", "changes", "find"]),
        st.integers(1, 2),
        st.sampled_from(When),
        st.booleans(),
    ),
)
steps = st.builds(
    Step, st.lists(edits, min_size=1, max_size=5).map(tuple), faults, st.one_of(st.none(), st.integers(1, 3))
)
policies = st.sampled_from(
    [
        ConflictPolicy.LOCAL_WINS,
        ConflictPolicy.REMOTE_WINS,
        ConflictPolicy.NEWEST_WINS,
        ConflictPolicy.PREFER_NONBLANK,
        ConflictPolicy.MAX,
    ]
)


def contact(policy: ConflictPolicy) -> ObjectMapping:
    fields = [two_way(ours, theirs) for ours, theirs in FIELDS.items()]
    email = two_way("email", "Email", field_type=FieldType.EMAIL)
    return ObjectMapping(fields=(email, *fields), policy=policy, delete_in_crm=DeletePolicy.PROPAGATE)


async def play(w: World, history: list[Step]) -> None:
    """Edit and run; a fault ends a run early, and its lease with it."""
    for step in history:
        for edit in step.edits:
            _edit(w, edit)
        if step.fault is not None:
            side, method, call, when, crash = step.fault
            inner = w.local if side is Side.LOCAL else w.remote
            error: BaseException = Crash() if crash else UnavailableError("no answer")
            w.through[side] = FaultyStore(inner, [Fault(error, call, method, when)])
        try:
            await w.sync(page_size=step.page)
        except (Crash, UnavailableError):
            w.clock.tick(120)
        w.through.clear()


def _edit(w: World, edit: Edit) -> None:
    store = w.local if edit.side is Side.LOCAL else w.remote
    email, name = ("email", edit.field) if edit.side is Side.LOCAL else ("Email", FIELDS[edit.field])
    address = f"p{edit.person}@example.org"
    for record_id, fields in store.snapshot().items():
        if fields.get(email) == address:
            store.edit(record_id, {name: edit.value})
            return
    if edit.person % 2 == (0 if edit.side is Side.LOCAL else 1):
        store.add({email: address, name: edit.value})


def by_email(w: World) -> dict[object, tuple[dict[str, Any], dict[str, Any]]]:
    ours = {r["email"]: r for r in w.local.snapshot().values()}
    theirs = {r["Email"]: r for r in w.remote.snapshot().values()}
    assert len(ours) == len(w.local.snapshot()), "a person is twice on the local side"
    assert len(theirs) == len(w.remote.snapshot()), "a person is twice in the CRM"
    assert ours.keys() == theirs.keys()
    return {email: (ours[email], theirs[email]) for email in ours}


def same(ours: object, theirs: object, loss: Callable[[object], object]) -> bool:
    """Whether the CRM's value is the local one, or what the CRM makes of it."""
    return _stripped(theirs) in (_stripped(ours), _stripped(loss(ours)))


def _stripped(value: object) -> object:
    return (value.strip() or None) if isinstance(value, str) else value


def _written(history: list[Step], field: str, loss: Callable[[object], object]) -> set[object]:
    """What people wrote into a field: locally as they wrote it, in the CRM as it took it."""
    made = [edit for step in history for edit in step.edits if edit.field == field]
    return {None} | {_stripped(e.value if e.side is Side.LOCAL else loss(e.value)) for e in made}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    history=st.lists(steps, min_size=1, max_size=5),
    policy=policies,
    loss=st.sampled_from(["none", *LOSSES]),
    external_key=st.booleans(),
)
def test_any_history_converges_without_loss_duplicate_or_echo(
    history: list[Step], policy: ConflictPolicy, loss: str, external_key: bool
) -> None:
    """Invariants 1, 2, 3, 5, 7: after faults and edits two runs bring the sides in step, and a third writes nothing."""
    mangle = LOSSES.get(loss, lambda v: v)

    async def main() -> None:
        limits = attrs.evolve(REMOTE_LIMITS, external_key=external_key)
        async with world(contact(policy), remote={"limits": limits, "lossy": {"Note": mangle}}) as w:
            await play(w, history)
            await w.sync()
            await w.sync()
            before = (w.local.snapshot(), w.remote.snapshot())
            assert (await w.sync()).written == 0
            assert (await w.sync(full=True)).written == 0
            assert (w.local.snapshot(), w.remote.snapshot()) == before
            for ours, theirs in by_email(w).values():
                for name, remote in FIELDS.items():
                    lossy = mangle if name == "note" else (lambda v: v)
                    assert same(ours.get(name), theirs.get(remote), lossy), (name, ours, theirs)
                    assert _stripped(ours.get(name)) in _written(history, name, lossy), "a value that nobody wrote"

    anyio.run(main)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ours=st.dictionaries(st.sampled_from(list(FIELDS)), words, max_size=2),
    theirs=st.dictionaries(st.sampled_from(list(FIELDS)), words, max_size=2),
    policy=policies,
)
def test_no_edit_of_a_field_that_the_other_side_left_alone_is_lost(
    ours: dict[str, str | None], theirs: dict[str, str | None], policy: ConflictPolicy
) -> None:
    """Invariants 4 and 6: such an edit is on both sides afterwards; every value that lost has a conflict record."""

    async def main() -> None:
        async with world(contact(policy)) as w:
            local = w.local.add({"email": "p0@example.org", "name": "old name", "city": "old city", "note": "old note"})
            await w.sync()
            (remote,) = w.remote.snapshot()
            w.local.edit(local, ours)
            w.clock.tick(5)
            w.remote.edit(remote, {FIELDS[name]: value for name, value in theirs.items()})
            await w.sync()
            final_local, final_remote = w.local.snapshot()[local], w.remote.snapshot()[remote]
            for name in ours.keys() - theirs.keys():
                assert final_local[name] == ours[name]
                assert same(ours[name], final_remote[FIELDS[name]], lambda v: v)
            for name in theirs.keys() - ours.keys():
                assert same(theirs[name], final_local[name], lambda v: v)
            lost = {
                name
                for name in ours.keys() & theirs.keys()
                if not same(ours[name], theirs[name], lambda v: v) and ours[name] and theirs[name]
            }
            recorded = {c.field for c in await w.repository.list_conflicts("acme")}
            assert lost <= recorded

    anyio.run(main)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.lists(st.sampled_from(["good", "bad"]), min_size=1, max_size=12),
    page=st.integers(1, 5),
    batch=st.integers(1, 5),
)
def test_of_n_records_k_bad_the_others_sync_and_the_k_are_retried(names: list[str], page: int, batch: int) -> None:
    """Invariant 11, whatever the pages and batches."""
    from crmsync.errors import RejectedError
    from crmsync.models.records import Operation

    state = {"strict": True}

    def reject(operation: Operation) -> RejectedError | None:
        bad = state["strict"] and operation.fields.get("Name") == "bad"
        return RejectedError("refused", code="rule") if bad else None

    async def main() -> None:
        limits = StoreLimits(external_key=True, write_batch=batch, read_page=page)
        async with world(contact(ConflictPolicy.NEWEST_WINS), remote={"limits": limits, "reject": reject}) as w:
            for number, name in enumerate(names):
                w.local.add({"email": f"p{number}@example.org", "name": name})
            for _ in range(2):
                report = await w.sync(page_size=page)
                assert report.remote.rejected == names.count("bad")
            assert len(w.remote.snapshot()) == names.count("good")
            state["strict"] = False
            await w.sync()
            assert len(w.remote.snapshot()) == len(names)

    anyio.run(main)
