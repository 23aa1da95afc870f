"""Salesforce's errors, translated into ours; the only place that does it. `error_codes` says which code means what.

A whole call fails with an ``errorCode`` ("Status Codes and Error Responses", REST API Developer Guide; the codes are
the ``ExceptionCode`` of the SOAP API's "API Fault Element"), a row of a collection with a ``statusCode`` (the
``StatusCode`` of "Core Data Types Used in API Calls"). Messages of Salesforce often quote values of the record or of
the query, so none of them is passed on as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from crmsync.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    CRMError,
    DuplicateError,
    ProviderError,
    RateLimitedError,
    RejectedError,
    SchemaChangedError,
    TransientError,
    UnavailableError,
    UnexpectedResponseError,
)
from crmsync.providers.salesforce import bodies
from crmsync.providers.salesforce import error_codes as codes
from crmsync.providers.salesforce.ids import full_id

_DAY: Final = "TotalRequests"
"""In the message where the calls of 24 hours are used up, whatever the code: "TotalRequests Limit exceeded." All else
("ConcurrentRequests (Concurrent API Requests) ...", help 000389067; "ConcurrentPerOrgLongTxn ...") passes in seconds.
"""
_USED_UP: Final = "the org's API calls of 24 hours are used up"
DAILY_LIMIT_WAIT: Final = 3600.0
"""Seconds to wait when the calls of 24 hours are used up: the window slides, so some come back within the hour."""

_BAD_TOKEN: Final = b"Bad_OAuth_Token"
"""What the identity resources answer, with a 403, where the others say 401 INVALID_SESSION_ID ("Identity URLs")."""
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,79}")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,254}")
_ID_IN_TEXT = re.compile(r"\b[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?\b")
_MAX_LENGTH = re.compile(r"max length=(\d+)")
_COLUMN = re.compile(r"No such column '([A-Za-z][A-Za-z0-9_.]{0,254})'")


def call_error(status: int, body: bytes, retry_after: float | None = None) -> CRMError:
    """The error of an answer that is no success, whatever its body: REST's array, OAuth's object, HTML, nothing.

    ``retry_after`` is the header's value in seconds.
    """
    code, message = _code_and_message(body)
    what = f"Salesforce answered {status}{f' {code}' if code else ''}"
    kind = codes.BY_CODE.get(code.upper()) or _by_status(status)
    if body.strip() == _BAD_TOKEN:
        kind = AuthenticationError
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = UnavailableError
    if _DAY in message:
        kind = RateLimitedError
    return _call_error(kind, what, message, retry_after, code)


def command_error(name: str, code: str, message: str) -> CRMError:
    """The error of a command of the Salesforce CLI that failed: its name is the org's code, or one of the CLI's own.

    ``code`` is what Node.js calls the trouble with a connection, if it is that.
    """
    name = _clean(_CODE, name)
    what = f"the Salesforce CLI failed with {name or 'an error without a name'}"
    if name in codes.CLI_REMEDIES:
        return ConfigurationError(f"{what}: {codes.CLI_REMEDIES[name]}")
    if name in codes.CLI_LOGIN:
        return AuthenticationError(f"{what}: the login is refused; log in to the org again")
    broken = code in codes.CLI_NETWORK or name in codes.CLI_NETWORK or message.startswith("fetch failed")
    if broken or name.startswith("ERROR_HTTP_5"):
        return UnavailableError(what)
    kind = RateLimitedError if _DAY in message else codes.BY_CODE.get(name.upper(), UnexpectedResponseError)
    return _call_error(kind, what, message, None, name)


def _call_error(kind: type[CRMError], what: str, message: str, retry_after: float | None, code: str) -> CRMError:
    remedy = codes.CALL_REMEDIES.get(code.upper())
    if kind is RateLimitedError:
        return _rate_limited(what, message, retry_after)
    if kind is AuthenticationError:
        return AuthenticationError(f"{what}: {remedy or codes.SIGN_IN_AGAIN}")
    if kind is AccessDeniedError and remedy:
        return AccessDeniedError(f"{what}: {remedy}")
    if kind is ConfigurationError:
        return ConfigurationError(f"{what}: the API version is retired or unknown; set a newer api_version, or none")
    if kind is SchemaChangedError:
        column = _COLUMN.search(message)
        detail = f"no field {column[1]}" if column else "an object or field is gone, or hidden from the user"
        return SchemaChangedError(f"{what}: {detail}")
    if issubclass(kind, TransientError):
        return kind(what, retry_after=retry_after)
    if issubclass(kind, ProviderError):
        return kind(what)
    return UnexpectedResponseError(what)


def is_malformed(error: CRMError) -> bool:
    """Whether a call failed as a whole before any of its rows was looked at, for what one row may have caused."""
    return isinstance(error, UnexpectedResponseError | SchemaChangedError) and " 400 " in f"{error.message} "


def is_used_up(error: CRMError | None) -> bool:
    """Whether the org's calls of 24 hours are used up: then ``retry_after`` says when to go on."""
    return isinstance(error, RateLimitedError) and error.message.endswith(_USED_UP)


