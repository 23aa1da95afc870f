"""The machine that makes histories up. It only notes steps; what they come to is played when it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from crmsync.models.mappings import ConflictPolicy, DeletePolicy
from crmsync.models.records import Side
from tests.property.engine.history import History, Step, breaks, few_collections, run_play
from tests.property.engine.incidents import ANY, BOOKKEEPING, CRASHES, FAILURES, Incident, Kind
from tests.property.engine.knowledge import ACME, BETA, LOCAL, SITES
from tests.property.engine.promises import Counts
from tests.property.engine.shrinking import smallest
from tests.property.engine.sites import LOSSES, SCALARS, Conditions
from tests.property.engine.taking_back import Undoing
from tests.property.engine.twins import Twin

PEOPLE = 3
STEPS = 25
HALF_A_DAY = 43_200
POINTS = 25
"""How many points a run has that finds something to do, about."""
POLICIES = [
    ConflictPolicy.LOCAL_WINS,
    ConflictPolicy.REMOTE_WINS,
    ConflictPolicy.NEWEST_WINS,
    ConflictPolicy.PREFER_NONBLANK,
    ConflictPolicy.MAX,
    ConflictPolicy.MANUAL,
]
sites = st.sampled_from(SITES)
remotes = st.sampled_from([ACME, ACME, BETA])
people = st.integers(0, PEOPLE - 1)
fields = st.sampled_from(list(SCALARS))
WORDS = ["alpha", "beta ", "Gamma", "bad", "O'Brien", "#N/A", "=cmd|' /C'!A0", "\U0001f9d9", "ריבה", "NA", "0"]
words = st.one_of(st.none(), st.sampled_from(WORDS))
conditions = st.builds(
    Conditions,
    policy=st.sampled_from(POLICIES),
    loss=st.sampled_from(list(LOSSES)),
    external_key=st.booleans(),
    returns_stored=st.booleans(),
    scanned=st.booleans(),
    late=st.booleans(),
    doubled=st.booleans(),
    backwards=st.booleans(),
    page=st.sampled_from([None, 1, 2]),
    delete=st.sampled_from([DeletePolicy.IGNORE, DeletePolicy.UNLINK, DeletePolicy.PROPAGATE]),
    guard=st.sampled_from([50, 50, 1, 0]),
    calls=st.sampled_from([None, None, None, 12, 4]),
    day=st.sampled_from([None, None, None, 40, 6, 4]),
    narrow=st.booleans(),
)
CALLS = ("write", "write", "write", "changes", "get", "find", "find_by_key", "merged_into")
COMMITS = ("acknowledge", "acknowledge", "add_journal", "list_journal", "links_by_local", "scan_links", "release_lease")
DAYS = ("reserve_calls", "return_calls")


def incidents(remote: str) -> st.SearchStrategy[Incident | None]:
    """What may go wrong in a run with one CRM."""
    calls = [f"{site}.{call}" for site in (LOCAL, remote) for call in CALLS]
    points = st.sampled_from([*calls, *(f"{BOOKKEEPING}.{call}" for call in (*COMMITS, *DAYS))])
    named = st.builds(Incident, call=points, number=st.sampled_from([1, 1, 2, 3]), kind=st.sampled_from(Kind))
    counted = st.builds(Incident, call=st.just(ANY), number=st.integers(1, POINTS), kind=st.sampled_from(Kind))
    return st.one_of(st.none(), named, counted)


def erasures(remote: str) -> st.SearchStrategy[Incident | None]:
    """What may go wrong while a person is erased."""
    calls = [f"{site}.{call}" for site in (LOCAL, remote) for call in ("write", "find", "get")]
    calls += [f"{BOOKKEEPING}.{call}" for call in ("erase_person", "acknowledge", "list_journal")]
    kinds = st.sampled_from((*FAILURES, *CRASHES))
    named = st.builds(Incident, call=st.sampled_from(calls), number=st.sampled_from([1, 1, 2]), kind=kinds)
    counted = st.builds(Incident, call=st.just(ANY), number=st.integers(1, POINTS), kind=kinds)
    return st.one_of(st.none(), named, counted)


def undoings() -> st.SearchStrategy[Undoing | None]:
    """What may go wrong while the last run is undone."""
    calls = [f"{site}.write" for site in SITES] + [f"{BOOKKEEPING}.{call}" for call in ("add_journal", "acknowledge")]
    kinds = st.sampled_from((*FAILURES, *CRASHES))
    named = st.builds(Incident, call=st.sampled_from(calls), number=st.integers(1, 3), kind=kinds)
    counted = st.builds(Incident, call=st.just(ANY), number=st.integers(1, POINTS), kind=kinds)
    return st.one_of(st.none(), st.builds(Undoing, incident=st.one_of(named, counted), run=st.booleans()))


class EngineMachine(RuleBasedStateMachine):
    """Edits at three sites, runs of two integrations, incidents at every point; then rest, and judgement."""

    counts: ClassVar[Counts]
    storage: ClassVar[Callable[[], str]]
    backend: ClassVar[str]
    last: ClassVar[list[History]]
    """The history that was played last: after a failure, the smallest that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.given = Conditions()
        self.twin: Twin | None = None
        self.undoing: Undoing | None = None
        self.steps: list[Step] = []

    def _note(self, do: str, **given: object) -> None:
        self.steps.append(Step.model_validate({"do": do, **given}))

    @initialize(
        given=conditions,
        twin=st.sampled_from([None, None, None, Twin.CALM, Twin.BOTH, Twin.BOTH]),
        undoing=undoings(),
    )
    def begin(self, given: Conditions, twin: Twin | None, undoing: Undoing | None) -> None:
        """Each history has its own kind of sites and mapping; half of them are played twice, to be compared."""
        self.given = given
        self.twin = twin
        self.undoing = undoing

    @rule(site=sites, person=people, word=words)
    def enter(self, site: str, person: int, word: str | None) -> None:
        """Somebody enters a person, mostly once at each site."""
        known = any((s.do, s.site, s.person) == ("enter", site, person) for s in self.steps)
        if not known or word == "beta ":
            self._note("enter", site=site, person=person, value=word)

    @rule(site=sites, person=people, field=fields, word=words)
    def edit(self, site: str, person: int, field: str, word: str | None) -> None:
        """Somebody edits a value."""
        self._note("edit", site=site, person=person, field=field, value=word)

    @rule(remote=remotes, person=people, field=fields, word=words)
    def clash(self, remote: str, person: int, field: str, word: str | None) -> None:
        """Somebody edits a value here, and somebody else the same one in a CRM."""
        self._note("edit", site=LOCAL, person=person, field=field, value="alpha")
        self._note("edit", site=remote, person=person, field=field, value=word)

    @rule(remote=remotes, field=fields, other=fields, word=words)
    def rush(self, remote: str, field: str, other: str, word: str | None) -> None:
        """Everybody is edited in a CRM and here: both passes of a run have several pages, and overlap."""
        for person in range(PEOPLE):
            self._note("edit", site=remote, person=person, field=field, value=word)
            self._note("edit", site=LOCAL, person=person, field=other, value="alpha")

    @rule(site=sites, person=people, out=st.booleans())
    def opt(self, site: str, person: int, out: bool) -> None:
        """Somebody opts out or in."""
        self._note("opt", site=site, person=person, value=out)

    @rule(site=sites, person=people, add=st.booleans())
    def tag(self, site: str, person: int, add: bool) -> None:
        """Somebody tags or untags."""
        self._note("tag" if add else "untag", site=site, person=person)

    @rule(site=sites, person=people)
    def delete(self, site: str, person: int) -> None:
        """Somebody deletes a person."""
        self._note("delete", site=site, person=person)

    @rule(remote=remotes, person=people, field=fields, word=words, seen=st.booleans())
    def undelete(self, remote: str, person: int, field: str, word: str | None, seen: bool) -> None:
        """Somebody brings a person back in a CRM who was deleted there, before or just now, and edited here since."""
        if not any((s.do, s.site, s.person) == ("delete", remote, person) for s in self.steps):
            self._note("delete", site=remote, person=person)
            if seen:
                self._note("run", site=remote, value=LOCAL)
            self._note("edit", site=LOCAL, person=person, field=field, value=word)
        self._note("restore", site=remote, person=person)

    @rule(site=remotes, person=people, into=people)
    def merge(self, site: str, person: int, into: int) -> None:
        """Somebody merges two people in a CRM."""
        self._note("merge", site=site, person=person, value=into)

    @rule(site=remotes, person=people)
    def convert(self, site: str, person: int) -> None:
        """A lead becomes a contact."""
        self._note("convert", site=site, person=person)

    @rule(incident=st.one_of(st.none(), *map(erasures, (ACME, BETA))), person=people, chance=st.integers(0, 5))
    def erase(self, incident: Incident | None, person: int, chance: int) -> None:
        """Somebody who asks for it is erased, in a few histories, and perhaps once more."""
        others = any(s.do == "erase" and s.person != person for s in self.steps)
        if chance == 5 and not others:
            site = BETA if incident and incident.call.startswith(BETA) else ACME
            self._note("erase", site=site, person=person, incident=incident)

    @rule(seconds=st.sampled_from([1, 30, 400, HALF_A_DAY]))
    def wait(self, seconds: int) -> None:
        """Time passes; without this, everything carries one timestamp."""
        self._note("wait", value=seconds)

    @rule(do=st.sampled_from(["change_mapping", "new_version"]))
    def change_mapping(self, do: str) -> None:
        """A field is taken out of the mapping or put back, or the mapping changes elsewhere."""
        self._note(do)

    @rule(site=sites, field=fields)
    def hide(self, site: str, field: str) -> None:
        """The right to a field is taken away, or given back."""
        self._note("hide", site=site, field=field)

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

    @rule(incident=incidents(ACME), site=sites, person=people, field=fields)
    def run_acme(self, incident: Incident | None, site: str, person: int, field: str) -> None:
        """A run with the first CRM, with what happens while it is at work."""
        self._note("run", site=ACME, incident=incident, value=site, person=person, field=field)

    @rule(incident=incidents(BETA), site=sites, person=people, field=fields)
    def run_beta(self, incident: Incident | None, site: str, person: int, field: str) -> None:
        """The same with the second."""
        self._note("run", site=BETA, incident=incident, value=site, person=person, field=field)

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
