"""Requests that hold only if something has, or has not, changed.

"Conditional Request Headers" (REST API Developer Guide).
"""

from __future__ import annotations

import hashlib
import json
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING

from crmsync.testing.salesforce.errors import CallError

if TYPE_CHECKING:
    from datetime import datetime

    from crmsync.testing.salesforce.routes.call import Call
    from crmsync.testing.salesforce.store import Row


def last_modified(moment: datetime) -> dict[str, str]:
    """Return the header that tells when something changed."""
    return {"Last-Modified": format_datetime(moment, usegmt=True)}


def entity_tag(row: Row) -> str:
    """Return a tag that changes with the row's content."""
    text = json.dumps(row, sort_keys=True, default=str)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def is_unchanged(call: Call, moment: datetime, tag: str | None = None) -> bool:
    """Whether a reader who has seen something, of this time and tag, needs not see it again.

    :raises CallError: a date is malformed.
    """
    if tag is not None and "if-none-match" in call.headers:
        return _matches(call.headers["if-none-match"], tag)
    since = call.headers.get("if-modified-since")
    return since is not None and moment <= _http_date(since)


def require_as_seen(call: Call, moment: datetime, tag: str | None = None) -> None:
    """Refuse a change of something that is not as the writer has seen it.

    :raises CallError: PRECONDITION_FAILED, or a date is malformed.
    """
    wanted = call.headers.get("if-match")
    since = call.headers.get("if-unmodified-since")
    if tag is not None and wanted is not None:
        failed = not _matches(wanted, tag)
    else:
        failed = since is not None and moment > _http_date(since)
    if failed:
        raise CallError(412, "PRECONDITION_FAILED", "The request's precondition is not met", code_first=True)


def _matches(header: str, tag: str) -> bool:
    # A server or proxy that compresses adds "-gzip" to the tag, and takes it off again.
    seen = {part.strip().replace('-gzip"', '"') for part in header.split(",")}
    return "*" in seen or tag in seen


def _http_date(text: str) -> datetime:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        raise CallError(400, "MALFORMED_DATE", f"invalid HTTP date: {text}") from None
