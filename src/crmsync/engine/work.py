"""One record on its way through a run."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from crmsync.diff import Merge
from crmsync.models.problems import Problem
from crmsync.models.records import Operation, Outcome, Record, Side
from crmsync.models.state import Conflict, Link


@attrs.define(slots=True, eq=False)
class Work:
    """A record with its counterpart, what was decided, what is to be written, and what became of it.

    ``fresh``: the two met in this run; the link is not stored yet. ``replaces``: markmail_ids of placeholder links that
    this one supersedes, ``left`` what is stored in their place. ``quarantine``: why the record cannot be linked; then
    nothing is written.
    ``conflicts``: what waited on this record before, by local field name. ``heard``: the local field names of what is
    written because a record said it that was folded into this one. ``digests`` are those of the values that each
    operation writes, and of those that they replace.
    """

    link: Link
    local: Record | None
    remote: Record | None
    fresh: bool = False
    replaces: tuple[str, ...] = ()
    left: tuple[Link, ...] = ()
    quarantine: Problem | None = None
    conflicts: dict[str, Conflict] = attrs.field(factory=dict)
    heard: tuple[str, ...] = ()
    merge: Merge | None = None
    operations: dict[Side, Operation] = attrs.field(factory=dict)
    digests: dict[Side, tuple[Mapping[str, bytes], Mapping[str, bytes]]] = attrs.field(factory=dict)
    outcomes: dict[Side, Outcome] = attrs.field(factory=dict)

    def record(self, side: Side) -> Record | None:
        """One side's record as it was read."""
        return self.local if side is Side.LOCAL else self.remote
