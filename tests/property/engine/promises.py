"""The invariants of a sync, judged from outside: by what people wrote and what the sites hold in the end."""

from __future__ import annotations

from crmsync.models.mappings import ConflictPolicy
from crmsync.models.records import Side
from tests.property.engine.knowledge import ACME, BETA, LOCAL, SITES, Edit
from tests.property.engine.stage import LOOK_BACK, LOSSES, REMOTE_NAMES, TEXTS, Stage

ROUNDS = 2


async def come_to_rest(stage: Stage, chosen: Side) -> None:
    """Nobody edits any more: two rounds bring the sides in step, a third writes nothing and moves no shadow.

    Promises 1, 2, 3, 10, 13, 16.
    """
    stage.strict, stage.narrow = False, False
    stage.clock.tick(2 * LOOK_BACK.total_seconds())
    for _ in range(ROUNDS):
        for remote in (ACME, BETA):
            await stage.run(remote)
            await stage.decide(remote, chosen)
    if stage.conditions.policy is ConflictPolicy.MANUAL:
        # What was decided in the last round is carried out, and handed on to the other CRM.
        for remote in (ACME, BETA, ACME):
            await stage.run(remote)
            await stage.decide(remote, chosen)
        for remote in (ACME, BETA, ACME, BETA):
            await stage.run(remote)
    held = stage.snapshot()
    links = {remote: await stage.links(remote) for remote in (ACME, BETA)}
    for remote in (ACME, BETA):
        assert (await stage.plan(remote)).writes == 0, f"{remote}: a plan of nothing new is not empty"
        report = await stage.run(remote)
        assert report is not None
        assert report.written == 0, f"{remote}: the third run writes"
        assert await stage.links(remote) == links[remote], f"{remote}: a run without changes moved a shadow"
        report = await stage.run(remote, full=True)
        assert report is not None
        assert report.written == 0, f"{remote}: reading everything again finds something to write"
    assert stage.snapshot() == held


async def judge(stage: Stage, people: int) -> None:
    """Promises 4 to 7, 11, 12 and the consent rule, for every person."""
    recorded = {(c.field, c.markmail_id) for remote in (ACME, BETA) for c in await stage.conflicts(remote)}
    for person in range(people):
        _judge_count(stage, person)
        if person in stage.odd or not stage.knowledge.of(person, ""):
            continue
        for field in TEXTS:
            if not (field == "city" and stage.was_narrow):
                _judge_text(stage, person, field, recorded)
        _judge_tags(stage, person)
        _judge_consent(stage, person)
    for site, person, number in stage.deleted:
        again = any(edit.number >= number for edit in stage.knowledge.of(person, ""))
        assert again or not stage.records_of(site, person), f"p{person} was deleted at {site} and came back"


def _judge_count(stage: Stage, person: int) -> None:
    made = {site: sum(e.site == site for e in stage.knowledge.of(person, "")) for site in SITES}
    for site in SITES:
        count = len(stage.records_of(site, person))
        brought = any(number for other, number in made.items() if other != site)
        assert count <= made[site] + brought, f"p{person} is {count} times at {site}"
        if person not in stage.odd and any(made.values()):
            assert count == 1, f"p{person} is missing at {site}"


def _judge_text(stage: Stage, person: int, field: str, recorded: set[tuple[str, str]]) -> None:
    held = {site: _stripped(_held(stage, site, person, field)) for site in SITES}
    standing = stage.knowledge.may_stand(person, field)
    allowed = [{site: _form(stage, edit, site) for site in SITES} for edit in standing]
    if not standing:
        allowed = [dict.fromkeys(SITES)]
    assert held in allowed, f"p{person}.{field} is {held}, allowed: {allowed}"
    # Where two people entered the same, whose of it was overwritten cannot be told: the sides seemed to agree.
    entered = [edit.value for edit in stage.knowledge.of(person, field)]
    rivals = [e for e in stage.knowledge.in_conflict(person, field) if e.value is not None]
    for one in rivals:
        differs = any(not _alike(stage, one, other) for other in rivals)
        lost = held != {site: _form(stage, one, site) for site in SITES}
        if differs and lost and entered.count(one.value) == 1:
            (local_id,) = stage.records_of(LOCAL, person)
            assert (field, local_id) in recorded, f"p{person}.{field}: {one.value!r} was overwritten without a record"


def _judge_tags(stage: Stage, person: int) -> None:
    edits = stage.knowledge.of(person, "tags")
    added = {str(e.value)[1:] for e in edits if str(e.value).startswith("+")}
    removed = {str(e.value)[1:] for e in edits if str(e.value).startswith("-")}
    for site in SITES:
        held = set(_held(stage, site, person, "tags") or ())  # type: ignore[call-overload]  # a tuple of texts
        assert held == added - removed, f"p{person} at {site} has tags {held}, not {added - removed}"


def _judge_consent(stage: Stage, person: int) -> None:
    """Both sides agree; somebody's opt-out that no later edit saw stands."""
    edits = stage.knowledge.of(person, "opted_out")
    held = {bool(_held(stage, site, person, "opted_out")) for site in SITES}
    assert len(held) == 1, f"p{person}.opted_out differs"
    if len(edits) <= len(SITES) and len({e.site for e in edits}) == len(edits):
        unseen = any(e.value is True for e in stage.knowledge.in_conflict(person, "opted_out"))
        assert not unseen or held == {True}, f"p{person} opted out and is not"


def _held(stage: Stage, site: str, person: int, field: str) -> object:
    (fields,) = stage.records_of(site, person).values()
    return fields.get(field if site == LOCAL else REMOTE_NAMES[field])


def _form(stage: Stage, edit: Edit, site: str) -> object:
    """What an edit looks like at a site."""
    lossy = site == ACME and edit.field == "note" and edit.site != ACME
    return _stripped(LOSSES[stage.conditions.loss](edit.value) if lossy else edit.value)


def _alike(stage: Stage, one: Edit, other: Edit) -> bool:
    return any(_form(stage, one, site) == _form(stage, other, site) for site in SITES)


def _stripped(value: object) -> object:
    return (value.strip() or None) if isinstance(value, str) else value
