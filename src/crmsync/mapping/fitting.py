"""Making canonical values fit what the target field can hold, noting what it cannot.

A fitter takes a canonical value of the target's type and a list to note losses in. Where there is a nearest value it
answers that; where there is none (a cut e-mail address is another address) it raises `Refusal`.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final, TypeAlias, cast

from crmsync.mapping.losses import Note, Refusal, invalid
from crmsync.mapping.options import Options
from crmsync.mapping.parsing import MAX_DIGITS, is_email, parse_encrypted, text_of
from crmsync.models.schema import FieldSchema, FieldType
from crmsync.protocols.conversion import LossKind

Fitter: TypeAlias = Callable[[object, list[Note]], object]

NUMBERS: Final = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.CURRENCY, FieldType.PERCENT})

SELECTED: Final = ";"
"""Stands between the elements of a multi-select picklist, wherever it is kept: no element may hold it."""

UNSAFE: Final = re.compile("[\x00\ud800-\udfff]")
"""NUL and lone surrogates: no database and no wire format that we write to takes them."""

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_SPLIT_SURROGATES: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_JOINERS: Final = frozenset("\u200d\ufe0e\ufe0f\u20e3")
_SKIN_TONES: Final = range(0x1F3FB, 0x1F400)
_FLAGS: Final = range(0x1F1E6, 0x1F200)
_MICROSECOND_DIGITS: Final = 6
_NAMED: Final = 3
_SHOWN: Final = 60
_EXACT: Final = Context(prec=4 * MAX_DIGITS, rounding=ROUND_HALF_UP)


def fitter_of(field: FieldSchema, separator: str, options: Options | None = None) -> Fitter:
    """The fitter for a field. ``separator`` joins sets on a side that keeps them as one text."""
    kind = field.type
    if kind.set_valued:
        return set_fitter(field, separator, options, joined=field.separator is not None)
    if kind.compound:
        return _compound_fitter(field)
    if kind in NUMBERS:
        return _number_fitter(field)
    if kind is FieldType.DATETIME or kind is FieldType.TIME:
        return _clock_fitter(field)
    if kind in (FieldType.BOOLEAN, FieldType.DATE, FieldType.DURATION):
        return _as_it_is
    return _text_fitter(field, options)


def second_unit(field: FieldSchema) -> int:
    """The microseconds in the smallest step of a time that a field keeps: its scale counts digits after the second."""
    digits = _MICROSECOND_DIGITS if field.scale is None else min(max(field.scale, 0), _MICROSECOND_DIGITS)
    return int(10 ** (_MICROSECOND_DIGITS - digits))


def cut_text(text: str, length: int) -> str:
    """The longest beginning of at most ``length`` characters that ends between two characters as a reader sees them.

    A letter keeps its accents, an emoji its modifiers, a flag both its halves. Only a single such character that is
    longer than ``length`` is cut within.
    """
    if len(text) <= length:
        return text
    end = length
    while end > 0 and _continues(text, end):
        end -= 1
    return text[: end or length]


def _continues(text: str, at: int) -> bool:
    """Whether the character at a place belongs to the one before it."""
    char, before = text[at], text[at - 1]
    if char in _JOINERS or before == "\u200d" or ord(char) in _SKIN_TONES or unicodedata.category(char).startswith("M"):
        return True
    if char == "\n" and before == "\r":
        return True
    if ord(char) not in _FLAGS:
        return False
    run = at
    while run > 0 and ord(text[run - 1]) in _FLAGS:
        run -= 1
    return (at - run) % 2 == 1


def clean_text(text: str, notes: list[Note]) -> str:
    """A text without NUL, and with U+FFFD for lone surrogates."""
    if not UNSAFE.search(text):
        return text
    joined = _SPLIT_SURROGATES.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    notes.append(Note(LossKind.ENCODING, "characters that cannot be stored (NUL or half a character)"))
    return _SURROGATES.sub("\ufffd", joined.replace("\x00", ""))


def _as_it_is(value: object, _notes: list[Note]) -> object:
    return value


def _text_fitter(field: FieldSchema, options: Options | None) -> Fitter:
    limit, kind = field.length or 0, field.type

    def fit(value: object, notes: list[Note]) -> object:
        text = clean_text(text_of(value), notes)
        if kind is FieldType.EMAIL and text.strip() and not is_email(text.strip()):
            raise invalid("not an e-mail address")
        if kind is FieldType.ENCRYPTED:
            parse_encrypted(text, notes)
        if options is not None and text.strip():
            chosen = options.chosen(text, notes)
            if chosen is None:
                raise Refusal(LossKind.UNKNOWN_OPTION, "not one of the field's options")
            text = chosen
        return _within(text, limit, kind, notes)

    return fit


def _within(text: str, limit: int, kind: FieldType, notes: list[Note]) -> str:
    """The text, or of a plain one that is too long its beginning; what has a form is no longer that when it is cut."""
    if not limit or len(text) <= limit:
        return text
    message = f"{len(text)} characters, the field holds {limit}"
    if kind is not FieldType.TEXT:
        raise Refusal(LossKind.TRUNCATED, message)
    notes.append(Note(LossKind.TRUNCATED, message))
    return cut_text(text, limit)


def _compound_fitter(field: FieldSchema) -> Fitter:
    """The fitter for a compound: each of its parts as the field that holds it, where the side says which that is."""
    number = _number_fitter(FieldSchema(name=field.name, type=FieldType.DECIMAL, scale=field.scale))
    writable = {name: part for name, part in field.parts.items() if part.createable or part.updateable}
    texts = {name: _text_fitter(part, _only_options(part)) for name, part in writable.items()}
    plain = _text_fitter(FieldSchema(name=field.name), None)

    def fit(value: object, notes: list[Note]) -> object:
        parts = cast("Mapping[str, object]", value)
        if field.type is FieldType.GEOLOCATION:
            return {name: number(part, notes) for name, part in parts.items()}
        kept = {name: part for name, part in parts.items() if not texts or name in texts}
        lost = sum(part is not None for name, part in parts.items() if name not in kept)
        if lost:
            notes.append(Note(LossKind.DROPPED_ELEMENT, f"{lost} part(s) that the field has no place for"))
        return {name: part and texts.get(name, plain)(part, notes) for name, part in kept.items()}

    return fit


def _only_options(part: FieldSchema) -> Options | None:
    return Options(frozenset(part.options), {}, binding=True) if part.restricted and part.options else None


def _number_fitter(field: FieldSchema) -> Fitter:
    scale = 0 if field.type is FieldType.INTEGER else field.scale
    whole_digits = (field.precision - (scale or 0)) if field.precision else MAX_DIGITS
    step = None if scale is None else Decimal(1).scaleb(-scale)
    whole = field.type is FieldType.INTEGER

    def fit(value: object, notes: list[Note]) -> object:
        if not isinstance(value, int | Decimal):
            raise invalid("not a number")
        number = Decimal(value)
        if step is not None:
            rounded = number.quantize(step, context=_EXACT)
            if rounded != number:
                notes.append(Note(LossKind.ROUNDED, f"more than {scale} digits after the point"))
                number = rounded
        if number and number.adjusted() >= whole_digits:
            raise invalid(f"more than {whole_digits} digits before the point")
        return int(number) if whole else number

    return fit


def _clock_fitter(field: FieldSchema) -> Fitter:
    unit = second_unit(field)

    def fit(value: object, notes: list[Note]) -> object:
        if not isinstance(value, dt.datetime | dt.time):
            raise invalid("not a time")
        rest = value.microsecond % unit
        if not rest:
            return value
        # Every store cuts fractions of a second, and the normal forms ignore them: reported, never a reason to reject.
        notes.append(Note(LossKind.PRECISION, "a fraction of a second finer than the field keeps", tolerated=True))
        return value.replace(microsecond=value.microsecond - rest)

    return fit


def set_fitter(field: FieldSchema, separator: str, options: Options | None = None, *, joined: bool) -> Fitter:
    """The fitter for sets: a tuple, or with ``joined`` one text whose elements come back whole.

    A multi-select picklist is a tuple that its side keeps as one text, with ``SELECTED`` between its elements.
    """
    if field.type is FieldType.MULTI_PICKLIST and not joined:
        separator = SELECTED
    limit = field.length or 0

    def fit(value: object, notes: list[Note]) -> object:
        cleaned = (clean_text(element, notes).strip() for element in cast("tuple[str, ...]", value))
        elements = list(dict.fromkeys(element for element in cleaned if element))
        if options is not None:
            elements = _chosen(elements, options, notes)
        if not joined and field.type is not FieldType.MULTI_PICKLIST:
            return tuple(elements)
        if separator:
            elements = _kept(
                elements,
                lambda element: separator not in element,
                notes,
                LossKind.DROPPED_ELEMENT,
                "with the separator",
            )
        text = separator.join(elements)
        if limit and len(text) > limit:
            notes.append(Note(LossKind.DROPPED_ELEMENT, f"{len(text)} characters in all, the field holds {limit}"))
            while elements and len(text) > limit:
                elements.pop()
                text = separator.join(elements)
        return text if joined else tuple(elements)

    return fit


def _chosen(elements: list[str], options: Options, notes: list[Note]) -> list[str]:
    chosen = [(element, options.chosen(element, notes)) for element in elements]
    unknown = [element for element, option in chosen if option is None]
    if unknown:
        notes.append(Note(LossKind.UNKNOWN_OPTION, f"the field has no option {_named(unknown)}"))
    return list(dict.fromkeys(option for _, option in chosen if option is not None))


def _named(options: list[str]) -> str:
    """Options as a message names them: the words of a list that somebody keeps, and not what somebody entered."""
    shown = ("".join(char if char.isprintable() else " " for char in option)[:_SHOWN] for option in options[:_NAMED])
    return ", ".join(map(repr, shown)) + (f" and {len(options) - _NAMED} more" if len(options) > _NAMED else "")


def _kept(elements: list[str], test: Callable[[str], bool], notes: list[Note], kind: LossKind, fault: str) -> list[str]:
    kept = [element for element in elements if test(element)]
    if len(kept) < len(elements):
        notes.append(Note(kind, f"{len(elements) - len(kept)} element(s) {fault}"))
    return kept