def row_error(errors: Iterable[Any], sent: Iterable[object] = ()) -> CRMError:
    """The error of one row of a collection. ``sent`` are the row's values, none of which may come up in the message."""
    first = next((error for error in errors if isinstance(error, Mapping)), {})
    code = _clean(_CODE, first.get("statusCode") or first.get("errorCode")) or "UNKNOWN"
    message = str(first.get("message") or "")
    names = first.get("fields")
    fields = [name for name in names if isinstance(name, str) and _FIELD.fullmatch(name)] if names else []
    field = fields[0] if fields else None
    where = f" in {', '.join(fields)}" if fields else ""
    if code in codes.ROW_RETRY:
        return UnavailableError(f"Salesforce could not save the record now: {code}")
    if code == "REQUEST_LIMIT_EXCEEDED":
        return _rate_limited("Salesforce refused the record: REQUEST_LIMIT_EXCEEDED", message, None)
    if code == "DUPLICATE_EXTERNAL_ID":
        ids = [found for text in _ID_IN_TEXT.findall(message) if (found := full_id(text))]
        return ConflictError("more than one record carries this external id", candidates=ids)
    if code in codes.ROW_DUPLICATE:
        return DuplicateError(
            f"Salesforce holds such a record already: {code}{where}",
            code=code,
            field=field,
            existing_id=_existing_id(first, message),
        )
    return RejectedError(
        f"Salesforce refused the record: {code}{where}{_detail(code, message, sent)}", code=code, field=field
    )


def is_gone(errors: Iterable[Any]) -> bool:
    """Whether a row's errors say that the record itself does not exist."""
    return any(
        isinstance(error, Mapping)
        and (error.get("statusCode") or error.get("errorCode")) in codes.ROW_GONE
        and set(error.get("fields") or ()) <= {"Id", "id"}
        for error in errors
    )


def _detail(code: str, message: str, sent: Iterable[object]) -> str:
    if code == "STRING_TOO_LONG" and (limit := _MAX_LENGTH.search(message)):
        return f" (at most {limit[1]} characters); {codes.ROW_REMEDIES[code]}"
    if code in codes.ROW_ADMIN_TEXT:
        text = "".join(char if char.isprintable() else " " for char in message)[:255].strip()
        quoted = any(len(part := str(value)) > 1 and part.casefold() in text.casefold() for value in sent)
        return f": {text}" if text and not quoted else "; see the org's validation rules"
    remedy = codes.ROW_REMEDIES.get(code)
    return f"; {remedy}" if remedy else ""


def _existing_id(error: Mapping[str, Any], message: str) -> str | None:
    found = re.search(r"record with id: ([A-Za-z0-9]{15,18})", message)
    if found:
        return full_id(found[1])
    try:
        match = error["duplicateResult"]["matchResults"][0]["matchRecords"][0]["record"]["Id"]
    except (KeyError, IndexError, TypeError):
        return None
    return full_id(match) if isinstance(match, str) else None


def _rate_limited(what: str, message: str, retry_after: float | None) -> RateLimitedError:
    if _DAY in message:
        wait = DAILY_LIMIT_WAIT if retry_after is None else retry_after
        return RateLimitedError(f"{what}: {_USED_UP}", retry_after=wait)
    return RateLimitedError(f"{what}: too many calls at once", retry_after=retry_after)


def _by_status(status: int) -> type[CRMError]:
    return {
        401: AuthenticationError,
        403: AccessDeniedError,
        404: SchemaChangedError,
        410: ConfigurationError,
        420: RateLimitedError,
        429: RateLimitedError,
    }.get(status, UnexpectedResponseError)


def _code_and_message(body: bytes) -> tuple[str, str]:
    try:
        parsed = bodies.parse(body)
    except ValueError:
        return "", ""
    first = parsed[0] if isinstance(parsed, list) and parsed else parsed
    if not isinstance(first, dict):
        return "", ""
    if "error" in first:
        return _clean(_CODE, first.get("error")), str(first.get("error_description") or "")
    return _clean(_CODE, first.get("errorCode")), str(first.get("message") or "")


def _clean(pattern: re.Pattern[str], text: object) -> str:
    return text if isinstance(text, str) and pattern.fullmatch(text) else ""
