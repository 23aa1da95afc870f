"""Who wins when two different values meet. Pure: the times are the records' own."""

from __future__ import annotations

from datetime import timedelta

import attrs

from crmsync.models.mappings import ConflictPolicy, Enforcement
from crmsync.models.records import MISSING, Record, Side
from crmsync.protocols.conversion import FieldRule

FLOWS = (Enforcement.PROPAGATE, Enforcement.MIRROR)


@attrs.frozen(slots=True)
class Meeting:
    """Two different values of one field, with what is needed to choose between them."""

    rule: FieldRule
    local: Record
    remote: Record
    local_value: object = attrs.field(repr=False)
    remote_value: object = attrs.field(repr=False)
    local_normal: object = attrs.field(repr=False)
    remote_normal: object = attrs.field(repr=False)
    uncertainty: timedelta = timedelta(0)


@attrs.frozen(slots=True)
class Verdict:
    """``winner``'s value is kept, or ``value`` (in local form) replaces both; with neither, a person must decide."""

    winner: Side | None = None
    value: object = attrs.field(default=MISSING, repr=False)


def is_blank(normal: object) -> bool:
    """Whether a normal form is "no value": None or an empty set. 0 and False are values."""
    return normal is None or (isinstance(normal, frozenset) and not normal)


def flows_to(rule: FieldRule, target: Side) -> Enforcement:
    """The enforcement of the direction that writes ``target``."""
    return rule.to_crm if target is Side.REMOTE else rule.from_crm


def writes_over(rule: FieldRule, target: Side, target_normal: object) -> bool:
    """Whether the direction may replace what the target holds now."""
    enforcement = flows_to(rule, target)
    return enforcement in FLOWS or (enforcement is Enforcement.FILL_BLANK and is_blank(target_normal))


def decide(meeting: Meeting, chosen: Verdict | None) -> Verdict:
    """The verdict of a person if there is one, else that of the directions, else that of the policy."""
    rule = meeting.rule
    if rule.policy is ConflictPolicy.MOST_RESTRICTIVE:
        return Verdict(_most_restrictive(meeting))
    if chosen is not None:
        return chosen
    over_remote = writes_over(rule, Side.REMOTE, meeting.remote_normal)
    over_local = writes_over(rule, Side.LOCAL, meeting.local_normal)
    if over_remote != over_local:
        return Verdict(Side.LOCAL if over_remote else Side.REMOTE)
    return _by_policy(meeting)


def _by_policy(meeting: Meeting) -> Verdict:
    rule = meeting.rule
    match rule.policy:
        case ConflictPolicy.LOCAL_WINS:
            return Verdict(Side.LOCAL)
        case ConflictPolicy.REMOTE_WINS:
            return Verdict(Side.REMOTE)
        case ConflictPolicy.MANUAL:
            return Verdict()
        case ConflictPolicy.PREFER_NONBLANK:
            return Verdict(_nonblank(meeting))
        case ConflictPolicy.MAX | ConflictPolicy.MIN:
            return Verdict(_extreme(meeting))
        case ConflictPolicy.CUSTOM if rule.custom is not None:
            return Verdict(value=rule.custom(meeting.local_value, rule.to_local(meeting.remote_value).value))
    return Verdict(_newest(meeting))


def _newest(meeting: Meeting) -> Side:
    ours, theirs = meeting.local.modified_at, meeting.remote.modified_at
    if ours is None or theirs is None or abs(ours - theirs) <= meeting.uncertainty:
        return meeting.rule.tie
    return Side.LOCAL if ours > theirs else Side.REMOTE


def _nonblank(meeting: Meeting) -> Side:
    if is_blank(meeting.local_normal):
        return Side.REMOTE
    if is_blank(meeting.remote_normal):
        return Side.LOCAL
    return meeting.rule.tie


def _extreme(meeting: Meeting) -> Side:
    """The side with the greater (or smaller) value; a blank loses; what cannot be compared is a tie."""
    if is_blank(meeting.local_normal) or is_blank(meeting.remote_normal):
        return _nonblank(meeting)
    theirs = meeting.rule.normal_local(meeting.rule.to_local(meeting.remote_value).value)
    try:
        local_greater = bool(meeting.local_normal > theirs)  # type: ignore[operator]  # the except clause answers
    except TypeError:
        return meeting.rule.tie
    return Side.LOCAL if local_greater == (meeting.rule.policy is ConflictPolicy.MAX) else Side.REMOTE


def _most_restrictive(meeting: Meeting) -> Side:
    """The side that holds the protected value wins; with neither, a given value beats a blank."""
    if is_restrictive(meeting.rule, Side.LOCAL, meeting.local_normal):
        return Side.LOCAL
    if is_restrictive(meeting.rule, Side.REMOTE, meeting.remote_normal):
        return Side.REMOTE
    return _nonblank(meeting)


def is_restrictive(rule: FieldRule, side: Side, normal: object) -> bool:
    """Whether a normal form is the value that consent protects (an opt-out)."""
    if side is Side.LOCAL:
        return normal == rule.normal_local(rule.restrictive)
    return normal == rule.normal_remote(rule.to_remote(rule.restrictive).value)
