"""Converters: the steps of one field mapping in one direction, composed once into one closure.

A conversion parses the source's value to what the mapping means, renames it by the value map, parses that to the
target's type where that is another one, and makes it fit the target. Values that need little of this (a text within the
length, say) take a shortcut after a test of their type and form: that is nearly all of them, and the speed of a sync.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from itertools import chain
from typing import Final, TypeAlias

import attrs

from crmsync.mapping.compounds import compound_text, object_only, parts_of
from crmsync.mapping.durations import amount_of
from crmsync.mapping.fitting import fitter_of, set_fitter
from crmsync.mapping.generated import field_function
from crmsync.mapping.losses import Flawed, Note, Refusal
from crmsync.mapping.manner import Manner
from crmsync.mapping.options import Options
from crmsync.mapping.parsing import MAX_DIGITS, json_text, parse_text, text_of
from crmsync.mapping.readers import parser_of
from crmsync.mapping.shortcuts import Case, cases_of
from crmsync.mapping.zones import offset_text
from crmsync.models.mappings import OnLoss
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldSchema, FieldType, Unit
from crmsync.protocols.conversion import Conversion, Loss, LossKind

Pipe: TypeAlias = Callable[[object], object]
"""Converts a value that is neither MISSING nor None: the target's value, or `Flawed`. Total."""

Step: TypeAlias = Callable[[object, list[Note]], object]

_MISSING: Final = Conversion(MISSING)
_NONE: Final = Conversion(None)
_UNREADABLE: Final = Flawed(None, (Note(LossKind.INVALID, "the value cannot be read"),), usable=False)
_EXACT: Final = Context(prec=4 * MAX_DIGITS)
_SPELT: Final = frozenset({FieldType.PICKLIST, FieldType.ID, FieldType.REFERENCE})
"""What is known by its spelling: ``007`` is not ``7``."""


@attrs.frozen(slots=True)
class FieldConverter:
    """A `Converter`. ``slow`` converts step by step and without the verdict; ``pipe`` is the same with shortcuts.

    ``sensitive``: messages do not even name an option that the field lacks.
    """

    slow: Pipe
    field: str
    on_loss: OnLoss
    cases: tuple[Case, ...] = ()
    sensitive: bool = False
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
        losses = tuple(Loss(note.kind, self.field, self._told(note), before, flawed.value) for note in flawed.notes)
        strict = self.on_loss in (OnLoss.REJECT_FIELD, OnLoss.REJECT_RECORD)
        rejected = not flawed.usable or (strict and not all(note.tolerated for note in flawed.notes))
        whole_record = rejected and self.on_loss is OnLoss.REJECT_RECORD
        if self.on_loss is OnLoss.ACCEPT and not rejected:
            return Conversion(flawed.value)
        return Conversion(flawed.value, losses, rejected=rejected, whole_record=whole_record)

    def _told(self, note: Note) -> str:
        if self.sensitive and note.kind is LossKind.UNKNOWN_OPTION:
            return "not among the field's options"
        return note.message


@attrs.frozen(slots=True)
class ValueMap:
    """One direction of a value map. ``folded``: names are looked up whatever their case, and have none that is big.

    ``closed`` are values that are not renamed but are another's new name: passing one through would bring it back as
    that other value. Empty for a mapping that goes one way.
    """

    names: Mapping[str, str]
    closed: frozenset[str] = frozenset()
    folded: bool = False

    def __call__(self, value: object, notes: list[Note]) -> object:
        """Rename a text, or each element of a set."""
        if isinstance(value, tuple):
            return tuple(dict.fromkeys(self._renamed(element, notes) for element in value))
        return self._renamed(text_of(value), notes)

    def _renamed(self, text: str, notes: list[Note]) -> str:
        renamed = self.names.get(text.casefold() if self.folded else text)
        if renamed is not None:
            return renamed
        if text in self.closed:
            notes.append(Note(LossKind.UNKNOWN_OPTION, "not in the value map, where another value has this name"))
        return text


