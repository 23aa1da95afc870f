"""A position in an object's changes, as an opaque string."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from crmsync.errors import CursorExpiredError
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.values import format_datetime, parse_datetime

_FORMAT = 1


@attrs.frozen(slots=True)
class IdRange:
    """Records that are still to be read: those with an id greater than ``after``, up to and with ``until``."""

    after: str | None = None
    until: str | None = None


@attrs.frozen(slots=True)
class JobPlace:
    """A range of ids that a query job reads, and a place in its results: after ``skip`` records of the page at
    ``locator`` (None: the first).

    ``version`` is the API version that the job was made with: only with the same one its results are given out. Without
    ``job_id`` the job is still to be made. There are about ``records`` in the range; of those given out, ``seen`` did
    not change since the pass started.
    """

    job_id: str | None = None
    version: str = ""
    locator: str | None = None
    skip: int = 0
    part: IdRange = IdRange()
    records: int = 0
    seen: int = 0

    @property
    def anew(self) -> JobPlace:
        """The same range before anything of it was read, without a job."""
        return JobPlace(part=self.part, records=self.records)


@attrs.frozen(slots=True)
class Stretch:
    """A stretch of time whose changed records are read, by their ids: those up to and with ``after`` came already."""

    start: datetime
    end: datetime
    after: str | None = None


@attrs.frozen(slots=True)
class Cursor:
    """Where a pass stands, or (without ``started``) where the next one begins.

    ``since`` is the server's time at the start of the pass before: what changed until then is acknowledged, but for
    commits that become visible late. ``deleted_since`` is the end of the last answer of `getDeleted`. ``started`` is
    the server's time at the start of this pass. ``after`` is the (SystemModstamp, Id) of the last record read. A pass
    over everything knows how many records it ``expected``, and how many it has ``seen`` that did not change since it
    started. ``told`` are the ids of the latest deletions handed out. ``child_after`` is set once the records' own
    changes are read and those of their parents are followed: the id of the last child read. A large pass over
    everything goes by the results of query ``jobs``, one after the other, and then by ``ranges`` of ids side by side.

    Where changes are read by `getUpdated`, ``covered`` says until when this pass will have read them all, however late
    they were committed, and ``stretch`` which ids are being read. ``exact``: ``since`` was such a ``covered``.
    """

    since: datetime | None = None
    deleted_since: datetime | None = None
    started: datetime | None = None
    after: tuple[datetime, str] | None = None
    expected: int | None = None
    seen: int = 0
    told: tuple[str, ...] = ()
    child_after: str | None = None
    jobs: tuple[JobPlace, ...] = ()
    ranges: tuple[IdRange, ...] = ()
    covered: datetime | None = None
    stretch: Stretch | None = None
    exact: bool = False

    @property
    def whole(self) -> bool:
        """Whether this pass reads everything there is."""
        return self.since is None

    @property
    def loading(self) -> bool:
        """Whether this pass goes by jobs or ranges, and has not read them all."""
        return bool(self.jobs or self.ranges)

    def encode(self) -> str:
        """The opaque form."""
        state = {
            "v": _FORMAT,
            "since": _text(self.since),
            "deleted": _text(self.deleted_since),
            "started": _text(self.started),
            "after": [format_datetime(self.after[0]), self.after[1]] if self.after else None,
            "expected": self.expected,
            "seen": self.seen or None,
            "told": self.told or None,
            "child": self.child_after,
            "jobs": [_job_state(each) for each in self.jobs] or None,
            "ranges": [attrs.astuple(each) for each in self.ranges] or None,
            "covered": _text(self.covered),
            "stretch": _stretch_state(self.stretch) if self.stretch else None,
            "exact": self.exact or None,
        }
        return json.dumps({key: value for key, value in state.items() if value is not None}, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Read the opaque form.

        :raises CursorExpiredError: it was not made here, or by a version that is too old.
        """
        try:
            state = json.loads(text)
            if state["v"] != _FORMAT:
                raise ValueError(text)
            after = state.get("after")
            return cls(
                since=_moment(state.get("since")),
                deleted_since=_moment(state.get("deleted")),
                started=_moment(state.get("started")),
                after=(parse_datetime(after[0]), str(after[1])) if after else None,
                expected=state.get("expected"),
                seen=int(state.get("seen", 0)),
                told=tuple(state.get("told", ())),
                child_after=state.get("child"),
                jobs=_jobs(state),
                ranges=tuple(IdRange(_id(after), _id(until)) for after, until in state.get("ranges", ())),
                covered=_moment(state.get("covered")),
                stretch=_stretch(state["stretch"]) if "stretch" in state else None,
                exact=bool(state.get("exact")),
            )
        except (ValueError, TypeError, KeyError, IndexError):
            raise CursorExpiredError("the position is none of this store's; read from the start") from None


def _text(moment: datetime | None) -> str | None:
    return format_datetime(moment) if moment else None


def _moment(text: str | None) -> datetime | None:
    return parse_datetime(text) if text else None


def _job_state(place: JobPlace) -> list[Any]:
    return [*attrs.astuple(place, filter=lambda field, _: field.name != "part"), place.part.after, place.part.until]


def _jobs(state: Mapping[str, Any]) -> tuple[JobPlace, ...]:
    if "job" in state:
        # Before a load went by several jobs there was one, for everything.
        return (_job([*state["job"], state.get("expected") or 0, state.get("seen", 0), None, None]),)
    return tuple(_job(each) for each in state.get("jobs", ()))


def _job(state: Sequence[Any]) -> JobPlace:
    job_id, version, locator, skip, records, seen, after, until = state
    part = IdRange(_id(after), _id(until))
    place = JobPlace(_id(job_id), str(version), None if locator is None else str(locator), int(skip), part)
    return attrs.evolve(place, records=int(records), seen=int(seen))


def _stretch_state(stretch: Stretch) -> list[str | None]:
    return [format_datetime(stretch.start), format_datetime(stretch.end), stretch.after]


def _stretch(state: list[Any]) -> Stretch:
    start, end, after = state
    return Stretch(parse_datetime(start), parse_datetime(end), _id(after))


def _id(text: str | None) -> str | None:
    return None if text is None else _required(full_id(text))


def _required(text: str | None) -> str:
    if text is None:
        raise ValueError("not an id")
    return text
