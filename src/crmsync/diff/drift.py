"""Compare a linked pair without believing its shadows: which fields are out of step, and how."""

from __future__ import annotations

import enum
from collections.abc import Iterator

from crmsync.diff.decisions import FieldDecision, rule_key
from crmsync.diff.digests import Shadow
from crmsync.diff.merge import Merger
from crmsync.models.records import MISSING, Record
from crmsync.protocols.conversion import FieldRule


class FieldDrift(enum.Enum):
    """How a field is out of step, if it is."""

    UNSYNCED = "unsynced"
    """The ordinary merge would do something: a side changed."""
    DIVERGED = "diverged"
    """The ordinary merge sees no change; two strangers with these values would be merged."""
    REPRESENTED = "represented"
    """One side holds what it could make of the other's value."""


def field_drifts(
    merger: Merger, local: Record, remote: Record, local_shadow: bytes, remote_shadow: bytes
) -> Iterator[tuple[FieldRule, FieldDrift]]:
    """The fields that are not simply equal, or different by the rules of their direction."""
    ordinary = merger.merge(local, remote, local_shadow, remote_shadow)
    strangers = merger.merge(local, remote, b"", b"")
    for key, field in merger.fields.items():
        rule = field.rule
        if _acts(ordinary.decisions.get(key)):
            yield rule, FieldDrift.UNSYNCED
        elif _acts(strangers.decisions.get(key)) and not merger.is_left_blank(rule, local, remote):
            resembles = merger.resembles(rule, local, remote)
            yield rule, FieldDrift.REPRESENTED if resembles else FieldDrift.DIVERGED


def forget_fields(merger: Merger, shadow: bytes, forgotten: frozenset[str]) -> bytes:
    """A shadow without these fields (by `rule_key`): they meet as if for the first time."""
    known = Shadow.decode(shadow).fields
    dropped = {tag for rule, tag in merger.tagged_rules if rule_key(rule) in forgotten}
    return Shadow(fields={tag: digest for tag, digest in known.items() if tag not in dropped}).encode()


def _acts(decision: FieldDecision | None) -> bool:
    """Whether a merge would write a field, or leave it waiting."""
    if decision is None:
        return False
    return decision.hold or decision.local_write is not MISSING or decision.remote_write is not MISSING