@attrs.frozen(slots=True)
class Route:
    """Everything that one direction of a field mapping depends on. ``kind`` is what its values mean.

    ``read`` and ``write`` say how the source's and the target's values are meant, ``options`` what the target's list of
    options makes of them.
    """

    source: FieldSchema
    target: FieldSchema
    kind: FieldType
    read: Manner
    write: Manner
    names: ValueMap | None = None
    names_first: bool = False
    options: Options | None = None

    def steps(self) -> tuple[Step, ...]:
        """The steps, each from the result of the one before; a None in between ends the chain."""
        named = (*_checks(self.source.type, self.kind), *self._naming(parser_of(self.kind, self.read)))
        if self.kind.set_valued:
            joined = not self.target.type.set_valued or self.target.separator is not None
            return (*named, set_fitter(self.target, self.write.separator, self.options, joined=joined))
        fit = fitter_of(self.target, self.write.separator, self.options)
        expressed = _expression(self.kind, self.target.type, self.write)
        cast_needed = self.target.type is not self.kind or (self.names is not None and not self.names_first)
        cast = (_caster(self.kind, self.target.type, self.write),) if cast_needed else ()
        spelled = (() if expressed is None else (expressed,)), _checks(self.kind, self.target.type), cast
        return (*named, *chain.from_iterable(spelled), fit)

    def _naming(self, parse: Step) -> tuple[Step, ...]:
        if self.names is None:
            return (parse,)
        # CRM values are renamed before they are read as what the mapping means: "Opted In" first becomes "true".
        first = self.names_first and not self.kind.set_valued
        return (self.names, parse) if first else (parse, self.names)


def _checks(source: FieldType, target: FieldType) -> tuple[Step, ...]:
    return (object_only,) if source is FieldType.JSON and target.compound else ()


def _caster(kind: FieldType, target: FieldType, manner: Manner) -> Step:
    if kind is FieldType.BOOLEAN and target is FieldType.INTEGER:
        return lambda value, notes: int(value) if isinstance(value, bool) else parse_text(value, notes)
    # A number that `_expression` made is written as it is, whatever it counts.
    parse = parser_of(target, attrs.evolve(manner, unit=None))
    if kind not in _SPELT or target in (FieldType.TEXT, *_SPELT):
        return parse

    def cast(value: object, notes: list[Note]) -> object:
        made = parse(value, notes)
        if made is not None and text_of(made) != text_of(value).strip():
            notes.append(Note(LossKind.PRECISION, f"as {target} it comes back in another spelling"))
        return made

    return cast


def _expression(kind: FieldType, target: FieldType, manner: Manner) -> Step | None:
    """The step that puts a canonical value in the words of its target, where these are others."""
    if kind.compound and target is FieldType.TEXT:
        return lambda value, notes: compound_text(kind, parts_of(value), notes)
    wording = _wording(kind, target, manner)
    return None if wording is None else lambda value, _notes: wording(value)


def _wording(kind: FieldType, target: FieldType, manner: Manner) -> Pipe | None:
    if kind.compound and target is FieldType.JSON:
        return lambda value: json_text(parts_of(value))
    if kind is FieldType.PERCENT and manner.unit is Unit.FRACTION:
        return lambda value: value.scaleb(-2, _EXACT) if isinstance(value, Decimal) else value
    if kind is FieldType.DURATION and target is not kind and not (target is FieldType.TEXT and manner.unit is None):
        unit = manner.unit or Unit.SECONDS
        return lambda value: amount_of(value, unit) if isinstance(value, dt.timedelta) else value
    if kind is FieldType.DATETIME and target is FieldType.TEXT and manner.zone is not None:
        zone = manner.zone
        return lambda value: offset_text(value, zone) if isinstance(value, dt.datetime) else value
    return None


def converter_of(route: Route, on_loss: OnLoss, *, sensitive: bool = False) -> FieldConverter:
    """The converter of a route: its steps, with a way around them for values that one step converts."""
    slow = _chain(route.steps())
    names = None if route.names is None else route.names.names
    # Numbers that are a fraction here and percents there never pass as they are.
    plain = Unit.FRACTION not in (route.read.unit, route.write.unit)
    cases = cases_of(route.kind, route.target, names, slow, listed=route.options is not None) if plain else ()
    return FieldConverter(slow, route.target.name, on_loss, cases, sensitive)


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
