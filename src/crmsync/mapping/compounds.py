"""Values with named parts: addresses, names of people, places on the globe.

A compound is a dictionary of its parts. A part that is absent is one that the value says nothing about, and stays as it
is; one that is None is blank. As text a place is ``52.52,13.405``, a name its words, and an address its parts line by
line; JSON says all of any.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from crmsync.mapping.losses import Note, Refusal, invalid
from crmsync.mapping.parsing import parse_decimal, text_of
from crmsync.models.schema import FieldType
from crmsync.protocols.conversion import LossKind

PARTS: Final[Mapping[FieldType, tuple[str, ...]]] = {
    FieldType.NAME: ("salutation", "first_name", "middle_name", "last_name", "suffix"),
    FieldType.ADDRESS: (
        "street",
        "city",
        "state",
        "postal_code",
        "country",
        "state_code",
        "country_code",
        "latitude",
        "longitude",
        "geocode_accuracy",
    ),
    FieldType.GEOLOCATION: ("latitude", "longitude"),
}
"""The parts of each compound type, in order."""

_SYNONYMS: Final[Mapping[str, str]] = {
    "first": "first_name",
    "given_name": "first_name",
    "middle": "middle_name",
    "last": "last_name",
    "surname": "last_name",
    "family_name": "last_name",
    "locality": "city",
    "province": "state",
    "zip": "postal_code",
    "zip_code": "postal_code",
    "postcode": "postal_code",
    "lat": "latitude",
    "lng": "longitude",
    "lon": "longitude",
    "long": "longitude",
}
_LINES: Final = PARTS[FieldType.ADDRESS][:5]
_WORDS: Final = PARTS[FieldType.NAME][1:]
_BOUNDS: Final = {"latitude": Decimal(90), "longitude": Decimal(180)}
_PLACE: Final = re.compile(r"([^,;\s]+)\s*[,;\s]\s*([^,;\s]+)")


def part_called(kind: FieldType, name: str) -> str | None:
    """The part that a name means, in whatever joints and case: ``PostalCode``, ``postal-code``, ``zip``."""
    bare = _bare(name)
    known = {_bare(part): part for part in PARTS[kind]}
    return known.get(bare) or known.get(_bare(_BY_BARE_SYNONYM.get(bare, "")))


def _bare(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


_BY_BARE_SYNONYM: Final = {_bare(synonym): part for synonym, part in _SYNONYMS.items()}


def read_compound(kind: FieldType, value: object, notes: list[Note]) -> dict[str, object] | None:
    """A compound in its canonical form, its parts in order; None for one without any value.

    :raises Refusal: it cannot be read.
    """
    if isinstance(value, Mapping):
        parts = _named(kind, value, notes)
    elif not isinstance(value, tuple | list | set | frozenset):
        text = text_of(value).strip()
        parts = _of_text(kind, text, notes) if text else {}
    elif kind is FieldType.GEOLOCATION and isinstance(value, tuple | list):
        parts = _pair(value)
    else:
        raise invalid(f"not a value with parts ({', '.join(PARTS[kind])})")
    if kind is FieldType.GEOLOCATION:
        parts = _place(parts)
    return parts if any(part is not None for part in parts.values()) else None


def _of_text(kind: FieldType, text: str, notes: list[Note]) -> dict[str, object]:
    if text.startswith("{"):
        parts = _named(kind, json.loads(text, parse_float=Decimal), notes)
        if not any(parts.values()):
            notes.append(Note(LossKind.PRECISION, "an object without any part is a blank", tolerated=True))
        return parts
    if kind is FieldType.GEOLOCATION:
        found = _PLACE.fullmatch(text)
        if found is None:
            raise invalid("not a place (latitude and longitude, as in 52.52,13.405)")
        return {"latitude": found[1], "longitude": found[2]}
    return _of_words(text.split(), notes) if kind is FieldType.NAME else _of_lines(text, notes)


def _of_words(words: list[str], notes: list[Note]) -> dict[str, object]:
    *first, last = words
    if words[0].startswith("?"):  # how the normal forms mark what nothing reads
        raise invalid("not a name")
    if len(first) > 1:
        notes.append(Note(LossKind.INVALID, f"a name of {len(words)} words: nobody can tell which are its last name"))
    return {"first_name": " ".join(first), "last_name": last} if first else {"last_name": last}


def _of_lines(text: str, notes: list[Note]) -> dict[str, object]:
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    if len(lines) == len(_LINES) and all(lines):
        return dict(zip(_LINES, lines, strict=True))
    notes.append(Note(LossKind.INVALID, f"not the {len(_LINES)} lines of an address ({', '.join(_LINES)})"))
    return {"street": text}


def _named(kind: FieldType, value: Mapping[object, object], notes: list[Note]) -> dict[str, object]:
    found: dict[str, object] = {}
    unknown = 0
    for name, each in value.items():
        part = part_called(kind, name) if isinstance(name, str) else None
        text = _part(each)
        if part is None or found.get(part) not in (None, text):
            unknown += text is not None
        elif part not in found or text is not None:
            found[part] = text
    if unknown and not any(found.values()):
        raise invalid(f"not a value with parts of {kind} ({', '.join(PARTS[kind])})")
    if unknown:
        message = f"{unknown} part(s) that no {kind} has, or that are given twice"
        notes.append(Note(LossKind.DROPPED_ELEMENT, message))
    return {part: found[part] for part in PARTS[kind] if part in found}


def _part(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, Mapping | tuple | list | set | frozenset):
        raise invalid("a part that has parts of its own")
    return text_of(value).strip() or None


def _pair(value: Iterable[object]) -> dict[str, object]:
    latitude, longitude = map(_part, value)
    return {"latitude": latitude, "longitude": longitude}


def _place(parts: Mapping[str, object]) -> dict[str, object]:
    given = {name: number for name, each in parts.items() if (number := parse_decimal(each or "", [])) is not None}
    if len(given) == 1:
        raise invalid("a place needs a latitude and a longitude")
    if any(abs(number) > _BOUNDS[name] for name, number in given.items()):
        raise invalid("not on the globe: latitudes end at 90, longitudes at 180")
    return dict(given)


def compound_text(kind: FieldType, value: Mapping[str, object], notes: list[Note]) -> str:
    """A compound as a person would write it; a tolerated PRECISION loss where that does not read back as the same."""
    if kind is FieldType.GEOLOCATION:
        return f"{value['latitude']:f},{value['longitude']:f}"
    names, joint = (_WORDS, " ") if kind is FieldType.NAME else (_LINES, "\n")
    shown = {**value, "state": _either(value, "state"), "country": _either(value, "country")}
    text = joint.join(str(part) for name in names if (part := shown.get(name)))
    ignored: list[Note] = []
    again = read_compound(kind, text, ignored)
    if ignored or again != {name: part for name, part in value.items() if part is not None}:
        notes.append(Note(LossKind.PRECISION, "the text does not say which part is which", tolerated=True))
    return text


def _either(value: Mapping[str, object], part: str) -> object:
    return value.get(part) or value.get(f"{part}_code")


def object_only(value: object, _notes: list[Note]) -> object:
    """A value of JSON's on its way into a compound: other JSON than an object has no parts.

    :raises Refusal: it is a text that is no object.
    """
    if isinstance(value, str) and text_of(value).strip() and not text_of(value).strip().startswith("{"):
        raise invalid("not a JSON object")
    return value


def parts_of(value: object) -> Mapping[str, object]:
    """A canonical compound, as the steps after `read_compound` get it.

    :raises Refusal: it is something else.
    """
    if not isinstance(value, Mapping):
        raise Refusal(LossKind.INVALID, "not a value with parts")
    return value
