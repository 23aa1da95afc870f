"""What is said about a backup of the bookkeeping."""

from __future__ import annotations

from datetime import datetime

import attrs


@attrs.frozen(slots=True)
class BackupSummary:
    """What a backup holds: the schema's revision, the moment it shows, and the rows of each table."""

    revision: str
    made_at: datetime
    rows: dict[str, int]


@attrs.frozen(slots=True)
class RestoreOptions:
    """``replace``: what the bookkeeping holds may go. ``pause``: no integration syncs until it is resumed."""

    replace: bool = False
    pause: bool = True
