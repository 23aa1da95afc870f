"""What the mapping engine hands to the merge engine: one compiled rule for each field, as plain callables.

`crmsync.mapping` builds these, `crmsync.diff` reads them; neither imports the other.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

import attrs

from crmsync.models.immutable import frozen_value
from crmsync.models.mappings import ConflictPolicy, Enforcement, MatchKeys, OnBlank, OnLoss
from crmsync.models.problems import Problem
from crmsync.models.records import MISSING, Fields, Side


class LossKind(enum.StrEnum):
    """How a value changes when the other side cannot hold it as it is."""

    TRUNCATED = "truncated"
    ROUNDED = "rounded"
    PRECISION = "precision"
    ZONE = "zone"
    UNKNOWN_OPTION = "unknown_option"
    DROPPED_ELEMENT = "dropped_element"
    ENCODING = "encoding"
    INVALID = "invalid"


REMEDIES: Final = {
    LossKind.TRUNCATED: "shorten the value, or set on_loss to have it cut",
    LossKind.ROUNDED: "round the value, or set on_loss to have it rounded",
    LossKind.PRECISION: 'set on_loss = "accept" if the rest does not matter',
    LossKind.ZONE: "give times with Z or an offset, or set on_loss to have them read as UTC",
    LossKind.UNKNOWN_OPTION: "add the option to the field, or name the value in the value_map",
    LossKind.DROPPED_ELEMENT: "rename the element, or choose another separator",
    LossKind.ENCODING: "remove the characters, or set on_loss to have them replaced",
    LossKind.INVALID: "correct the value where it was entered",
}
"""What to do about each kind of loss."""


@attrs.frozen(slots=True)
class Loss:
    """One loss in one conversion. ``before`` and ``after`` are for the caller and never for a log."""

    kind: LossKind
    field: str
    message: str
    before: object = attrs.field(default=None, repr=False)
    after: object = attrs.field(default=None, repr=False)


@frozen_value
class Conversion:
    """A converted value with its losses.

    ``rejected`` True: ``on_loss`` forbids to write ``value``; the field (or, with ``whole_record``, the record) is
    rejected and reported instead.
    """

    value: object = attrs.field(repr=False)
    losses: tuple[Loss, ...] = ()
    rejected: bool = False
    whole_record: bool = False


Converter: TypeAlias = Callable[[object], Conversion]
"""Total: no exception for any input. MISSING stays MISSING, None stays None."""

Normaliser: TypeAlias = Callable[[object], object]
"""The form in which two values of one side are compared: equal forms, same value. Idempotent; hashable result."""


def elements_of(value: object) -> tuple[object, ...]:
    """The elements of a set-valued field that its side holds as a sequence; nothing for a blank."""
    if isinstance(value, (tuple, list)):
        return tuple(value)
    if isinstance(value, (set, frozenset)):
        return tuple(sorted(value, key=repr))
    return () if value is None or value is MISSING else (value,)


@attrs.frozen(slots=True)
class FieldRule:
    """One compiled field mapping.

    ``local`` and ``remote`` are field names of the two sides. ``to_crm`` and ``from_crm`` are final: `OFF` where the
    direction, the permissions or the schema forbid writing. ``owns`` says which elements of a set-valued field are ours
    to add and remove. ``custom`` is the pure function of policy `CUSTOM`: (local value, converted remote value) to the
    local value that both should hold. ``on_blank`` is what a blank does to the other side's value.
    ``sensitive``: values go to the other side and are kept nowhere. ``references``: on the local side a value is the
    local id of a record of this object of the CRM's, and the stores are to hand it over as the CRM's id.

    For a set-valued rule, ``elements_local`` and ``elements_remote`` take a side's value apart, each converter also
    takes a tuple of the source side's elements, and the normal form of a value is the frozenset of its elements' normal
    forms. ``join_local`` and ``join_remote`` make a side's value of its elements; ``room_local`` and ``room_remote``
    are how many characters they may have together, with one between each two of them, None if any number.
    """

    local: str
    remote: str
    to_crm: Enforcement
    from_crm: Enforcement
    policy: ConflictPolicy
    tie: Side
    set_valued: bool
    to_remote: Converter
    to_local: Converter
    normal_local: Normaliser
    normal_remote: Normaliser
    owns: Callable[[str], bool]
    on_loss: OnLoss = OnLoss.REJECT_FIELD
    required: bool = False
    default: object = None
    restrictive: object = True
    custom: Callable[[object, object], object] | None = None
    elements_local: Callable[[object], tuple[object, ...]] = elements_of
    elements_remote: Callable[[object], tuple[object, ...]] = elements_of
    join_local: Callable[[tuple[object, ...]], object] = tuple
    join_remote: Callable[[tuple[object, ...]], object] = tuple
    room_local: int | None = None
    room_remote: int | None = None
    on_blank: OnBlank = OnBlank.CLEAR
    sensitive: bool = False
    references: str = ""


@attrs.frozen(slots=True)
class Expansion:
    """Writes in a side's own fields.

    ``refused`` are the computed fields that cannot be written, each with the reason; ``origins`` says which computed
    field each of ``fields`` stems from, where one does.
    """

    fields: Fields = attrs.field(repr=False)
    refused: Mapping[str, str] = attrs.field(factory=dict)
    origins: Mapping[str, str] = attrs.field(factory=dict)


class ComputedRule(Protocol):
    """The computed fields of one side."""

    @property
    def inputs(self) -> Mapping[str, tuple[str, ...]]:
        """For each computed field the side's own fields that its value depends on, and no others."""
        ...

    def attach(self, fields: Fields) -> Fields:
        """A record's fields with the computed ones, which are worked out when they are asked for. Total."""
        ...

    def failures(self, fields: Fields) -> Mapping[str, str]:
        """Why which computed fields have no value (they are MISSING then). Never holds the record's values."""
        ...

    def worked_out(self, fields: Fields) -> tuple[dict[str, object], dict[str, str]]:
        """`attach` and `failures` in one, with nothing left to be worked out later."""
        ...

    def expand(self, writes: Fields, held: Fields | None) -> Expansion:
        """Writes in the side's own fields. ``held`` is what the record holds, None if it is to be created."""
        ...

    def after(self, writes: Fields, held: Fields | None) -> Fields:
        """What the record will show of these writes: of each, and of every field of its own that they change.

        That may be another value than the one written, where an inverse gives it back in other letters.
        """
        ...


