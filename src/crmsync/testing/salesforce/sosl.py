"""SOSL, the part of it that finds people: words in fields of a kind, in objects, with SOQL's conditions.

Records are found as soon as readers see them; a real org's search index takes a little longer. AND, OR, parentheses and
the clauses after RETURNING other than LIMIT are not there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.soql.evaluation import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from crmsync.testing.salesforce.schema import ObjectDef
    from crmsync.testing.salesforce.store import Row, Table

#: "Limits for SOSL" (SOQL and SOSL Reference): at most so many records, from v28.0 on.
MAX_RECORDS: Final = 2_000
_TEXT_TYPES: Final = frozenset({"string", "textarea", "email", "phone", "url"})
_HEAD: Final = re.compile(r"\s*FIND\s*\{", re.IGNORECASE)
_SCOPE: Final = re.compile(r"\s*IN\s+(ALL|NAME|EMAIL|PHONE|SIDEBAR)\s+FIELDS\b", re.IGNORECASE)
_RETURNING: Final = re.compile(r"\s*RETURNING\b", re.IGNORECASE)
_OBJECT: Final = re.compile(r"\s*(\w+)\s*")
_LIMIT: Final = re.compile(r"\s*\bLIMIT\s+(\d+)\s*$", re.IGNORECASE)
_CLAUSE: Final = re.compile(r"\b(?:WHERE|ORDER\s+BY)\b", re.IGNORECASE)
#: "FIND {SearchQuery}": of the reserved characters, those that mean something else here need a backslash.
_RESERVED: Final = frozenset("&|!{}[]()^~:+-'")
_WORD: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(?:[^\s"\\]|\\.)+')


@frozen
class Wanted:
    """An object to search in. ``fields`` and ``conditions`` are SOQL: a SELECT list, and WHERE with ORDER BY."""

    object_name: str
    fields: str = "Id"
    conditions: str = ""
    limit: int = MAX_RECORDS


@frozen
class Search:
    """A search, parsed. Without ``wanted`` it is in every object."""

    term: str = field(repr=False)
    scope: str = "ALL"
    wanted: tuple[Wanted, ...] = ()
    limit: int = MAX_RECORDS


def parse(text: str) -> Search:
    """Return the search that a SOSL text means.

    :raises CallError: MALFORMED_SEARCH.
    """
    head = _HEAD.match(text)
    if head is None:
        raise _malformed(text, 0, "expecting a left brace, found the start of something else")
    end = _end_of_term(text, head.end())
    term, rest = text[head.end() : end], end + 1
    scope = _SCOPE.match(text, rest)
    rest = scope.end() if scope else rest
    limit = _LIMIT.search(text, rest)
    stop = limit.start() if limit else len(text)
    wanted = _wanted(text, rest, stop)
    return Search(
        term=term,
        scope=scope[1].upper() if scope else "ALL",
        wanted=wanted,
        limit=min(int(limit[1]), MAX_RECORDS) if limit else MAX_RECORDS,
    )


def _end_of_term(text: str, place: int) -> int:
    while place < len(text) and text[place] != "}":
        char = text[place]
        if char in _RESERVED:
            raise _malformed(text, place, f"line 1:{place + 1} mismatched character '{char}' expecting '}}'")
        place += 2 if char == "\\" else 1
    if place >= len(text):
        raise _malformed(text, len(text), "mismatched character '<EOF>' expecting '}'")
    return place


def _wanted(text: str, start: int, stop: int) -> tuple[Wanted, ...]:
    returning = _RETURNING.match(text, start, stop)
    if returning is None:
        if text[start:stop].strip():
            raise _malformed(text, start, "Malformed search token")
        return ()
    wanted: list[Wanted] = []
    place = returning.end()
    while True:
        name = _OBJECT.match(text, place, stop)
        if name is None:
            raise _malformed(text, place, "Malformed search token")
        place = name.end()
        inner = ""
        if text[place:stop].startswith("("):
            close = _closing(text, place, stop)
            inner, place = text[place + 1 : close], close + 1
        wanted.append(_one(name[1], inner))
        if not text[place:stop].strip():
            return tuple(wanted)
        comma = text.find(",", place, stop)
        if comma < 0 or text[place:comma].strip():
            raise _malformed(text, place, "Malformed search token")
        place = comma + 1


def _closing(text: str, start: int, stop: int) -> int:
    depth, quoted, place = 0, False, start
    while place < stop:
        char = text[place]
        if quoted:
            place += char == "\\"
            quoted = char != "'"
        elif char == "'":
            quoted = True
        else:
            depth += (char == "(") - (char == ")")
            if depth == 0:
                return place
        place += 1
    raise _malformed(text, start, "unexpected end of the RETURNING clause")


def _one(object_name: str, inner: str) -> Wanted:
    limit = _LIMIT.search(inner)
    inner = inner[: limit.start()] if limit else inner
    clause = _CLAUSE.search(inner)
    fields = inner[: clause.start()] if clause else inner
    conditions = inner[clause.start() :] if clause else ""
    return Wanted(object_name, fields.strip() or "Id", conditions, int(limit[1]) if limit else MAX_RECORDS)


def find(search: Search, tables: Mapping[str, Table], *, version: str, now: datetime) -> list[dict[str, Any]]:
    """Return the records that a search finds, as the API shows them.

    :raises CallError: the term is too short, or SOQL refuses an object, a field or a condition.
    """
    tests = [_test(word) for word in _words(search.term)]
    wanted = search.wanted or tuple(Wanted(name) for name in tables)
    records: list[dict[str, Any]] = []
    for entry in wanted:
        text = f"SELECT {entry.fields} FROM {entry.object_name} {entry.conditions}"  # noqa: S608 - it is SOQL, parsed here
        result = run(text, tables, version=version, now=now, include_deleted=False)
        definition = next(t.definition for n, t in tables.items() if n.lower() == entry.object_name.lower())
        names = _fields(definition, search.scope)
        hits = [row for row in result.rows if _fits(row, names, tests)][: entry.limit]
        records += [result.show(row) for row in hits]
    return records[: search.limit]


def _words(term: str) -> Iterable[str]:
    words = [match[0].strip('"') for match in _WORD.finditer(term)]
    if sum(len(word.replace("*", "").replace("?", "")) for word in words) < 2:
        raise CallError(400, "MALFORMED_SEARCH", f"search term must be longer than one character: {term}")
    return words


def _test(word: str) -> Callable[[str], bool]:
    pattern, place = "", 0
    while place < len(word):
        char = word[place]
        if char == "\\" and place + 1 < len(word):
            place += 1
            pattern += re.escape(word[place])
        else:
            pattern += {"*": r"\S*", "?": r"\S"}.get(char, re.escape(char))
        place += 1
    compiled = re.compile(rf"(?<!\w){pattern}(?!\w)", re.IGNORECASE)
    return lambda text: compiled.search(text) is not None


def _fields(definition: ObjectDef, scope: str) -> list[str]:
    fields = definition.fields.values()
    if scope in ("EMAIL", "PHONE"):
        return [entry.name for entry in fields if entry.type == scope.lower()]
    if scope == "NAME":
        return [entry.name for entry in fields if entry.name in ("Name", "Subject") or entry.part_of == "Name"]
    return [entry.name for entry in fields if entry.type in _TEXT_TYPES]


def _fits(row: Row, names: list[str], tests: list[Callable[[str], bool]]) -> bool:
    texts = [str(row[name]) for name in names if row.get(name) is not None]
    return all(any(test(text) for text in texts) for test in tests)


def _malformed(text: str, place: int, message: str) -> CallError:
    pointer = " " * place + "^"
    where = f"ERROR at Row:1:Column:{place + 1}"
    return CallError(400, "MALFORMED_SEARCH", f"\n{text}\n{pointer}\n{where}\n{message}")
