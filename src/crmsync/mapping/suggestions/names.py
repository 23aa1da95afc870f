"""What the name of a field says: its words, what they mean, and what tells it from others of its kind."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

from crmsync.mapping.suggestions.words import CONCEPTS, FILLERS, OPTIONS, QUALIFIERS

Head: TypeAlias = Mapping[str, float]
"""What a phrase may mean, each with how surely."""

_LETTERS: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ß": "ss", "\u0131": "i"})
_CUSTOM: Final = re.compile(r"(?i)__(?:c|pc|r)$")
_NAMESPACE: Final = re.compile(r"^[A-Za-z][A-Za-z0-9]*__(?=\w)")
_OURS: Final = re.compile(r"(?i)^markmail[ _-]?(?=\w)")
_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
_HUMP: Final = re.compile(r"(?<=[a-zà-ÿ0-9])(?=[A-ZÀ-Ý])|(?<=[A-Z])(?=[A-Z][a-z])")
_LONGEST_NAME: Final = 200
_SHORTEST_PART: Final = 2
_LONGEST_WORD: Final = 40
_ADDRESS: Final = frozenset(
    {"street", "second address line", "third address line", "city", "state", "postal code", "country", "country code"}
)
_PARTS: Final = _ADDRESS | {"latitude", "longitude", "post box", "house number", "phone", "fax", "e-mail address"}
_REACHED: Final = frozenset({"phone", "fax"})
_CONTAINERS: Final = {"second address line": "second", "third address line": "third", "street": "", "whole address": ""}


@attrs.frozen(slots=True)
class Reading:
    """One name as it is understood.

    ``heads`` are what its phrases mean, ``qualifiers`` what tells it from others of the kind (home, second), ``rest``
    the words that are not known, ``plain`` all its words.
    """

    heads: tuple[Head, ...]
    qualifiers: frozenset[str]
    rest: tuple[str, ...]
    plain: str


def words_of(name: str) -> tuple[str, ...]:
    """The words of a field's name: small letters without accents, taken apart at humps, digits and signs."""
    bare = _OURS.sub("", _NAMESPACE.sub("", _CUSTOM.sub("", name.strip()[:_LONGEST_NAME])))
    apart = _HUMP.sub(" ", bare)
    folded = unicodedata.normalize("NFKD", apart.casefold().translate(_LETTERS))
    return tuple(_WORD.findall("".join(char for char in folded if not unicodedata.combining(char))))


def read(words: Sequence[str]) -> Reading:
    """Understand the words of a name: the longest phrases first."""
    parts = [part for word in words for part in _taken_apart(word)]
    heads: list[Head] = []
    qualifiers: set[str] = set()
    rest: list[str] = []
    either: list[tuple[Head, str]] = []
    place = 0
    while place < len(parts):
        phrase, length = _phrase_at(parts, place)
        head, qualifier = _PHRASES.get(phrase), _QUALIFIERS.get(phrase)
        if head is not None and qualifier is not None:
            either.append((head, qualifier))
        elif head is not None:
            heads.append(head)
        elif qualifier is not None:
            qualifiers.add(qualifier)
        elif phrase not in FILLERS:
            rest.append(phrase)
        place += length
    for head, qualifier in either:
        # "Company" is a company, and in "Company Phone" tells which phone.
        if heads:
            qualifiers.add(qualifier)
        else:
            heads.append(head)
    kept, more = _without_containers(heads)
    return Reading(kept, frozenset(qualifiers | more), tuple(rest), " ".join(parts))


def told_by_options(options: Iterable[str]) -> Reading | None:
    """What a picklist means by its options, where they say it."""
    words = {" ".join(words_of(option)) for option in options}
    concept = next((concept for concept, known in OPTIONS.items() if len(words & known) > 1), None)
    return None if concept is None else Reading((MappingProxyType({concept: 1.0}),), frozenset(), (), concept)


def common_words(names: Iterable[Sequence[str]]) -> frozenset[str]:
    """Words that so many names of an object share that they say nothing (``customer_``, ``contact person:``)."""
    listed = [frozenset(words) for words in names if len(words) > 1]
    counts: dict[str, int] = {}
    for words in listed:
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    least = max(4, 0.5 * len(listed))
    return frozenset(word for word, count in counts.items() if count >= least and (word,) not in _KNOWN_ALONE)


def likeliest(reading: Reading) -> str:
    """What a name most likely means; empty if nothing is known."""
    if len(reading.heads) != 1:
        return ""
    return max(reading.heads[0], key=lambda concept: reading.heads[0][concept])


def name_meaning(name: str) -> str:
    """What a field of this name most likely means, by its name alone; empty if nothing is known."""
    return likeliest(read(words_of(name)))


