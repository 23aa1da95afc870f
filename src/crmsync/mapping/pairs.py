"""Which types of field can stand for each other: lossless, lossy (checked value by value, and reported), or refused."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from crmsync.mapping.compounds import PARTS
from crmsync.models.schema import FieldSchema, FieldType


class Fit(enum.StrEnum):
    """How values of one type fare as another."""

    LOSSLESS = "lossless"
    LOSSY = "lossy"
    REFUSED = "refused"


_DECIMALS: Final = frozenset({FieldType.DECIMAL, FieldType.CURRENCY, FieldType.PERCENT})
_AMOUNTS: Final = frozenset({FieldType.INTEGER, FieldType.DECIMAL})
_SETS: Final = frozenset({FieldType.MULTI_PICKLIST, FieldType.TAGS})
_KEYS: Final = frozenset({FieldType.ID, FieldType.REFERENCE})
_NAMES: Final = frozenset({FieldType.BOOLEAN, FieldType.INTEGER, FieldType.DECIMAL, FieldType.REFERENCE, FieldType.ID})

_PAIRS: Final[Mapping[tuple[FieldType, FieldType], Fit]] = {
    **{(FieldType.INTEGER, number): Fit.LOSSLESS for number in _DECIMALS},
    **{(number, FieldType.INTEGER): Fit.LOSSY for number in _DECIMALS},
    (FieldType.BOOLEAN, FieldType.INTEGER): Fit.LOSSLESS,
    (FieldType.INTEGER, FieldType.BOOLEAN): Fit.LOSSY,
    (FieldType.DATE, FieldType.DATETIME): Fit.LOSSLESS,
    (FieldType.DATETIME, FieldType.DATE): Fit.LOSSY,
    **{(FieldType.INTEGER, key): Fit.LOSSLESS for key in _KEYS},
    **{(key, FieldType.INTEGER): Fit.LOSSY for key in _KEYS},
    **{(FieldType.PICKLIST, many): Fit.LOSSLESS for many in _SETS},
    **{(FieldType.PICKLIST, other): Fit.LOSSY for other in _NAMES},
    **{(other, FieldType.PICKLIST): Fit.LOSSY for other in _NAMES},
    **{(FieldType.DURATION, number): Fit.LOSSY for number in _AMOUNTS},
    **{(number, FieldType.DURATION): Fit.LOSSY for number in _AMOUNTS},
    **{(compound, FieldType.JSON): Fit.LOSSLESS for compound in PARTS},
    **{(FieldType.JSON, compound): Fit.LOSSY for compound in PARTS},
    (FieldType.GEOLOCATION, FieldType.TEXT): Fit.LOSSLESS,
    **{(hard, FieldType.TEXT): Fit.LOSSY for hard in (FieldType.ADDRESS, FieldType.NAME, FieldType.ENCRYPTED)},
}


def fit_of(source: FieldType, target: FieldType) -> Fit:
    """How values of ``source`` fare in a field of ``target``, length and options aside."""
    if source is target:
        return Fit.LOSSLESS
    known = _PAIRS.get((source, target))
    if known is not None:
        return known
    if target is FieldType.TEXT:
        return Fit.LOSSLESS
    if source is FieldType.TEXT:
        return Fit.LOSSY
    alike = any(source in kinds and target in kinds for kinds in (_DECIMALS, _SETS, _KEYS))
    return Fit.LOSSLESS if alike else Fit.REFUSED


def meaning_of(declared: FieldType, local: FieldSchema | None, remote: FieldSchema | None) -> FieldType:
    """The type that the values of a field mapping mean.

    A mapping that declares another type than text means that one. Text, which is also what a mapping says by saying
    nothing, means the type of the CRM's field, or else of the local one, where they have a more telling type: values
    travel as text from a CSV file into a date field without a word in the mapping. A number that stands for a length of
    time is one, and JSON that a compound is kept as is that compound, whatever is declared.
    """
    compound = next((field.type for field in (remote, local) if field is not None and field.type.compound), None)
    if declared is FieldType.JSON and compound is not None:
        return compound
    if declared is not FieldType.TEXT:
        return declared
    if local is not None and local.type is FieldType.DURATION and remote is not None and remote.type in _AMOUNTS:
        return FieldType.DURATION
    for field in (remote, local):
        if field is not None and field.type is not FieldType.TEXT:
            return field.type
    return FieldType.TEXT