@attrs.frozen(slots=True)
class RuleFailure:
    """A rule of the local side that a record would break. ``fields`` are those that must not be written for it."""

    fields: tuple[str, ...]
    problem: Problem
    rejects_record: bool = False


class ValidationChecks(Protocol):
    """The local side's own rules."""

    def failures(self, fields: Fields, touched: Container[str] | None) -> Iterable[RuleFailure]:
        """What is wrong with a record as it would be, by the rules on what is ``touched``; None: by all. Total."""
        ...


WholeConverter: TypeAlias = Callable[[Fields], tuple[object, ...] | None]
"""The values of some rules' fields in the other side's form, in the rules' order, all in one.

None where a value is lacking or is converted with a loss: then each is to be converted by itself.
"""


@attrs.frozen(slots=True)
class RecordRule:
    """A compiled object mapping: its rules, and how unlinked records find each other.

    ``version`` is a digest of everything that influences a conversion or a decision: equal versions, equal behaviour.
    ``warnings`` are problems that do not hinder a sync (an unreadable field, say). ``suspended`` are CRM fields that
    are mapped and not synced, because the CRM's administrator changed something about them. ``local_fields`` and
    ``remote_fields`` are what to ask the sides for; ``computed`` are the fields that are made of these,
    ``validation`` what the local side demands of what is written there. ``whole`` makes a converter of several of the
    rules to the form of a side, if the mapping has a faster way than one after the other.
    """

    rules: tuple[FieldRule, ...]
    version: str
    match: MatchKeys
    local_fields: tuple[str, ...]
    remote_fields: tuple[str, ...]
    warnings: tuple[Problem, ...] = ()
    suspended: tuple[str, ...] = ()
    computed: Mapping[Side, ComputedRule] = MappingProxyType({})
    validation: ValidationChecks | None = None
    whole: Callable[[Sequence[FieldRule], Side], WholeConverter] | None = None

    def reads(self, side: Side, name: str) -> tuple[str, ...]:
        """The side's own fields that a field's value depends on: itself, unless it is computed."""
        rule = self.computed.get(side)
        return rule.inputs.get(name, (name,)) if rule else (name,)
