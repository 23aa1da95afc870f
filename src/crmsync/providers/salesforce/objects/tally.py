"""What became of one message to one person, as counts: a million opens are a few lines of one record. Pure.

An event counts if it is later than the last one of its kind that is counted already. So an event that is logged again
never counts twice, whatever happened in between, and no list of events has to be kept; in exchange one that arrives
after a later one of its kind is not counted. Events that are handed over together count each by itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import attrs

from crmsync.models.campaigns import EmailActivity, EmailActivityType

_LINE: Final = re.compile(r"^E-mail (\w+): (\d{1,18}), last (\S{20,40})$")
_BY_NAME: Final = {str(kind): kind for kind in EmailActivityType}


@attrs.frozen(slots=True)
class Count:
    """How many events of one kind there were, and when the last one was."""

    number: int
    last: datetime


@attrs.frozen(slots=True)
class Tally:
    """The counts of one message to one person."""

    counts: Mapping[EmailActivityType, Count] = attrs.field(factory=dict)

    @property
    def first(self) -> datetime | None:
        """The time to show for the message: when it was sent, else the earliest that is known."""
        sent = self.counts.get(EmailActivityType.SENT)
        return sent.last if sent else min((count.last for count in self.counts.values()), default=None)

    def news(self, events: Sequence[EmailActivity]) -> tuple[bool, ...]:
        """Which of these events are not counted yet. The same event twice is news once."""
        told: set[EmailActivity] = set()
        answers = []
        for event in events:
            known = self.counts.get(event.type)
            new = event not in told and (known is None or event.occurred_at > known.last)
            told.add(event)
            answers.append(new)
        return tuple(answers)

    def adding(self, events: Sequence[EmailActivity]) -> Tally:
        """With what is news among these events."""
        counts = dict(self.counts)
        for event, new in zip(events, self.news(events), strict=True):
            if new:
                before = counts.get(event.type)
                moment = event.occurred_at.astimezone(UTC)
                counts[event.type] = Count(
                    (before.number if before else 0) + 1, max(before.last, moment) if before else moment
                )
        return Tally(counts)

    def written_into(self, text: str) -> str:
        """A description with these counts in place of those it had; what else it says stays."""
        others = [line for line in text.split("\n") if not _LINE.match(line.strip())] if text else []
        lines = [
            f"E-mail {kind}: {count.number}, last {count.last.isoformat()}"
            for kind in EmailActivityType
            if (count := self.counts.get(kind))
        ]
        return "\n".join((*lines, *others))

    @classmethod
    def read_from(cls, text: str) -> Tally:
        """The counts that a description holds. A line that somebody spoiled counts as absent."""
        counts: dict[EmailActivityType, Count] = {}
        for line in text.split("\n"):
            found = _LINE.match(line.strip())
            kind = _BY_NAME.get(found[1]) if found else None
            if found and kind:
                try:
                    last = datetime.fromisoformat(found[3])
                except ValueError:
                    continue
                if last.tzinfo:
                    counts[kind] = Count(int(found[2]), last.astimezone(UTC))
        return cls(counts)


def message_key(activity: EmailActivity) -> str:
    """What makes the record of a person's message recognisable: the same for all events of one message to one person.

    A message without an id is told by its campaign and subject, and failing those by the day.
    """
    message = activity.message_id
    if message is None:
        day = activity.occurred_at.astimezone(UTC).date().isoformat()
        message = f"{activity.campaign_id or ''}\0{activity.subject or ''}" if _named(activity) else day
    digest = hashlib.sha256(f"{activity.email.strip().lower()}\0{message}".encode()).hexdigest()
    return f"markmail:{digest[:40]}"


def _named(activity: EmailActivity) -> bool:
    return bool(activity.campaign_id or activity.subject)
