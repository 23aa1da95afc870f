"""Which way a field's values may flow."""

from __future__ import annotations

from typing import Final

from crmsync.models.mappings import Enforcement
from crmsync.models.records import Side
from crmsync.protocols.conversion import FieldRule

_LOCAL: Final = Side.LOCAL

FLOWS: Final = (Enforcement.PROPAGATE, Enforcement.MIRROR)


def is_blank(normal: object) -> bool:
    """Whether a normal form is "no value": None or an empty set. 0 and False are values."""
    return normal is None or (isinstance(normal, frozenset) and not normal)


def flows_to(rule: FieldRule, target: Side) -> Enforcement:
    """The enforcement of the direction that writes ``target``."""
    return rule.from_crm if target is _LOCAL else rule.to_crm


def writes_over(rule: FieldRule, target: Side, target_normal: object) -> bool:
    """Whether the direction may replace what the target holds now."""
    enforcement = flows_to(rule, target)
    return enforcement in FLOWS or (enforcement is Enforcement.FILL_BLANK and is_blank(target_normal))
