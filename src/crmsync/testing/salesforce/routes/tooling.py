"""The Tooling API of an org without code: its query knows no object."""

from __future__ import annotations

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable
from crmsync.testing.salesforce.soql.parsing import parse
from crmsync.testing.salesforce.soql.resolving import unsupported_object


def query(call: Call) -> Reply:
    """Refuse every query: INVALID_TYPE, or the reason for which it is no SOQL."""
    text = call.query.get("q")
    if text is None:
        raise CallError(400, "MALFORMED_QUERY", "The query parameter 'q' is required")
    raise unsupported_object(parse(text))


ROUTES: RouteTable = (("/tooling/query", {"GET": query}),)
