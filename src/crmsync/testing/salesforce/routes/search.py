"""``search`` by SOSL and ``parameterizedSearch`` by parameters."""

from __future__ import annotations

from typing import Any, Final

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable
from crmsync.testing.salesforce.sosl import MAX_RECORDS, Search, Wanted, find, parse

#: Before, the answer was a bare list ("Search", REST API Developer Guide).
FIRST_VERSION_WITH_OBJECT: Final = 37.0
_SCOPES: Final = frozenset({"ALL", "NAME", "EMAIL", "PHONE", "SIDEBAR"})


def search(call: Call) -> Reply:
    """Search by a SOSL text."""
    text = call.query.get("q")
    if text is None:
        raise CallError(400, "MALFORMED_SEARCH", "The query parameter 'q' is required")
    return _answer(call, parse(text))


def by_parameters(call: Call) -> Reply:
    """Search by the parameters of the URL, in one object or in all."""
    given = call.query
    name = given.get("sobject")
    wanted = {
        "name": name,
        "fields": _listed(given.get(f"{name}.fields")),
        "limit": given.get(f"{name}.limit"),
        "where": given.get(f"{name}.where"),
    }
    fields = _listed(given.get("fields"))
    return _parameterized(call, {**given, "sobjects": [] if name is None else [wanted], "fields": fields})


def by_body(call: Call) -> Reply:
    """Search by the parameters of a JSON body."""
    return _parameterized(call, call.json_object())


def _listed(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _parameterized(call: Call, body: dict[str, Any]) -> Reply:
    term, scope = body.get("q"), str(body.get("in", "ALL")).upper()
    objects = body.get("sobjects") or []
    if not isinstance(term, str) or scope not in _SCOPES or not isinstance(objects, list):
        raise CallError(400, "INVALID_SEARCH", "The parameter 'q' is required, and 'in' and 'sobjects' must be valid")
    wanted = tuple(_wanted(body, entry) for entry in objects)
    # No clause of SOSL is supported in a search string here, so every special character is itself.
    escaped = "".join(char if char.isalnum() or char in ' *?"' else f"\\{char}" for char in term)
    return _answer(call, Search(escaped, scope, wanted, _limit(body.get("overallLimit"))))


def _wanted(body: dict[str, Any], entry: Any) -> Wanted:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise CallError(400, "INVALID_SEARCH", "Each of 'sobjects' needs a name")
    fields = entry.get("fields") or body.get("fields") or ["Id"]
    where = f"WHERE {entry['where']}" if entry.get("where") else ""
    return Wanted(entry["name"], ", ".join(fields), where, _limit(entry.get("limit") or body.get("defaultLimit")))


def _limit(value: Any) -> int:
    try:
        return MAX_RECORDS if value is None else min(int(value), MAX_RECORDS)
    except (TypeError, ValueError):
        raise CallError(400, "INVALID_SEARCH", "A limit must be a number") from None


def _answer(call: Call, wanted: Search) -> Reply:
    records = find(wanted, call.tables, version=call.version, now=call.org.now())
    return Reply(records if float(call.version) < FIRST_VERSION_WITH_OBJECT else {"searchRecords": records})


ROUTES: RouteTable = (
    ("/search", {"GET": search}),
    ("/parameterizedSearch", {"GET": by_parameters, "POST": by_body}),
)
