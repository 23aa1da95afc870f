"""Changes of consent, for the audit log."""

from __future__ import annotations

import attrs

from crmsync.models.records import Side


@attrs.frozen(slots=True)
class ConsentChange:
    """A run wrote a person's consent. ``side`` and ``field`` are what was written.

    ``restricts``: the person is opted out now; else opted in.
    """

    markmail_id: str
    side: Side
    field: str
    restricts: bool