def settled(reading: Reading, meanings: Mapping[str, int]) -> Reading:
    """A reading whose ambiguous name is settled by what the object's other fields surely mean.

    Beside a family name, *Nombre* and *Nome* are the first name; beside a first name alone, *Name* is the family name;
    beside a job title, *Title* is how the person is addressed.
    """
    if len(reading.heads) != 1:
        return reading
    head = dict(reading.heads[0])
    if {"salutation", "job title"} <= set(head) and meanings.get("job title", 0) > 1 and "salutation" not in meanings:
        return attrs.evolve(reading, heads=(MappingProxyType({"salutation": 0.95, "academic title": 0.6}),))
    if "full name" not in head:
        return reading
    first, last = meanings.get("first name", 0), meanings.get("last name", 0)
    if "first name" in head and last and not first:
        head = {"first name": 1.0, "full name": 0.4}
    elif "last name" in head and first and not last:
        head = {"last name": 0.95, "full name": 0.6}
    elif not first and not last:
        head = {
            "full name": 0.95,
            **{concept: 0.6 * weight for concept, weight in head.items() if concept != "full name"},
        }
    return attrs.evolve(reading, heads=(MappingProxyType(head),))


def _without_containers(heads: Sequence[Head]) -> tuple[tuple[Head, ...], set[str]]:
    """*Address 2: City* is a city: of the second address."""
    names = [_sure(head) for head in heads]
    if len(heads) == 1 or not _CONTAINERS.keys() & set(names):
        return tuple(heads), set()
    parts = [place for place, name in enumerate(names) if name in _PARTS and name not in _CONTAINERS]
    if not parts:
        if any(name not in _CONTAINERS for name in names):
            return tuple(heads), set()
        # *Address 1: Street 1* and *Street of Postal address*: what is not the address as a whole, or stands last.
        lines = [place for place, name in enumerate(names) if name != "whole address"]
        parts = [(lines or range(len(names)))[-1]]
    kept = [place for place, name in enumerate(names) if place in parts or name not in _CONTAINERS]
    dropped = {_CONTAINERS[name] for place, name in enumerate(names) if place not in kept}
    reached = {"of the address" for place in kept if names[place] in _REACHED}
    return tuple(heads[place] for place in kept), (dropped | reached) - {""}


def _sure(head: Head) -> str:
    return max(head, key=lambda concept: head[concept])


def _phrase_at(parts: Sequence[str], place: int) -> tuple[str, int]:
    for length in range(min(_LONGEST_PHRASE, len(parts) - place), 1, -1):
        phrase = " ".join(parts[place : place + length])
        if phrase in _PHRASES or phrase in _QUALIFIERS:
            return phrase, length
    return parts[place], 1


@lru_cache(maxsize=4096)
def _taken_apart(word: str) -> tuple[str, ...]:
    """A word that several known ones were written into, as in ``stateorprovince``: the fewest that make it up."""
    if word in _VOCABULARY or not word.isalpha() or len(word) > _LONGEST_WORD:
        return (word,)
    best: list[tuple[str, ...] | None] = [()] + [None] * len(word)
    for end in range(1, len(word) + 1):
        for start in range(max(0, end - _LONGEST_WORD // 2), end - _SHORTEST_PART + 1):
            before, part = best[start], word[start:end]
            if before is not None and part in _VOCABULARY and len(part) >= _SHORTEST_PART:
                found = (*before, part)
                held = best[end]
                if held is None or len(found) < len(held):
                    best[end] = found
    made = best[len(word)]
    return made if made is not None and min(map(len, made)) > 1 else (word,)


def _phrases() -> dict[str, Head]:
    found: dict[str, dict[str, float]] = {}
    for concept, listed in CONCEPTS.items():
        for entry in listed.split(","):
            phrase, _, weight = entry.strip().partition(":")
            found.setdefault(phrase, {})[concept] = float(weight or 1)
    return {phrase: MappingProxyType(head) for phrase, head in found.items()}


_PHRASES: Final = _phrases()
_QUALIFIERS: Final = {
    phrase.strip(): name for name, (_, listed) in QUALIFIERS.items() for phrase in listed.split(",") if phrase.strip()
}
_LONGEST_PHRASE: Final = max(phrase.count(" ") + 1 for phrase in (*_PHRASES, *_QUALIFIERS))
_KNOWN_ALONE: Final = frozenset((phrase,) for phrase in _PHRASES if " " not in phrase)
_VOCABULARY: Final = frozenset(
    word for phrase in (*_PHRASES, *_QUALIFIERS, *FILLERS) for word in phrase.split() if len(word) > 1
)
