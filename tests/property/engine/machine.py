"""The machine that makes histories up. It only notes steps; what they come to is played when it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from crmsync.models.records import Side
from tests.property.engine.history import History, Step, breaks, few_collections, run_play
from tests.property.engine.incidents import Incident
from tests.property.engine.knowledge import ACME, BETA, LOCAL
from tests.property.engine.promises import Counts
from tests.property.engine.shrinking import smallest
from tests.property.engine.sites import Conditions
from tests.property.engine.swarm import (
    Swarm,
    conditions,
    erasures,
    fields,
    people,
    remotes,
    sites,
    swarms,
    undoings,
    words,
)
from tests.property.engine.taking_back import Undoing
from tests.property.engine.twins import Twin

STEPS = 20
HALF_A_DAY = 43_200


class EngineMachine(RuleBasedStateMachine):
    """Edits at three sites, runs of two integrations, incidents at every point; then rest, and judgement.

    Hypothesis itself leaves out some of the rules in each history.
    """

    counts: ClassVar[Counts]
    storage: ClassVar[Callable[[], str]]
    backend: ClassVar[str]
    last: ClassVar[list[History]]
    """The history that was played last: after a failure, the smallest that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.given = Conditions()
        self.swarm = Swarm()
        self.twin: Twin | None = None
        self.undoing: Undoing | None = None
        self.steps: list[Step] = []
        self.incidents: Iterator[Incident | None] = iter(())
        self.deeds = 0

    def _note(self, do: str, **given: object) -> None:
        self.steps.append(Step.model_validate({"do": do, **given}))

    def _runs(self) -> None:
        for remote in self.swarm.crms:
            self._run(remote, LOCAL, 0, 0)

    def _run(self, remote: str, site: str, person: int, field: int) -> None:
        """A run; the rest is who edits what where, if that is what happens in it."""
        incident = next(self.incidents, None)
        if incident is not None:
            incident = incident.model_copy(update={"call": incident.call.replace(ACME, remote)})
        person, name = person % self.swarm.people, self._field(field)
        self._note("run", site=remote, incident=incident, value=site, person=person, field=name)

    def _deed(self, do: str, person: int, **given: object) -> None:
        """Somebody does something with a person; from time to time runs follow."""
        self._note(do, person=person % self.swarm.people, **given)
        self.deeds += 1
        if self.swarm.rhythm and self.deeds % self.swarm.rhythm == 0:
            self._runs()

    def _field(self, number: int) -> str:
        return self.swarm.fields[number % len(self.swarm.fields)]

    @initialize(
        given=conditions,
        swarm=swarms,
        twin=st.sampled_from([None, None, None, Twin.CALM, Twin.BOTH, Twin.BOTH]),
        undoing=undoings(),
    )
    def begin(self, given: Conditions, swarm: Swarm, twin: Twin | None, undoing: Undoing | None) -> None:
        """Each history has its own kind of sites and mapping; half of them are played twice, to be compared."""
        self.given = given
        self.swarm = swarm
        self.incidents = iter(swarm.incidents)
        self.twin = twin
        self.undoing = undoing
        if swarm.opening is not None:
            for person in range(swarm.people):
                self._note("enter", site=swarm.opening, person=person, value="alpha")
            self._runs()

    @rule(site=sites, person=people, word=words)
    def enter(self, site: str, person: int, word: str | None) -> None:
        """Somebody enters a person, mostly once at each site."""
        person %= self.swarm.people
        known = any((s.do, s.site, s.person) == ("enter", site, person) for s in self.steps)
        if not known or word == "beta ":
            self._deed("enter", person, site=site, value=word)

    @rule(site=sites, person=people, field=fields, word=words)
    def edit(self, site: str, person: int, field: int, word: str | None) -> None:
        """Somebody edits a value."""
        self._deed("edit", person, site=site, field=self._field(field), value=word)

    @rule(remote=remotes, person=people, field=fields, word=words)
    def clash(self, remote: str, person: int, field: int, word: str | None) -> None:
        """Somebody edits a value here, and somebody else the same one in a CRM."""
        person, name = person % self.swarm.people, self._field(field)
        self._note("edit", site=LOCAL, person=person, field=name, value="alpha")
        self._deed("edit", person, site=remote, field=name, value=word)

    @rule(remote=remotes, field=fields, other=fields, word=words)
    def rush(self, remote: str, field: int, other: int, word: str | None) -> None:
        """Everybody is edited in a CRM and here: both passes of a run have several pages, and overlap."""
        for person in range(self.swarm.people):
            self._note("edit", site=remote, person=person, field=self._field(field), value=word)
            self._note("edit", site=LOCAL, person=person, field=self._field(other), value="alpha")

    @rule(site=sites, person=people, out=st.booleans())
    def opt(self, site: str, person: int, out: bool) -> None:
        """Somebody opts out or in."""
        self._deed("opt", person, site=site, value=out)

    @rule(site=sites, person=people, add=st.booleans())
    def tag(self, site: str, person: int, add: bool) -> None:
        """Somebody tags or untags."""
        self._deed("tag" if add else "untag", person, site=site)

    @rule(site=sites, person=people)
    def delete(self, site: str, person: int) -> None:
        """Somebody deletes a person."""
        self._deed("delete", person, site=site)

    @rule(remote=remotes, person=people, field=fields, word=words, seen=st.booleans())
    def undelete(self, remote: str, person: int, field: int, word: str | None, seen: bool) -> None:
        """Somebody brings a person back in a CRM who was deleted there, before or just now, and edited here since."""
        person %= self.swarm.people
        if not any((s.do, s.site, s.person) == ("delete", remote, person) for s in self.steps):
            self._note("delete", site=remote, person=person)
            if seen:
                self._note("run", site=remote, value=LOCAL)
            self._note("edit", site=LOCAL, person=person, field=self._field(field), value=word)
        self._deed("restore", person, site=remote)

    @rule(site=remotes, person=people, into=people)
    def merge(self, site: str, person: int, into: int) -> None:
        """Somebody merges two people in a CRM."""
        self._deed("merge", person, site=site, value=into % self.swarm.people)

    @rule(site=remotes, person=people)
    def convert(self, site: str, person: int) -> None:
        """A lead becomes a contact."""
        self._deed("convert", person, site=site)

    @rule(
        incident=st.one_of(st.none(), *map(erasures, (ACME, BETA))),
        person=people,
        chance=st.integers(0, 5),
        by_both=st.booleans(),
    )
    def erase(self, incident: Incident | None, person: int, chance: int, by_both: bool) -> None:
        """Somebody who asks for it is erased, in a few histories, and perhaps once more."""
        person %= self.swarm.people
        others = any(s.do == "erase" and s.person != person for s in self.steps)
        if chance == 5 and not others:
            site = BETA if incident and incident.call.startswith(BETA) else ACME
            self._note("erase", site=site, person=person, incident=incident, value=by_both or None)

    @rule(seconds=st.sampled_from([1, 30, 400, HALF_A_DAY]))
    def wait(self, seconds: int) -> None:
        """Time passes; without this, everything carries one timestamp."""
        self._note("wait", value=seconds)

    @rule(do=st.sampled_from(["change_mapping", "new_version"]))
    def change_mapping(self, do: str) -> None:
        """A field is taken out of the mapping or put back, or the mapping changes elsewhere."""
        self._note(do)

    @rule(site=sites, field=fields)
    def hide(self, site: str, field: int) -> None:
        """The right to a field is taken away, or given back."""
        self._note("hide", site=site, field=self._field(field))

    @rule(remote=remotes)
    def expire(self, remote: str) -> None:
        """A CRM forgets where its readers were."""
        self._note("expire", site=remote)

    @rule(remote=remotes, winner=st.sampled_from(Side))
    def decide(self, remote: str, winner: Side) -> None:
        """Somebody decides the conflicts that wait."""
        self._note("decide", site=remote, value=str(winner))

    @rule(remote=remotes)
    def retry(self, remote: str) -> None:
        """Somebody has the rejects retried."""
        self._note("retry", site=remote)

    @rule(remote=remotes)
    def approve(self, remote: str) -> None:
        """Somebody approves what a guard stopped."""
        self._note("approve", site=remote)

    @rule(remote=remotes, ignored=st.booleans())
    def ignore(self, remote: str, ignored: bool) -> None:
        """Somebody has the rejects ignored, or no longer."""
        self._note("ignore", site=remote, value=ignored)

    @rule(site=sites, person=people, field=fields)
    def run_acme(self, site: str, person: int, field: int) -> None:
        """A run with the first CRM, with what happens while it is at work."""
        self._run(ACME, site, person, field)

    @rule(site=sites, person=people, field=fields)
    def run_beta(self, site: str, person: int, field: int) -> None:
        """The same with the second."""
        self._run(BETA, site, person, field)

    @rule(remote=remotes)
    def run_full(self, remote: str) -> None:
        """A run that reads everything."""
        self._note("run_full", site=remote)

    def teardown(self) -> None:
        """Play."""
        history = History(given=self.given, steps=tuple(self.steps), twin=self.twin, undoing=self.undoing)
        self.last[:] = [history]
        run_play(history, type(self).storage(), self.counts, backend=self.backend)


def play_many(
    storage: Callable[[], str],
    histories: int,
    counts: Counts,
    *,
    backend: str = "asyncio",
    number: int | None = None,
) -> History | None:
    """Play so many histories, each on a new storage; with a ``number`` always the same ones.

    The answer is None, or a history that breaks a promise, made as small as `smallest` can.
    """
    last: list[History] = []
    given = {"counts": counts, "storage": staticmethod(storage), "backend": backend, "last": last}
    machine = type("Machine", (EngineMachine,), given)
    quiet = settings(
        max_examples=histories,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        database=None,
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
    )
    try:
        with few_collections():
            run_state_machine_as_test(machine if number is None else seed(number)(machine), settings=quiet)
    except AssertionError:
        return smallest(last[0], lambda history: breaks(history, storage(), backend=backend) is not None)
    return None
