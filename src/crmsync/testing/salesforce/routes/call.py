"""What a handler gets and gives: an authenticated call, and a reply that is not yet bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

from crmsync.testing.salesforce.errors import CallError, not_found

if TYPE_CHECKING:
    from crmsync.testing.salesforce.org import SalesforceOrg
    from crmsync.testing.salesforce.store import Table


@frozen(kw_only=True)
class Call:
    """One request. ``version`` is as in the URL, ``"68.0"``; ``params`` are the URL template's parts."""

    org: SalesforceOrg
    method: str
    version: str
    user_id: str
    base_url: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def data_root(self) -> str:
        """The path of the call's API version."""
        return f"/services/data/v{self.version}"

    @property
    def tables(self) -> Mapping[str, Table]:
        """The tables of the org as the user sees them."""
        return self.org.permissions.tables_of(self.user_id)

    def find_table(self, object_name: str) -> Table | None:
        """Return the table of an object, whose name may be in any letter case, as the user sees it."""
        wanted = object_name.lower()
        return next((table for name, table in self.tables.items() if name.lower() == wanted), None)

    def table(self) -> Table:
        """Return the rows of the URL's object, as readers see them now.

        :raises CallError: the user sees no such object.
        """
        table = self.find_table(self.params["object"])
        if table is None:
            raise not_found()
        table.settle(self.org.now())
        return table

    def json(self) -> Any:
        """Return the body.

        :raises CallError: JSON_PARSER_ERROR or UNSUPPORTED_MEDIA_TYPE.
        """
        kind = self.headers.get("content-type", "application/json")
        if "json" not in kind.lower():
            raise CallError(415, "UNSUPPORTED_MEDIA_TYPE", f"Content type '{kind}' not supported")
        try:
            return json.loads(self.body)
        except ValueError:
            message = "Unexpected character at [line:1, column:1]" if self.body else "The HTTP entity body is required"
            raise CallError(400, "JSON_PARSER_ERROR", message) from None

    def json_object(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object.

        :raises CallError: it is not.
        """
        body = self.json()
        if not isinstance(body, dict):
            raise CallError(400, "JSON_PARSER_ERROR", "The HTTP entity body must be an object at [line:1, column:1]")
        return body


@frozen
class Reply:
    """An answer. ``body`` ``None`` is no content; ``pretty`` prints it as sObject Collections do, ``"a" : 1``.

    ``media_type`` is that of a body of text; any other is JSON.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    pretty: bool = False
    media_type: str = "text/plain"


Handler: TypeAlias = Callable[[Call], Reply]
#: Template under ``/services/data/vXX.X``, and a handler for each method.
RouteTable: TypeAlias = tuple[tuple[str, Mapping[str, Handler]], ...]


def truth(text: object) -> bool:
    """Whether a query parameter or JSON value says true."""
    return str(text).lower() == "true"
