"""What happens in a history over the wire, step by step, and what goes wrong then: all of it by chance alone.

What is drawn does not depend on what the sites hold, so that another play draws the same.
"""

from __future__ import annotations

import random
from functools import partial

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


async def step(stage: WireStage, chance: random.Random) -> None:
    """Somebody does something, or a run does its work as well as it can."""
    site, person, word = chance.choice(SITES), chance.randrange(PEOPLE), chance.choice(WORDS)
    remote, field = chance.choice([ACME, ACME, BETA]), chance.choice(list(TEXTS))
    people = stage.people
    match chance.choices(range(10), [20, 20, 6, 6, 2, 2, 8, 2, 30, 2])[0]:
        case 0 if not stage.sites.records_of(site, person):
            stage.enter(site, person, word)
        case 1 | 0:
            people.edit(site, person, field, word)
        case 2:
            people.opt(site, person, chance.random() < 0.5)
        case 3:
            (people.tag if chance.random() < 0.7 else people.untag)(site, person)
        case 4:
            people.delete(site, person)
            if site != LOCAL and chance.random() < 0.5:
                await stage.run(site)
                people.edit(LOCAL, person, field, word)
                people.restore(site, person)
        case 5:
            people.merge(remote, person, chance.randrange(PEOPLE))
        case 6:
            people.wait(chance.choice([1, 30, 400]))
        case 7:
            stage.change_mapping()
        case 8:
            planned = _incident(chance, remote) if chance.random() < 0.5 else None
            stage.trouble = _trouble(stage, chance)
            incidents = Incidents(
                planned,
                edit=partial(people.edit, site, person, field, "meanwhile"),
                stall=stage.stall,
                take_over=partial(stage.take_over, remote),
            )
            await stage.run(remote, incidents)
            await stage.decide(remote, chance.choice(list(Side)))
        case 9:
            await _erase(stage, chance, remote, person)


def _trouble(stage: WireStage, chance: random.Random) -> Trouble | JobTrouble:
    by_job = stage.ways["channel"] == "bulk" and chance.random() < 0.85
    return job_trouble(chance) if by_job else trouble(chance)


def _incident(chance: random.Random, remote: str) -> Incident:
    if chance.random() >= BY_LEASE:
        return Incident(call=chance.choice(POINTS), number=chance.randint(1, 2), kind=chance.choice(KINDS))
    sent = chance.choice([f"{remote}{SENDS}", f"{remote}{SENDS}", f"{remote}{ASKS}", *OF_LEASES, *POINTS, ANY])
    number = chance.randint(1, RUN) if sent == ANY else chance.choice([1, 1, 2, 3])
    return Incident(call=sent, number=number, kind=chance.choice((*OF_THE_LEASE, Kind.TAKEN)))


async def _erase(stage: WireStage, chance: random.Random, remote: str, person: int) -> None:
    """Somebody who asks for it is erased, and perhaps once more, but nobody whom nobody else can see yet."""
    incident = _of_an_erasure(chance, remote) if chance.random() < 0.5 else None
    met, by_both = _trouble(stage, chance), chance.random() < 0.5
    others = {*stage.people.erased, *stage.people.erasing} - {person}
    if not others and not stage.is_hidden(person):
        stage.trouble = met if incident is None else Trouble()
        await erase(stage, remote, person, incident, by_both=by_both)


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
