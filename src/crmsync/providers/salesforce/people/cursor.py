"""A position in the changes of both objects, as one opaque string."""

from __future__ import annotations

import enum
import json

import attrs

from crmsync.errors import CursorExpiredError

_FORMAT = 1


class Turn(enum.StrEnum):
    """Whose changes a pass is reading."""

    LEADS = "leads"
    CONTACTS = "contacts"


@attrs.frozen(slots=True)
class PeopleCursor:
    """Where a pass stands: the position in each object's own changes, and whose are read now.

    Leads come first. One that is converted while the pass runs was seen as a lead then, and its contact is still to
    come; the other way round it would be seen as neither. ``scanned``: every lead there is was seen in this pass.
    """

    leads: str | None = None
    contacts: str | None = None
    turn: Turn = Turn.LEADS
    scanned: bool = False

    def encode(self) -> str:
        """The opaque form."""
        state = {"people": _FORMAT, **attrs.asdict(self)}
        return json.dumps(state, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> PeopleCursor:
        """Read the opaque form.

        :raises CursorExpiredError: it was not made here, or by a version that is too old.
        """
        try:
            state = json.loads(text)
            if state["people"] != _FORMAT:
                raise ValueError(text)
            leads, contacts = (None if state[name] is None else str(state[name]) for name in ("leads", "contacts"))
            return cls(leads, contacts, Turn(state["turn"]), bool(state["scanned"]))
        except (ValueError, TypeError, KeyError):
            raise CursorExpiredError("the position is none of this store's; read from the start") from None
