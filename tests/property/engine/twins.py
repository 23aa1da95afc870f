"""Two plays of one history that must end alike: with and without what should make no difference."""

from __future__ import annotations

import enum

from tests.property.engine.judgement import tells_nothing_of_ours
from tests.property.engine.knowledge import SITES
from tests.property.engine.promises import Promise
from tests.property.engine.sites import Conditions, address, name_at
from tests.property.engine.stage import Stage


class Twin(enum.StrEnum):
    """What the second play leaves out, or does another way."""

    CALM = "calm"
    """All incidents of the first play strike after people's last deed; in the second none does."""
    REORDERED = "reordered"
    """No incidents; other pages, each last record first."""
    DOUBLED = "doubled"
    """No incidents; each record is delivered twice."""
    BOTH = "reordered and doubled"
    """No incidents; other pages, each last record first, and each delivered twice."""


_PROMISES = {
    Twin.CALM: (Promise.CRASH_SAFE,),
    Twin.REORDERED: (Promise.ORDER_FREE,),
    Twin.DOUBLED: (Promise.DELIVERY_FREE,),
    Twin.BOTH: (Promise.ORDER_FREE, Promise.DELIVERY_FREE),
}


def delivered_as(twin: Twin, given: Conditions) -> Conditions:
    """What the sites are like in the second play."""
    changed: dict[str, object] = {}
    if twin in (Twin.REORDERED, Twin.BOTH):
        changed |= {"page": 1 if given.page is None else None, "backwards": not given.backwards}
    if twin in (Twin.DOUBLED, Twin.BOTH):
        changed |= {"doubled": not given.doubled}
    return given.model_copy(update=changed)


def compare(twin: Twin, first: Stage, second: Stage) -> None:
    """Both stages hold the same of every person of whom nobody merged, doubled or deleted a record.

    Left out is whose values may come back in the first CRM's own form, as somebody's edit: whom it meets is chance. So
    is of whom people wrote something else: what is there already (an opt-out that has come over, say) nobody enters.
    """
    everybody = {edit.person for edit in first.people.knowledge.edits}
    for person in sorted(everybody - first.people.odd - second.people.odd):
        if tells_nothing_of_ours(first, person) or _deeds(first, person) != _deeds(second, person):
            continue
        one, other = (_held(stage, person) for stage in (first, second))
        told = f"p{person} ends as {one}; the {twin} history ends with {other}"
        for promise in _PROMISES[twin]:
            first.hold(promise, one == other, told)


def _deeds(stage: Stage, person: int) -> list[tuple[str, str, object]]:
    edits = stage.people.knowledge.edits
    return [(edit.site, edit.field, edit.value) for edit in edits if edit.person == person]


def _held(stage: Stage, person: int) -> dict[str, list[dict[str, object]]]:
    email = address(person)
    return {
        site: [
            {name: frozenset(value) if isinstance(value, tuple) else value for name, value in fields.items() if value}
            for fields in stage.at_rest[site].values()
            if fields.get(name_at(site, "email")) == email
        ]
        for site in SITES
    }
