"""The three sites of a history: one application's records and two CRMs', and everything that they do badly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from crmsync.errors import CRMError, RejectedError
from crmsync.models.mappings import ConflictPolicy, DeletePolicy
from crmsync.models.records import Operation, StoreLimits
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.world import FakeClock
from tests.property.engine.knowledge import ACME, BETA, LOCAL, SITES

OBJECT = "Contact"
TEXTS = {"name": "Name", "city": "City", "note": "Note"}
SCALARS = {**TEXTS, "score": "Score", "seen": "Seen"}
REMOTE_NAMES = {**SCALARS, "email": "Email", "tags": "Tags", "opted_out": "OptedOut"}
LATE = timedelta(minutes=5)
LOOK_BACK = timedelta(minutes=10)
_FIRST_SEEN = datetime(2020, 1, 1, 8, 30, tzinfo=UTC)

Loss = Callable[[object], object]


def _text(change: Callable[[str], str]) -> Loss:
    return lambda value: change(value) if isinstance(value, str) else value


def _rounded(value: object) -> object:
    return round(value, 1) if isinstance(value, Decimal) else value


def _to_the_second(value: object) -> object:
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def _reordered(value: object) -> object:
    return tuple(sorted(value, reverse=True)) if isinstance(value, tuple) else value


LOSSES: dict[str, dict[str, Loss]] = {
    "none": {},
    "cut": {"note": _text(lambda text: text[:6])},
    "upper": {"note": _text(str.upper)},
    "trim": {"note": _text(str.strip)},
    "round": {"score": _rounded},
    "seconds": {"seen": _to_the_second},
    "reorder": {"tags": _reordered},
}
"""What the first CRM makes of a field's values; the second one keeps them."""


class Conditions(BaseModel):
    """What the sides are like, and what the mapping says.

    ``late``: others' changes in a CRM show only after five minutes. ``doubled``: every record is delivered twice in
    each page, and once more with the next one. ``backwards``: pages tell their records last first. ``guard``: how many
    deletes a run may make. ``calls``: how many calls to the CRM a run may make before the rest. ``day``: how many each
    integration may make on one day of UTC; then all begins shortly before midnight. ``narrow``: the city is mapped only
    later.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: ConflictPolicy = ConflictPolicy.NEWEST_WINS
    loss: str = "none"
    external_key: bool = True
    returns_stored: bool = True
    scanned: bool = False
    late: bool = False
    doubled: bool = False
    backwards: bool = False
    page: int | None = None
    delete: DeletePolicy = DeletePolicy.IGNORE
    guard: int = 50
    calls: int | None = None
    day: int | None = None
    narrow: bool = False


class Sites:
    """The stores, with who is in them. ``strict``: the CRMs refuse names with what is ``refused`` in them.

    ``refusal`` is the field and the code that a run then reports.
    """

    refused = "bad"
    refusal = "Name", "rule"

    def __init__(self, conditions: Conditions, clock: FakeClock) -> None:
        self.conditions = conditions
        self.clock = clock
        self.strict = True
        self.hidden: dict[str, set[str]] = {site: set() for site in SITES}
        self.were_hidden: set[tuple[str, str]] = set()
        self.local = MemoryRecordStore(
            "subscribers",
            clock=clock,
            limits=StoreLimits(accepts_ids=True, change_feed=not conditions.scanned, look_back=timedelta(seconds=5)),
        )
        self.remotes = {ACME: self._remote("003", LOSSES[conditions.loss]), BETA: self._remote("cnt", {})}

    def _remote(self, prefix: str, losses: dict[str, Loss]) -> MemoryRecordStore:
        return MemoryRecordStore(
            OBJECT,
            clock=self.clock,
            id_prefix=prefix,
            limits=StoreLimits(
                external_key=self.conditions.external_key,
                look_back=LOOK_BACK,
                time_precision=timedelta(seconds=1),
                write_batch=3,
                read_page=50,
            ),
            lossy={REMOTE_NAMES[field]: loss for field, loss in losses.items()},
            late=LATE if self.conditions.late else timedelta(0),
            returns_stored=self.conditions.returns_stored,
            reject=self._refusal,
        )

    def _refusal(self, operation: Operation) -> CRMError | None:
        bad = self.strict and self.refused in str(operation.fields.get("Name"))
        return RejectedError("refused by a rule", code="rule", field="Name") if bad else None

    def __getitem__(self, site: str) -> MemoryRecordStore:
        return self.local if site == LOCAL else self.remotes[site]

    def records_of(self, site: str, person: int) -> dict[str, dict[str, object]]:
        """The living records with a person's e-mail."""
        email = name_at(site, "email")
        return {i: f for i, f in self[site].snapshot().items() if f.get(email) == address(person)}

    def hide(self, site: str, field: str, *, hidden: bool) -> None:
        """Take away, or give back, the right to read and write a field."""
        self.were_hidden.add((site, field))
        (self.hidden[site].add if hidden else self.hidden[site].discard)(field)
        self[site].hide(name_at(site, name) for name in self.hidden[site])

    def snapshot(self) -> dict[str, dict[str, dict[str, object]]]:
        """What every site holds."""
        return {site: self[site].snapshot() for site in SITES}


def address(person: int) -> str:
    """A person's e-mail, which never changes."""
    return f"p{person}@example.org"


def name_at(site: str, field: str) -> str:
    """What a field is called at a site."""
    return field if site == LOCAL else REMOTE_NAMES[field]


def new_value(field: str, number: int, word: str) -> object:
    """A value that nobody wrote before: its ``number`` is part of it."""
    if field == "score":
        return Decimal(number) + Decimal("0.26")
    if field == "seen":
        return _FIRST_SEEN + timedelta(days=number, microseconds=123_000)
    return f"{number:03}{word}"
