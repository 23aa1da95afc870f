"""What the machine makes a history up from: what the sites are like, what may go wrong, and how much of it all."""

from __future__ import annotations

import attrs
import hypothesis.strategies as st

from crmsync.models.mappings import ConflictPolicy, DeletePolicy
from tests.property.engine.incidents import ANY, BOOKKEEPING, CRASHES, FAILURES, OF_THE_LEASE, Incident, Kind
from tests.property.engine.knowledge import ACME, BETA, LOCAL, SITES
from tests.property.engine.sites import LOSSES, SCALARS, Conditions
from tests.property.engine.taking_back import Undoing

PEOPLE = 3
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
fields = st.integers(0, len(SCALARS) - 1)
WORDS = ["alpha", "beta ", "Gamma", "bad", "O'Brien", "#N/A", "=cmd|' /C'!A0", "\U0001f9d9", "ריבה", "NA", "0"]
words = st.one_of(st.none(), st.sampled_from(WORDS))
# What is odd in every history hides what is wrong: where it is, nobody can be sure of much.
seldom = st.sampled_from([False, False, True])
mostly = st.sampled_from([True, True, False])
conditions = st.builds(
    Conditions,
    policy=st.sampled_from(POLICIES),
    loss=st.sampled_from(list(LOSSES)),
    external_key=mostly,
    returns_stored=mostly,
    scanned=seldom,
    late=seldom,
    doubled=seldom,
    backwards=seldom,
    page=st.sampled_from([None, 1, 2]),
    delete=st.sampled_from([DeletePolicy.IGNORE, DeletePolicy.UNLINK, DeletePolicy.PROPAGATE]),
    guard=st.sampled_from([50, 50, 50, 50, 1, 0]),
    calls=st.sampled_from([None, None, None, None, 12, 4]),
    day=st.sampled_from([None, None, None, None, None, 40, 6, 4]),
    narrow=seldom,
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
    kinds = st.sampled_from((*FAILURES, *CRASHES, *OF_THE_LEASE))
    named = st.builds(Incident, call=st.sampled_from(calls), number=st.sampled_from([1, 1, 2]), kind=kinds)
    counted = st.builds(Incident, call=st.just(ANY), number=st.integers(1, POINTS), kind=kinds)
    return st.one_of(st.none(), named, counted)


def undoings() -> st.SearchStrategy[Undoing | None]:
    """What may go wrong while the last run is undone."""
    calls = [f"{site}.write" for site in SITES] + [f"{BOOKKEEPING}.{call}" for call in ("add_journal", "acknowledge")]
    kinds = st.sampled_from((*FAILURES, *CRASHES, *OF_THE_LEASE))
    named = st.builds(Incident, call=st.sampled_from(calls), number=st.integers(1, 3), kind=kinds)
    counted = st.builds(Incident, call=st.just(ANY), number=st.integers(1, POINTS), kind=kinds)
    return st.one_of(st.none(), st.builds(Undoing, incident=st.one_of(named, counted), run=st.booleans()))


@attrs.frozen
class Swarm:
    """What there is in one history, for what is everywhere hides what is wrong elsewhere.

    ``rhythm`` is after how many deeds runs come by themselves, if at all; ``opening`` the site at which everybody is
    entered, and brought to the others, before all begins. ``incidents`` are for the first runs; the others are calm.
    """

    people: int = PEOPLE
    fields: tuple[str, ...] = tuple(SCALARS)
    crms: tuple[str, ...] = (ACME, BETA)
    rhythm: int = 0
    opening: str | None = None
    incidents: tuple[Incident | None, ...] = ()


swarms = st.builds(
    Swarm,
    people=st.sampled_from([1, 1, 2, 2, PEOPLE]),
    fields=st.sampled_from([*((name,) for name in SCALARS), ("name", "note"), ("name", "city"), tuple(SCALARS)]),
    rhythm=st.sampled_from([0, 1, 2, 4]),
    opening=st.sampled_from([None, *SITES, LOCAL]),
    crms=st.sampled_from([(ACME,), (ACME, BETA)]),
    incidents=st.one_of(st.just(()), st.lists(incidents(ACME), min_size=1, max_size=5).map(tuple)),
)
