"""What happens in a history over the wire, step by step, and what goes wrong then: all of it by chance alone.

What is drawn does not depend on what the sites hold, so that another play draws the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from crmsync.models.mappings import DeletePolicy
from crmsync.models.records import Side
from tests.property.engine.erasures import erase
from tests.property.engine.incidents import (
    ANY,
    ASKS,
    BOOKKEEPING,
    CRASHES,
    FAILURES,
    OF_THE_LEASE,
    SENDS,
    Incident,
    Incidents,
    Kind,
)
from tests.property.engine.job_troubles import JobTrouble, job_trouble
from tests.property.engine.knowledge import ACME, BETA, LOCAL, SITES
from tests.property.engine.sites import TEXTS
from tests.property.engine.taking_back import Undoing
from tests.property.engine.troubles import Trouble, trouble
from tests.property.engine.wire import WireStage
from tests.property.engine.wire_sites import REFUSED

PEOPLE = 3
CRMS = (ACME, BETA)
NEWCOMER = PEOPLE
"""A person to whom nothing else happens."""
WORDS = [None, "alpha", "beta", "Gamma", "O'Brien", REFUSED]
BY_LEASE = 0.6
"""How many of the incidents are about the lease."""
KINDS = [kind for kind in Kind if kind not in OF_THE_LEASE]
POINTS = [
    *(f"{BOOKKEEPING}.{call}" for call in ("add_journal", "acknowledge", "links_by_local", "links_by_remote")),
    *(f"{BOOKKEEPING}.{call}" for call in ("add_remote_job", "remove_remote_job")),
    *(f"{LOCAL}.{call}" for call in ("changes", "get", "find", "write")),
]
OF_LEASES = [f"{BOOKKEEPING}.{call}" for call in ("acquire_lease", "renew_lease", "release_lease", "reserve_calls")]
OF_ERASURES = [
    *(f"{LOCAL}.{call}" for call in ("write", "find", "get")),
    *(f"{BOOKKEEPING}.{call}" for call in ("erase_person", "acknowledge", "list_journal")),
]
RUN = 25
"""How many points a run has, about."""


async def open_with(stage: WireStage, site: str | None) -> None:
    """Everybody is entered at a site, if one is given, and brought to the others."""
    if site is not None:
        for person in range(PEOPLE):
            stage.people.enter(site, person, "alpha")
        for remote in CRMS if site != BETA else CRMS[::-1]:
            await stage.run(remote)


async def step(stage: WireStage, chance: random.Random, *, calm: bool = False) -> None:
    """Somebody does something, or a run does its work as well as it can. ``calm``: nothing goes wrong then."""
    site, person, word = chance.choice(SITES), chance.randrange(PEOPLE), chance.choice(WORDS)
    remote, field, again = chance.choice([ACME, ACME, BETA]), chance.choice(list(TEXTS)), chance.random() < 0.08
    people = stage.people
    match chance.choices(range(11), [20, 20, 6, 6, 4, 2, 8, 2, 30, 2, 3])[0]:
        case 0 if again or not stage.sites.records_of(site, person):
            stage.enter(site, person, word)
        case 1 | 0:
            people.edit(site, person, field, word)
        case 2:
            people.opt(site, person, chance.random() < 0.5)
        case 3:
            (people.tag if chance.random() < 0.7 else people.untag)(site, person)
        case 4:
            await _delete(stage, chance, site, remote, person, partial(people.edit, LOCAL, person, field, word))
        case 5:
            people.merge(remote, person, chance.randrange(PEOPLE))
        case 6:
            people.wait(chance.choice([1, 30, 400]))
        case 7:
            stage.change_mapping()
        case 8:
            await _run(stage, chance, remote, partial(people.edit, site, person, field, "meanwhile"), calm=calm)
        case 9:
            await _erase(stage, chance, remote, person, calm=calm)
        case 10:
            (_double if chance.random() < 0.6 else _convert)(stage, remote, person, word)


def _convert(stage: WireStage, remote: str, person: int, _word: str | None) -> None:
    """A lead becomes a contact."""
    stage.people.convert(remote, person)


def _double(stage: WireStage, remote: str, _person: int, word: str | None) -> None:
    """Somebody whom nobody has yet is entered twice in a CRM and once here: nobody knows whose counterpart that is."""
    if not any(stage.sites.records_of(site, NEWCOMER) for site in SITES):
        for site in (remote, remote, LOCAL):
            stage.people.enter(site, NEWCOMER, word)


async def _delete(
    stage: WireStage, chance: random.Random, site: str, remote: str, person: int, edit: Callable[[], None]
) -> None:
    """Somebody is deleted; or brought back, after a run saw that and somebody edited them elsewhere.

    Where a guard watches over deletes, all are brought into step, and so many are deleted that it stops the next run.
    """
    back, looks, remote = chance.random() < 0.5, chance.random(), remote if site == LOCAL else site
    guard = stage.conditions.guard
    if guard < PEOPLE and stage.conditions.delete is DeletePolicy.PROPAGATE:
        await stage.run(remote)
        for each in range(person, person + guard + 1):
            stage.people.delete(site, each % PEOPLE)
        await stage.run(remote)
        await _look(stage, remote, looks)
        return
    stage.people.delete(site, person)
    if back and site != LOCAL:
        await stage.run(site)
        edit()
        stage.people.restore(site, person)


async def _run(stage: WireStage, chance: random.Random, remote: str, edit: Callable[[], None], *, calm: bool) -> None:
    """A run, and what somebody does who looks at what it left."""
    planned, met = _incident(chance, remote) if chance.random() < 0.5 else None, _trouble(stage, chance)
    winner, looks = chance.choice(list(Side)), chance.random()
    stage.trouble = Trouble() if calm else met
    take_over = partial(stage.take_over, remote)
    await stage.run(remote, Incidents(None if calm else planned, edit=edit, stall=stage.stall, take_over=take_over))
    await stage.decide(remote, winner)
    await _look(stage, remote, looks)


async def _look(stage: WireStage, remote: str, looks: float) -> None:
    """Somebody looks at what a run left, and does something about it."""
    if looks < 0.5:
        await stage.approve(remote)
    elif looks < 0.7:
        await stage.drop(remote)
    elif looks < 0.8:
        await stage.retry(remote)
    elif looks < 0.9:
        await stage.ignore(remote, ignored=looks < 0.85)


def _trouble(stage: WireStage, chance: random.Random) -> Trouble | JobTrouble:
    by_job = stage.ways["channel"] == "bulk" and chance.random() < 0.85
    return job_trouble(chance) if by_job else trouble(chance)


def _incident(chance: random.Random, remote: str) -> Incident:
    if chance.random() >= BY_LEASE:
        return Incident(call=chance.choice(POINTS), number=chance.randint(1, 2), kind=chance.choice(KINDS))
    sent = chance.choice([f"{remote}{SENDS}", f"{remote}{SENDS}", f"{remote}{ASKS}", *OF_LEASES, *POINTS, ANY])
    number = chance.randint(1, RUN) if sent == ANY else chance.choice([1, 1, 2, 3])
    return Incident(call=sent, number=number, kind=chance.choice((*OF_THE_LEASE, Kind.TAKEN)))


async def _erase(stage: WireStage, chance: random.Random, remote: str, person: int, *, calm: bool) -> None:
    """Somebody who asks for it is erased, and perhaps once more, but nobody whom nobody else can see yet."""
    incident = _of_an_erasure(chance, remote) if chance.random() < 0.5 else None
    met, by_both = _trouble(stage, chance), chance.random() < 0.5
    others = {*stage.people.erased, *stage.people.erasing} - {person}
    if not others and not stage.is_hidden(person):
        stage.trouble = met if incident is None and not calm else Trouble()
        await erase(stage, remote, person, None if calm else incident, by_both=by_both)


def _of_an_erasure(chance: random.Random, remote: str) -> Incident:
    if chance.random() < BY_LEASE:
        call = chance.choice([f"{remote}{SENDS}", f"{remote}{ASKS}", *OF_ERASURES, ANY])
        number = chance.randint(1, RUN) if call == ANY else chance.choice([1, 1, 2])
        return Incident(call=call, number=number, kind=chance.choice(OF_THE_LEASE))
    return Incident(call=chance.choice(OF_ERASURES), kind=chance.choice((*FAILURES, *CRASHES)))


def undoing(chance: random.Random) -> Undoing:
    """What goes wrong while a run is undone."""
    call = chance.choice([f"{BOOKKEEPING}.acknowledge", f"{BOOKKEEPING}.add_journal", f"{LOCAL}.write"])
    kind = chance.choice([Kind.CRASH_BEFORE, Kind.CRASH_AFTER, Kind.FAIL_AFTER])
    incident = Incident(call=call, number=chance.randint(1, 2), kind=kind)
    return Undoing(back=chance.randrange(3), incident=incident, run=chance.random() < 0.5)
