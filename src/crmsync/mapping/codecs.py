"""Converters: the steps of one field mapping in one direction, composed once into one closure.

A conversion parses the source's value to what the mapping means, renames it by the value map, parses that to the
target's type where that is another one, and makes it fit the target. Values that need little of this (a text within the
length, say) take a shortcut after a test of their type and form: that is nearly all of them, and the speed of a sync.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import attrs

from crmsync.mapping.fitting import fitter_of, set_fitter
from crmsync.mapping.generated import field_function
from crmsync.mapping.losses import Flawed, Note, Refusal
from crmsync.mapping.parsing import parse_text, parser_of, text_of
from crmsync.mapping.shortcuts import Case, cases_of
from crmsync.models.mappings import OnLoss
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldSchema, FieldType
from crmsync.protocols.conversion import Conversion, Loss, LossKind

Pipe: TypeAlias = Callable[[object], object]
"""Converts a value that is neither MISSING nor None: the target's value, or `Flawed`. Total."""

Step: TypeAlias = Callable[[object, list[Note]], object]

_MISSING: Final = Conversion(MISSING)
_NONE: Final = Conversion(None)
_UNREADABLE: Final = Flawed(None, (Note(LossKind.INVALID, "the value cannot be read"),), usable=False)


@attrs.frozen(slots=True)
class FieldConverter:
    """A `Converter`. ``slow`` converts step by step and without the verdict; ``pipe`` is the same with shortcuts."""

    slow: Pipe
    field: str
    on_loss: OnLoss
    cases: tuple[Case, ...] = ()
    pipe: Pipe = attrs.field(init=False, repr=False, eq=False)

    @pipe.default
    def _make_pipe(self) -> Pipe:
        return field_function(self.cases, self.slow)

    def __call__(self, value: object) -> Conversion:
        """Convert a value; MISSING and None are answered as they are."""
        if value is MISSING:
            return _MISSING
        if value is None:
            return _NONE
        result = self.pipe(value)
        return self.judge(value, result) if type(result) is Flawed else Conversion(result)

    def judge(self, before: object, flawed: Flawed) -> Conversion:
        """What ``on_loss`` makes of a flawed value. ``accept`` asks for no report, so a written value has no losses.

        A value without a nearest one is rejected whatever is accepted: an unreadable date cannot be written.
        """
        losses = tuple(Loss(note.kind, self.field, note.message, before, flawed.value) for note in flawed.notes)
        strict = self.on_loss in (OnLoss.REJECT_FIELD, OnLoss.REJECT_RECORD)
        rejected = not flawed.usable or (strict and not all(note.tolerated for note in flawed.notes))
        whole_record = rejected and self.on_loss is OnLoss.REJECT_RECORD
        if self.on_loss is OnLoss.ACCEPT and not rejected:
            return Conversion(flawed.value)
        return Conversion(flawed.value, losses, rejected=rejected, whole_record=whole_record)


@attrs.frozen(slots=True)
class ValueMap:
    """One direction of a value map.

    ``closed`` are values that are not renamed but are another's new name: passing one through would bring it back as
    that other value. Empty for a mapping that goes one way.
    """

    names: Mapping[str, str]
    closed: frozenset[str] = frozenset()

    def __call__(self, value: object, notes: list[Note]) -> object:
        """Rename a text, or each element of a set."""
        if isinstance(value, tuple):
            return tuple(dict.fromkeys(self._renamed(element, notes) for element in value))
        return self._renamed(text_of(value), notes)

    def _renamed(self, text: str, notes: list[Note]) -> str:
        renamed = self.names.get(text)
        if renamed is not None:
            return renamed
        if text in self.closed:
            notes.append(Note(LossKind.UNKNOWN_OPTION, "not in the value map, where another value has this name"))
        return text


@attrs.frozen(slots=True)
class Route:
    """Everything that one direction of a field mapping depends on. ``kind`` is what its values mean."""

    source: FieldSchema
    target: FieldSchema
    kind: FieldType
    separator: str
    names: ValueMap | None = None
    names_first: bool = False

    def steps(self) -> tuple[Step, ...]:
        """The steps, each from the result of the one before; a None in between ends the chain."""
        parse = parser_of(self.kind, self._separator_of(self.source))
        named = self._naming(parse)
        if self.kind.set_valued:
            joined = not self.target.type.set_valued or self.target.separator is not None
            return (*named, set_fitter(self.target, self._separator_of(self.target), joined=joined))
        fit = fitter_of(self.target, self._separator_of(self.target))
        cast_needed = self.target.type is not self.kind or (self.names is not None and not self.names_first)
        return (*named, *((_caster(self.kind, self.target.type),) if cast_needed else ()), fit)

    def _naming(self, parse: Step) -> tuple[Step, ...]:
        if self.names is None:
            return (parse,)
        # CRM values are renamed before they are read as what the mapping means: "Opted In" first becomes "true".
        first = self.names_first and not self.kind.set_valued
        return (self.names, parse) if first else (parse, self.names)

    def _separator_of(self, field: FieldSchema) -> str:
        return self.separator if field.separator is None else field.separator


def _caster(kind: FieldType, target: FieldType) -> Step:
    if kind is FieldType.BOOLEAN and target is FieldType.INTEGER:
        return lambda value, notes: int(value) if isinstance(value, bool) else parse_text(value, notes)
    return parser_of(target, ";")


def converter_of(route: Route, on_loss: OnLoss) -> FieldConverter:
    """The converter of a route: its steps, with a way around them for values that one step converts."""
    slow = _chain(route.steps())
    names = None if route.names is None else route.names.names
    return FieldConverter(slow, route.target.name, on_loss, cases_of(route.kind, route.target, names, slow))


def _chain(steps: tuple[Step, ...]) -> Pipe:
    def run(value: object) -> object:
        notes: list[Note] = []
        try:
            for step in steps:
                value = step(value, notes)
                if value is None:
                    break
        except Refusal as refusal:
            return Flawed(None, (*notes, refusal.note), usable=False)
        except Exception:  # noqa: BLE001 (total: a foreign object may raise anything when it is looked at)
            return _UNREADABLE
        return Flawed(value, tuple(dict.fromkeys(notes))) if notes else value

    return run
