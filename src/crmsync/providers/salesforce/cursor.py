"""A position in an object's changes, as an opaque string."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import attrs

from crmsync.errors import CursorExpiredError
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.values import format_datetime, parse_datetime

_FORMAT = 1


@attrs.frozen(slots=True)
class JobPlace:
    """A place in the results of a query job: after ``skip`` records of the page at ``locator`` (None: the first).

    ``version`` is the API version that the job was made with: only with the same one its results are given out.
    """

    job_id: str
    version: str
    locator: str | None = None
    skip: int = 0


@attrs.frozen(slots=True)
class IdRange:
    """Records that are still to be read: those with an id greater than ``after``, up to and with ``until``."""

    after: str | None
    until: str | None


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
    everything goes by the results of a query ``job``, or by ``ranges`` of ids side by side.

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
    job: JobPlace | None = None
    ranges: tuple[IdRange, ...] = ()
    covered: datetime | None = None
    stretch: Stretch | None = None
    exact: bool = False

    @property
    def whole(self) -> bool:
        """Whether this pass reads everything there is."""
        return self.since is None

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
            "job": attrs.astuple(self.job) if self.job else None,
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
                job=_job(state["job"]) if "job" in state else None,
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


def _job(state: list[Any]) -> JobPlace:
    job_id, version, locator, skip = state
    return JobPlace(_required(_id(job_id)), str(version), None if locator is None else str(locator), int(skip))


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
