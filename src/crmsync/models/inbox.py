"""What a person does about conflicts and rejects: decisions by rule, and what became of them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
from pydantic import AwareDatetime, Field

from crmsync.models.candidates import Candidate
from crmsync.models.records import Side
from crmsync.models.schema import PublicModel
from crmsync.models.state import Conflict, Link, LinkStatus


class RuleWinner(enum.StrEnum):
    """Whose value a rule keeps."""

    LOCAL = "local"
    REMOTE = "remote"
    NEWEST = "newest"
    """That of the record that was changed last; where a side does not know when, or both say the same, nobody's."""
    NONBLANK = "nonblank"
    """That which is no blank; where both are values, nobody's."""


class ValuePattern(enum.StrEnum):
    """How the two values of a conflict compare."""

    ANY = "any"
    ONE_BLANK = "one_blank"
    """One side is blank."""
    SAME_LETTERS = "same_letters"
    """They differ by upper and lower case, white space and punctuation only."""


class ConflictRule(PublicModel):
    """Decides open conflicts, many at once: those that meet every condition.

    ``field`` is a name on either side. ``policy`` is the policy that parked it. ``older_than`` is the least time since
    it was met. Of values that were erased nothing is known: they meet `ValuePattern.ANY` only.
    """

    winner: RuleWinner
    object_name: str | None = None
    field: str | None = None
    policy: str | None = None
    older_than: timedelta = Field(default=timedelta(0), ge=timedelta(0))
    values: ValuePattern = ValuePattern.ANY

    def applies_to(self, conflict: Conflict, now: datetime) -> bool:
        """Whether a conflict meets the conditions."""
        return (
            self.object_name in (None, conflict.entity_type)
            and self.field in (None, conflict.field, conflict.crm_field)
            and self.policy in (None, conflict.policy)
            and (conflict.created_at is None or conflict.created_at <= now - self.older_than)
            and _PATTERNS[self.values](conflict)
        )

    def winner_of(self, conflict: Conflict) -> Side | None:
        """The side whose value the rule keeps; None if it cannot tell."""
        match self.winner:
            case RuleWinner.LOCAL:
                return Side.LOCAL
            case RuleWinner.REMOTE:
                return Side.REMOTE
            case RuleWinner.NEWEST:
                return _newest(conflict)
            case RuleWinner.NONBLANK:
                return _nonblank(conflict)


def _newest(conflict: Conflict) -> Side | None:
    ours, theirs = conflict.local_changed_at, conflict.remote_changed_at
    if ours is None or theirs is None or ours == theirs:
        return None
    return Side.LOCAL if ours > theirs else Side.REMOTE


def _nonblank(conflict: Conflict) -> Side | None:
    if not _one_blank(conflict):
        return None
    return Side.REMOTE if _is_blank(conflict.local_value) else Side.LOCAL


def _one_blank(conflict: Conflict) -> bool:
    return _is_blank(conflict.local_value) != _is_blank(conflict.remote_value)


def _is_blank(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _same_letters(conflict: Conflict) -> bool:
    values = (conflict.local_value, conflict.remote_value)
    letters = {_letters(value) for value in values if isinstance(value, str)}
    return all(isinstance(value, str) for value in values) and len(letters) == 1


def _letters(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


_PATTERNS: Final[dict[ValuePattern, Callable[[Conflict], bool]]] = {
    ValuePattern.ANY: lambda _: True,
    ValuePattern.ONE_BLANK: _one_blank,
    ValuePattern.SAME_LETTERS: _same_letters,
}


@attrs.frozen(slots=True)
class RuleOutcome:
    """What a rule decided, or in a dry run would decide; and ``left``: what met it, but it could not tell who wins."""

    decided: tuple[Conflict, ...] = ()
    left: tuple[Conflict, ...] = ()


class RejectReason(PublicModel):
    """Why a record, or one field of it, could not be synced, and what to do; never with a value."""

    field: str | None = None
    code: str
    message: str
    remedy: str = ""


class Reject(PublicModel):
    """A record that could not be synced wholly, or that could belong to more than one of the other side.

    Every run tries it again, unless it is ``ignored``: then only once its record or the mapping has changed, or when it
    is retried by name. ``born`` is the side where it was first seen; until it is ``linked`` it has no record on the
    other one, and where it was born in the CRM ``markmail_id`` is the id that its local twin will get. ``candidates``
    are records of either side: those of the other one it could belong to, those of its own are like it. ``attempts`` is
    how often in a row it failed, since ``failing_since``.
    """

    integration_id: str
    entity_type: str
    markmail_id: str
    crm_id: str | None
    status: LinkStatus
    born: Side
    linked: bool
    reasons: tuple[RejectReason, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    attempts: int = 0
    failing_since: AwareDatetime | None = None
    last_tried_at: AwareDatetime | None = None

    @property
    def ignored(self) -> bool:
        """Whether no run tries it again by itself."""
        return self.status is LinkStatus.IGNORED


def reject_of(link: Link) -> Reject:
    """What a link says of why it is not in step."""
    return Reject(
        integration_id=link.integration_id,
        entity_type=link.entity_type,
        markmail_id=link.markmail_id,
        crm_id=link.crm_id,
        status=link.status,
        born=link.born,
        linked=bool(link.local_shadow and link.remote_shadow),
        reasons=tuple(
            RejectReason(field=one.path or None, code=one.code, message=one.message, remedy=one.remedy)
            for one in link.problems
        ),
        candidates=link.candidates,
        attempts=link.attempts,
        failing_since=link.failing_since,
        last_tried_at=link.updated_at,
    )
