"""From two described objects to suggestions: every pair is weighed, then the surest pairs take each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from crmsync.mapping.suggestions.evidence import Evidence, Field, weigh
from crmsync.mapping.suggestions.likeness import Ratio
from crmsync.mapping.suggestions.names import (
    Reading,
    common_words,
    likeliest,
    read,
    settled,
    told_by_options,
    words_of,
)
from crmsync.mapping.suggestions.values import profile_of
from crmsync.models.mappings import SyncDirection
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.models.suggestions import FieldAlternative, FieldSuggestion, MappingSuggestion, Samples

Opinions: TypeAlias = Callable[[Sequence[tuple[FieldSchema, FieldSchema]]], Sequence[Sequence[tuple[str, float]]]]
"""What further scorers think of pairs of fields: for each pair the scorers' names with their opinions."""

PROPOSED: Final = 0.5
"""The score from which on a pair is suggested: more likely right than wrong."""

_WORTH_A_LOOK: Final = 0.02
_ALTERNATIVES: Final = 3


def propose(
    local: ObjectSchema,
    remote: ObjectSchema,
    ratio: Ratio,
    *,
    samples: Samples | None = None,
    opinions: Opinions | None = None,
    least: float = PROPOSED,
) -> MappingSuggestion:
    """Suggest which local fields and which of the CRM's fields correspond, each of them once.

    ``least`` is the score from which on a pair is suggested. Ids, and what cannot be read, are left out.
    """
    samples = samples or Samples()
    ours, theirs = _fields(local, samples.local), _fields(remote, samples.remote)
    ranked = _ranked(ours, theirs, ratio, opinions)
    taken = _assigned(ranked, least)
    suggestions = [
        _suggestion(field.schema, *taken[field.schema.name], ranked[field.schema.name])
        for field in ours
        if field.schema.name in taken
    ]
    used = {one.crm_field for one in suggestions}
    return MappingSuggestion(
        object_name=remote.name,
        fields=tuple(sorted(suggestions, key=lambda one: (-one.score, one.local_field))),
        unmatched={
            field.schema.name: _alternatives(ranked[field.schema.name])
            for field in ours
            if field.schema.name not in taken
        },
        left_over=tuple(
            field.schema.name for field in theirs if field.schema.name not in used and _writable(field.schema)
        ),
    )


def _fields(schema: ObjectSchema, samples: Mapping[str, tuple[object, ...]]) -> list[Field]:
    fields = [field for field in schema.fields if field.readable and field.type is not FieldType.ID]
    words = {field.name: [words_of(field.name), words_of(field.label)] for field in fields}
    idle = common_words(name for names in words.values() for name in names)
    readings = {name: _readings(names, idle) for name, names in words.items()}
    told = {field.name: told_by_options(field.options) for field in fields}
    readings |= {name: [reading] for name, reading in told.items() if reading is not None}
    meanings = _meanings(readings.values())
    return [
        Field(
            field,
            tuple(settled(reading, meanings) for reading in readings[field.name]),
            profile_of(samples.get(field.name, ())),
        )
        for field in fields
    ]


def _readings(names: Iterable[Sequence[str]], idle: frozenset[str]) -> list[Reading]:
    found: list[Reading] = []
    for words in names:
        told = [word for word in words if word not in idle] or list(words)
        if told and (reading := read(told)) not in found:
            found.append(reading)
    return found


def _meanings(readings: Iterable[Sequence[Reading]]) -> Mapping[str, int]:
    """How many of an object's fields surely mean what."""
    return Counter(
        concept
        for found in readings
        for concept in {likeliest(one) for one in found if one.heads and max(one.heads[0].values()) == 1}
    )


def _ranked(
    ours: Sequence[Field], theirs: Sequence[Field], ratio: Ratio, opinions: Opinions | None
) -> dict[str, list[tuple[Evidence, FieldSchema]]]:
    """For each local field those that it may correspond to, best first."""
    asked = opinions([(one.schema, other.schema) for one in ours for other in theirs]) if opinions else None
    found: dict[str, list[tuple[Evidence, FieldSchema]]] = {}
    for row, one in enumerate(ours):
        weighed = [
            (weigh(one, other, ratio, () if asked is None else asked[row * len(theirs) + column]), other.schema)
            for column, other in enumerate(theirs)
        ]
        likely = (pair for pair in weighed if pair[0].score >= _WORTH_A_LOOK)
        found[one.schema.name] = sorted(likely, key=lambda pair: (-pair[0].score, pair[1].name))
    return found


def _assigned(
    ranked: Mapping[str, Sequence[tuple[Evidence, FieldSchema]]], least: float
) -> dict[str, tuple[Evidence, FieldSchema]]:
    """The surest pairs first; of pairs equally sure, the one whose local field has no other choice that good."""
    pairs = [
        (-evidence.score, place, name, evidence, other)
        for name, found in ranked.items()
        for place, (evidence, other) in enumerate(found)
        if evidence.score >= least
    ]
    taken: dict[str, tuple[Evidence, FieldSchema]] = {}
    gone: set[str] = set()
    for _, _, name, evidence, other in sorted(pairs, key=lambda pair: (pair[0], pair[1], pair[2], pair[4].name)):
        if name not in taken and other.name not in gone:
            taken[name] = (evidence, other)
            gone.add(other.name)
    return taken


def _suggestion(
    field: FieldSchema, evidence: Evidence, other: FieldSchema, ranked: Sequence[tuple[Evidence, FieldSchema]]
) -> FieldSuggestion:
    return FieldSuggestion(
        local_field=field.name,
        crm_field=other.name,
        score=round(evidence.score, 3),
        reasons=evidence.reasons,
        meaning=evidence.meaning,
        local_type=field.type,
        crm_type=other.type,
        direction=_direction(field, other),
        alternatives=_alternatives([found for found in ranked if found[1] is not other]),
    )


def _direction(field: FieldSchema, other: FieldSchema) -> SyncDirection:
    if not _writable(other):
        return SyncDirection.TO_CRM if not _writable(field) else SyncDirection.FROM_CRM
    return SyncDirection.BIDIRECTIONAL if _writable(field) else SyncDirection.TO_CRM


def _writable(field: FieldSchema) -> bool:
    return field.createable or field.updateable


def _alternatives(ranked: Sequence[tuple[Evidence, FieldSchema]]) -> tuple[FieldAlternative, ...]:
    return tuple(FieldAlternative(other.name, round(evidence.score, 3)) for evidence, other in ranked[:_ALTERNATIVES])
