"""Cutting the ids of an object into ranges that together hold every record.

Ids grow with time, so cutting the way from the first to the last evenly makes ranges of about the same size in most
orgs. In one that was moved between instances it does not: an id begins with where its record was made, and between the
ids of two instances is nothing. `shares` counts, and cuts ranges that are too large between the ids that they hold.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Final

import attrs

from crmsync.errors import UnexpectedResponseError
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.cursor import IdRange
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.retrieving import count, query
from crmsync.providers.salesforce.together import together

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIX: Final = 3
"""The first characters of an id say which object it is of; the others count ("Key Prefix", Object Reference)."""
_SHORT: Final = 15
_EVERYTHING: Final = IdRange()
_ROUNDS: Final = 2
"""How often what is too large is cut once more in any case: by then the emptiness between instances is left out."""
_RECORDS_A_CALL: Final = 4_000
"""For so many records further cuts may take a call: half of what it takes to read them by queries. They find what
was made at once, by an import say, among what was made over years: there ids are a thousand times as dense.
"""
_PIECES: Final = 8
"""Into how many a range is cut at once: fewer take more rounds, more take more calls until what is dense is found."""
_SKIPPED: Final = 2_000
"""Records at either end of a range that is cut again: the few around what is dense are passed over like this. The most
that a query skips ("OFFSET", SOQL and SOSL Reference).
"""
_EDGES: Final = 2
"""Calls for the ids at both ends of a range, and for counting what lies beyond them."""


@attrs.frozen(slots=True)
class Share:
    """A range, and how many records are in it."""

    part: IdRange
    records: int


async def shares(
    client: SalesforceClient, object_name: str, living: soql.Soql | None, parts: int, records: int
) -> tuple[Share, ...]:
    """Up to so many ranges that together hold every record, each about as many; none if there is no record."""
    fair = math.ceil(records / parts)
    found = await _counted(client, object_name, living, await cut(client, object_name, parts))
    calls = 2 * parts + records // _RECORDS_A_CALL
    for done in itertools.count():
        large = [each for each in found if each.records > 2 * fair]
        pieces = [min(_PIECES, math.ceil(2 * each.records / fair)) for each in large]
        calls -= sum(2 * _EDGES + count for count in pieces)
        if not large or (done >= _ROUNDS and calls < 0):
            break
        cuts = [
            partial(cut, client, object_name, count, each.part, skip=min(_SKIPPED, each.records // 10))
            for count, each in zip(pieces, large, strict=True)
        ]
        finer = [piece for pieces in await together(cuts) for piece in pieces]
        others = [each for each in found if each not in large]
        found = sorted((*others, *await _counted(client, object_name, living, finer)), key=_place)
    return joined(found, parts)


def joined(found: Iterable[Share], most: int) -> tuple[Share, ...]:
    """Neighbours made one: those without a record, and the smallest until there are no more than ``most``."""
    kept: list[Share] = []
    for each in found:
        if kept and not (each.records and kept[-1].records):
            each = _one(kept.pop(), each)  # noqa: PLW2901 - what it is made into takes its place
        kept.append(each)
    while len(kept) > most:
        sizes = [one.records + other.records for one, other in pairwise(kept)]
        place = sizes.index(min(sizes))
        kept[place : place + 2] = [_one(*kept[place : place + 2])]
    return tuple(kept)


def _one(before: Share, after: Share) -> Share:
    return Share(IdRange(before.part.after, after.part.until), before.records + after.records)


def _place(share: Share) -> str:
    return share.part.after or ""


async def _counted(
    client: SalesforceClient, object_name: str, living: soql.Soql | None, parts: Sequence[IdRange]
) -> list[Share]:
    statements = [soql.count(object_name, within(part, living)) for part in parts]
    answers = await together([partial(count, client, statement) for statement in statements])
    return [Share(part, records) for part, (_, records) in zip(parts, answers, strict=True)]


async def cut(
    client: SalesforceClient, object_name: str, parts: int, whole: IdRange = _EVERYTHING, *, skip: int = 0
) -> tuple[IdRange, ...]:
    """So many ranges that together hold every record of a range, cut evenly between its first and its last; none if
    it has no record.

    ``skip`` so many records at either end, fewer than half of all, to cut what lies between them; then there are two
    ranges more.
    """
    edges = [soql.edge(object_name, last=last, where=within(whole, None), skip=skip) for last in (False, True)]
    answers = await together([partial(query, client, statement) for statement in edges])
    first, last = (last_id(rows) if rows else None for _, rows, _ in answers)
    if first is None or last is None:
        # What was just counted and is gone now leaves a range that must not be lost.
        return (whole,) if skip else ()
    inner = [part.until for part in divided(first, last, parts)[:-1]]
    if skip and first != last:
        inner = [first, *inner, last]
    return tuple(IdRange(after, until) for after, until in pairwise([whole.after, *inner, whole.until]))


def divided(first: str, last: str, parts: int) -> tuple[IdRange, ...]:
    """Ranges that together hold every id, cut evenly between two of them."""
    low, high = _number(first), _number(last)
    cuts = sorted({low + (high - low) * place // parts for place in range(1, parts)} - {low, high})
    bounds = [None, *(_id(first[:_PREFIX], cut) for cut in cuts), None]
    return tuple(IdRange(after, until) for after, until in pairwise(bounds))


def within(part: IdRange, living: soql.Soql | None) -> soql.Soql | None:
    """The condition that a record is in a range, and meets another condition besides; None if there is none."""
    after = () if part.after is None else (soql.compare("Id", ">", part.after),)
    until = () if part.until is None else (soql.compare("Id", "<=", part.until),)
    return soql.every(*(() if living is None else (living,)), *after, *until) or None


def last_id(rows: Sequence[Any]) -> str:
    """The id of the last row.

    :raises UnexpectedResponseError: it has none.
    """
    try:
        last = full_id(rows[-1]["Id"])
    except (KeyError, TypeError):
        last = None
    if last is None:
        raise UnexpectedResponseError("a record of Salesforce's answer is not as documented")
    return last


def _number(record_id: str) -> int:
    number = 0
    for digit in record_id[_PREFIX:_SHORT]:
        number = 62 * number + _DIGITS.index(digit)
    return number


def _id(prefix: str, number: int) -> str | None:
    digits = ""
    for _ in range(_SHORT - _PREFIX):
        number, rest = divmod(number, len(_DIGITS))
        digits = _DIGITS[rest] + digits
    return full_id(prefix + digits)
