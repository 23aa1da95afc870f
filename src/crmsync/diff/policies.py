"""Who wins when two different values meet. Pure: the times are the records' own."""

from __future__ import annotations

from datetime import timedelta

import attrs

from crmsync.diff.cells import Cell
from crmsync.diff.directions import is_blank, writes_over
from crmsync.models.mappings import ConflictPolicy
from crmsync.models.records import MISSING, Side
from crmsync.protocols.conversion import FieldRule


@attrs.frozen(slots=True)
class Verdict:
    """``winner``'s value is kept, or ``value`` (in local form) replaces both; with neither, a person must decide."""

    winner: Side | None = None
    value: object = attrs.field(default=MISSING, repr=False)


def decide(cell: Cell, uncertainty: timedelta, chosen: Verdict | None) -> Verdict:
    """The verdict of a person if there is one, else that of the directions, else that of the policy."""
    rule = cell.rule
    if rule.policy is ConflictPolicy.MOST_RESTRICTIVE:
        return Verdict(_most_restrictive(cell))
    if chosen is not None:
        return chosen
    over_remote = writes_over(rule, Side.REMOTE, cell.remote_normal)
    over_local = writes_over(rule, Side.LOCAL, cell.local_normal)
    if over_remote != over_local:
        return Verdict(Side.LOCAL if over_remote else Side.REMOTE)
    return _by_policy(cell, uncertainty)


def _by_policy(cell: Cell, uncertainty: timedelta) -> Verdict:
    rule = cell.rule
    match rule.policy:
        case ConflictPolicy.LOCAL_WINS:
            return Verdict(Side.LOCAL)
        case ConflictPolicy.REMOTE_WINS:
            return Verdict(Side.REMOTE)
        case ConflictPolicy.MANUAL:
            return Verdict()
        case ConflictPolicy.PREFER_NONBLANK:
            return Verdict(_nonblank(cell))
        case ConflictPolicy.MAX | ConflictPolicy.MIN:
            return Verdict(_extreme(cell))
        case ConflictPolicy.CUSTOM if rule.custom is not None:
            return Verdict(value=rule.custom(cell.local_value, rule.to_local(cell.remote_value).value))
    return Verdict(_newest(cell, uncertainty))


def _newest(cell: Cell, uncertainty: timedelta) -> Side:
    ours, theirs = cell.local.modified_at, cell.remote.modified_at
    if ours is None or theirs is None or abs(ours - theirs) <= uncertainty:
        return cell.rule.tie
    return Side.LOCAL if ours > theirs else Side.REMOTE


def _nonblank(cell: Cell) -> Side:
    if is_blank(cell.local_normal):
        return Side.REMOTE
    if is_blank(cell.remote_normal):
        return Side.LOCAL
    return cell.rule.tie


def _extreme(cell: Cell) -> Side:
    """The side with the greater (or smaller) value; a blank loses; what cannot be compared is a tie."""
    if is_blank(cell.local_normal) or is_blank(cell.remote_normal):
        return _nonblank(cell)
    theirs = cell.rule.normal_local(cell.rule.to_local(cell.remote_value).value)
    try:
        local_greater = bool(cell.local_normal > theirs)  # type: ignore[operator]  # the except clause answers
    except TypeError:
        return cell.rule.tie
    return Side.LOCAL if local_greater == (cell.rule.policy is ConflictPolicy.MAX) else Side.REMOTE


def _most_restrictive(cell: Cell) -> Side:
    """The side that holds the protected value wins; with neither, a given value beats a blank."""
    if is_restrictive(cell.rule, Side.LOCAL, cell.local_normal):
        return Side.LOCAL
    if is_restrictive(cell.rule, Side.REMOTE, cell.remote_normal):
        return Side.REMOTE
    return _nonblank(cell)


def is_restrictive(rule: FieldRule, side: Side, normal: object) -> bool:
    """Whether a normal form is the value that consent protects (an opt-out)."""
    if side is Side.LOCAL:
        return normal == rule.normal_local(rule.restrictive)
    return normal == rule.normal_remote(rule.to_remote(rule.restrictive).value)
