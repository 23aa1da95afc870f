"""The engine's promises under histories that hypothesis makes up: people, networks and processes at their worst."""

from __future__ import annotations

import os
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

import hypothesis.strategies as st
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from crmsync.models.mappings import ConflictPolicy, DeletePolicy
from crmsync.models.records import Side
from crmsync.protocols.repository import SyncRepository
from crmsync.registry import STORAGE, Registry
from tests.property.engine.incidents import Incident, Kind
from tests.property.engine.knowledge import ACME, BETA, SITES
from tests.property.engine.promises import come_to_rest, judge
from tests.property.engine.stage import LOSSES, TEXTS, Conditions, Counts, Stage

PEOPLE = 3
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
fields = st.sampled_from(list(TEXTS))
words = st.one_of(st.none(), st.sampled_from(["alpha", "beta ", "Gamma", "O'Brien", "bad"]))
incidents = st.one_of(st.none(), *[st.builds(Incident, st.integers(1, 20), st.sampled_from(Kind))] * 3)
conditions = st.builds(
    Conditions,
    policy=st.sampled_from(POLICIES),
    loss=st.sampled_from(list(LOSSES)),
    external_key=st.booleans(),
    returns_stored=st.booleans(),
    scanned=st.booleans(),
    late=st.booleans(),
    page=st.sampled_from([None, 1, 2]),
    delete=st.sampled_from([DeletePolicy.IGNORE, DeletePolicy.UNLINK, DeletePolicy.PROPAGATE]),
)


class EngineMachine(RuleBasedStateMachine):
    """Edits at three sites, runs of two integrations, incidents at every point; then rest, and judgement."""

    counts: ClassVar[Counts]
    storage: ClassVar[Callable[[], str]]

    def __init__(self) -> None:
        super().__init__()
        self._portal_owner = start_blocking_portal()
        self.portal: BlockingPortal = self._portal_owner.__enter__()
        url = type(self).storage()
        opened: AbstractAsyncContextManager[SyncRepository] = Registry().load(STORAGE, url.partition(":")[0])(url)
        self._repository_owner = self.portal.wrap_async_context_manager(opened)
        self.repository = self._repository_owner.__enter__()
        self.stage: Stage | None = None

    def _do(self, work: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        return self.portal.call(work, *arguments)

    @property
    def on(self) -> Stage:
        """The stage."""
        assert self.stage is not None
        return self.stage

    @initialize(given=conditions)
    def begin(self, given: Conditions) -> None:
        """Each history has its own kind of sites and mapping."""
        self.stage = Stage(given, self.repository, self.counts)
        self._do(self.stage.begin)

    @rule(site=sites, person=people, word=words)
    def create(self, site: str, person: int, word: str | None) -> None:
        """Somebody enters a person, mostly once at each site."""
        if not self.on.records_of(site, person) or word == "beta ":
            self.on.create(site, person, word)

    @rule(site=sites, person=people, field=fields, word=words)
    def edit(self, site: str, person: int, field: str, word: str | None) -> None:
        """Somebody edits a text."""
        self.on.edit(site, person, field, word)

    @rule(site=sites, person=people, out=st.booleans())
    def opt(self, site: str, person: int, out: bool) -> None:
        """Somebody opts out or in."""
        self.on.opt(site, person, out=out)

    @rule(site=sites, person=people, add=st.booleans())
    def tag(self, site: str, person: int, add: bool) -> None:
        """Somebody tags or untags."""
        (self.on.tag if add else self.on.untag)(site, person)

    @rule(site=sites, person=people)
    def delete(self, site: str, person: int) -> None:
        """Somebody deletes a person."""
        self.on.delete(site, person)

    @rule(site=remotes, person=people, into=people)
    def merge(self, site: str, person: int, into: int) -> None:
        """Somebody merges two people in a CRM."""
        self.on.merge(site, person, into)

    @rule(site=remotes, person=people)
    def convert(self, site: str, person: int) -> None:
        """A lead becomes a contact."""
        self.on.convert(site, person)

    @rule(seconds=st.sampled_from([1, 30, 400]))
    def wait(self, seconds: int) -> None:
        """Time passes; without this, everything carries one timestamp."""
        self.on.clock.tick(seconds)

    @rule()
    def change_mapping(self) -> None:
        """A field is taken out of the mapping, or put back."""
        self.on.narrow = not self.on.narrow
        self.on.story.append(f"the mapping {'leaves city out' if self.on.narrow else 'has city'}")

    @rule(remote=remotes)
    def expire(self, remote: str) -> None:
        """A CRM forgets where its readers were."""
        self.on.remotes[remote].expire_cursors()

    @rule(remote=remotes, winner=st.sampled_from(Side))
    def decide(self, remote: str, winner: Side) -> None:
        """Somebody decides the conflicts that wait."""
        self._do(self.on.decide, remote, winner)

    @rule(remote=remotes, incident=incidents, site=sites, person=people, field=fields)
    def run(self, remote: str, incident: Incident | None, site: str, person: int, field: str) -> None:
        """A run, with what happens while it is at work."""
        self._do(self.on.run, remote, incident, lambda: self.on.edit(site, person, field, "meanwhile"))

    def teardown(self) -> None:
        """Rest, then judge."""
        try:
            if self.stage is not None:
                self.counts.histories += 1
                try:
                    self._do(come_to_rest, self.stage, Side.LOCAL)
                    self._do(judge, self.stage, PEOPLE)
                except AssertionError as error:
                    raise AssertionError("\n  ".join([f"{error}", *self.stage.story])) from None
        finally:
            self._repository_owner.__exit__(None, None, None)
            self._portal_owner.__exit__(None, None, None)


def play(storage: Callable[[], str], histories: int) -> Counts:
    """Play so many histories on new storages of one kind."""
    counts = Counts()
    machine = type("Machine", (EngineMachine,), {"counts": counts, "storage": staticmethod(storage)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=histories, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    return counts


HISTORIES = int(os.environ.get("CRMSYNC_HISTORIES", "300"))


@pytest.mark.parametrize("kind, share", [("memory", 1.0), ("sqlite", 0.2)])
def test_any_history_keeps_every_promise(
    kind: str, share: float, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """On bookkeeping in memory and on SQLite; a failing history is told as a story."""

    def storage() -> str:
        name = uuid.uuid4().hex
        return f"memory://{name}" if kind == "memory" else f"sqlite:///{tmp_path / name}.db"

    counts = play(storage, max(1, int(HISTORIES * share)))
    struck = ", ".join(f"{count} {name}" for name, count in sorted(counts.incidents.items()))
    record_property(
        "played",
        f"{kind}: {counts.histories} histories, {counts.runs} runs, {counts.points} points, "
        f"{counts.incidents.total()} incidents ({struck})",
    )
    assert counts.histories > 0
