"""Salesforce's error codes, translated into ours; the only place that knows them.

A whole call fails with an ``errorCode`` ("Status Codes and Error Responses", REST API Developer Guide; the codes are
the ``ExceptionCode`` of the SOAP API's "API Fault Element"), a row of a collection with a ``statusCode`` (the
``StatusCode`` of "Core Data Types Used in API Calls"). Messages of Salesforce often quote values of the record or of
the query, so none of them is passed on as it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from crmsync.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    CRMError,
    CursorExpiredError,
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
from crmsync.providers.salesforce.ids import full_id

DAILY_LIMIT_WAIT: Final = 3600.0
"""Seconds to wait when the calls of 24 hours are used up: the window slides, so some come back within the hour."""

CALL_ERRORS: Final[Mapping[type[CRMError], frozenset[str]]] = {
    AuthenticationError: frozenset(
        """INVALID_SESSION_ID INVALID_SESSION INVALID_AUTH_HEADER INVALID_LOGIN INVALID_CLIENT INVALID_SSO_GATEWAY_URL
        INVALID_OPERATION_WITH_EXPIRED_PASSWORD LOGIN_CHALLENGE_ISSUED LOGIN_CHALLENGE_PENDING
        LOGIN_DURING_RESTRICTED_DOMAIN LOGIN_DURING_RESTRICTED_TIME LOGIN_MUST_USE_SECURITY_TOKEN PASSWORD_LOCKOUT
        MUTUAL_AUTHENTICATION_FAILED INVALID_NEW_PASSWORD ORG_NOT_OWNED_BY_INSTANCE BAD_OAUTH_TOKEN
        MISSING_OAUTH_TOKEN CLIENT_NOT_ACCESSIBLE_FOR_USER CLIENT_REQUIRE_UPDATE_FOR_USER""".split()
    ),
    AccessDeniedError: frozenset(
        """INSUFFICIENT_ACCESS INSUFFICIENT_ACCESS_OR_READONLY API_DISABLED_FOR_ORG FORBIDDEN FUNCTIONALITY_NOT_ENABLED
        INACTIVE_OWNER_OR_USER INACTIVE_PORTAL PORTAL_NO_ACCESS ORG_LOCKED ORG_IS_DOT_ORG ORG_IS_SIGNING_UP
        TRIAL_EXPIRED UNSUPPORTED_CLIENT FEED_NOT_ENABLED_FOR_OBJECT JIGSAW_ACTION_DISABLED SERVICE_DESK_NOT_ENABLED
        EMAIL_TO_CASE_NOT_ENABLED DATACLOUD_API_DISABLED_EXCEPTION CONTENT_HUB_AUTHENTICATION_EXCEPTION
        CONTENT_HUB_SECURITY_EXCEPTION EXTERNAL_OBJECT_AUTHENTICATION_EXCEPTION
        ENVIRONMENT_HUB_MEMBERSHIP_CONFLICT""".split()
    ),
    RateLimitedError: frozenset("REQUEST_LIMIT_EXCEEDED TOO_MANY_APEX_REQUESTS LIMIT_EXCEEDED".split()),
    UnavailableError: frozenset(
        """SERVER_UNAVAILABLE API_CURRENTLY_DISABLED FUNCTIONALITY_TEMPORARILY_UNAVAILABLE ORG_IN_MAINTENANCE
        QUERY_TIMEOUT REQUEST_RUNNING_TOO_LONG UNABLE_TO_LOCK_ROW UNKNOWN_EXCEPTION SSO_SERVICE_DOWN
        LICENSING_UNKNOWN_ERROR DATACLOUD_API_SERVER_BUSY_EXCEPTION DATACLOUD_API_SERVER_EXCEPTION
        DATACLOUD_API_TIMEOUT_EXCEPTION DATACLOUD_API_UNAVAILABLE SOCIALCRM_FEEDSERVICE_API_SERVER_EXCEPTION
        SOCIALCRM_FEEDSERVICE_API_UNAVAILABLE CONTENT_HUB_TIMEOUT_EXCEPTION CONTENT_HUB_UNEXPECTED_EXCEPTION
        EXTERNAL_OBJECT_CONNECTION_EXCEPTION EXTERNAL_OBJECT_EXCEPTION FEDERATED_SEARCH_ERROR INTERNAL_CANVAS_ERROR
        BATCH_PROCESSING_HALTED""".split()
    ),
    SchemaChangedError: frozenset(
        """INVALID_FIELD INVALID_TYPE INVALID_TYPE_FOR_OPERATION NOT_FOUND INVALID_ID_FIELD INVALID_FILTER_VALUE
        INVALID_FIELD_FOR_INSERT_UPDATE OBJECT_NOT_FOUND MISSING_RECORD""".split()
    ),
    CursorExpiredError: frozenset(
        "INVALID_REPLICATION_DATE EXCEEDED_ID_LIMIT INVALID_QUERY_LOCATOR INVALID_LOCATOR".split()
    ),
    ConfigurationError: frozenset("UNSUPPORTED_API_VERSION INVALID_VERSION GONE".split()),
    # What is left means that this library asked for something wrong.
    UnexpectedResponseError: frozenset(
        """APEX_TRIGGER_COUPLING_LIMIT ARGUMENT_OBJECT_PARSE_ERROR ASYNC_OPERATION_LOCATOR CANNOT_DELETE_OWNER
        CANT_ADD_STANDADRD_PORTAL_USER_TO_TERRITORY CANT_ADD_STANDARD_PORTAL_USER_TO_TERRITORY CIRCULAR_OBJECT_GRAPH
        CONTENT_HUB_FILE_DOWNLOAD_EXCEPTION CONTENT_HUB_FILE_NOT_FOUND_EXCEPTION
        CONTENT_HUB_INVALID_OBJECT_TYPE_EXCEPTION CONTENT_HUB_INVALID_PAGE_NUMBER_EXCEPTION
        CONTENT_HUB_OPERATION_NOT_SUPPORTED_EXCEPTION CUSTOM_METADATA_LIMIT_EXCEEDED DATACLOUD_API_CLIENT_EXCEPTION
        DUPLICATE_ARGUMENT_VALUE DUPLICATE_VALUE EMAIL_BATCH_SIZE_LIMIT_EXCEEDED EMAIL_TO_CASE_INVALID_ROUTING
        EMAIL_TO_CASE_LIMIT_EXCEEDED EXCEEDED_LEAD_CONVERT_LIMIT EXCEEDED_MAX_SIZE_REQUEST EXCEEDED_MAX_TYPES_LIMIT
        EXCEEDED_QUOTA EXTERNAL_OBJECT_UNSUPPORTED_EXCEPTION ILLEGAL_QUERY_PARAMETER_VALUE INVALID_ASSIGNMENT_RULE
        INVALID_BATCH_REQUEST INVALID_BATCH_SIZE INVALID_CROSS_REFERENCE_KEY INVALID_DATE_FORMAT
        INVALID_FILTER_LANGUAGE INVALID_INPUT_COMBINATION INVALID_LOCALE_LANGUAGE INVALID_MULTIPART_REQUEST
        INVALID_OPERATION INVALID_PACKAGE_VERSION INVALID_PAGING_OPTION INVALID_QUERY_FILTER_OPERATOR
        INVALID_QUERY_SCOPE INVALID_SEARCH INVALID_SEARCH_SCOPE INVALID_SOAP_HEADER INVALID_SORT_OPTION
        JIGSAW_IMPORT_LIMIT_EXCEEDED JIGSAW_REQUEST_NOT_SUPPORTED JSON_PARSER_ERROR MALFORMED_ID MALFORMED_QUERY
        MALFORMED_SEARCH MISSING_ARGUMENT NOT_MODIFIED NO_SOFTPHONE_LAYOUT NUMBER_OUTSIDE_VALID_RANGE
        OPERATION_TOO_LARGE POST_BODY_PARSE_ERROR QUERY_TOO_COMPLICATED SOCIALCRM_FEEDSERVICE_API_CLIENT_EXCEPTION
        TOO_MANY_RECIPIENTS TOO_MANY_RECORDS UNKNOWN_ATTACHMENT_EXCEPTION UNSUPPORTED_ATTACHMENT_ENCODING
        UNSUPPORTED_MEDIA_TYPE XML_PARSER_ERROR METHOD_NOT_ALLOWED BAD_REQUEST""".split()
    ),
}
"""What each documented code of a failed call becomes."""

ROW_GONE: Final = frozenset({"ENTITY_IS_DELETED", "NOT_FOUND", "INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID"})
"""Codes that say, without a field at fault, that the record to update or delete is not there."""

_ROW_RETRY = frozenset(
    """UNABLE_TO_LOCK_ROW SERVER_UNAVAILABLE UNKNOWN_EXCEPTION QUERY_TIMEOUT REQUEST_RUNNING_TOO_LONG
    ALL_OR_NONE_OPERATION_ROLLED_BACK BATCH_PROCESSING_HALTED PROCESSING_HALTED
    FUNCTIONALITY_TEMPORARILY_UNAVAILABLE""".split()
)
_ROW_DUPLICATE = frozenset({"DUPLICATE_VALUE", "DUPLICATES_DETECTED", "DUPLICATE_USERNAME"})
_ADMIN_TEXT = frozenset({"FIELD_CUSTOM_VALIDATION_EXCEPTION", "FIELD_FILTER_VALIDATION_EXCEPTION"})
_REMEDIES: Mapping[str, str] = {
    "REQUIRED_FIELD_MISSING": "give it a value or a default in the mapping",
    "STRING_TOO_LONG": "shorten it, or let the mapping report the loss",
    "INVALID_EMAIL_ADDRESS": "correct the address",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "map it to one of the picklist's values",
    "FIELD_INTEGRITY_EXCEPTION": "the field does not go with the other fields of the record",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": "a trigger or flow of the org failed; its administrator can see which",
    "INSUFFICIENT_ACCESS_OR_READONLY": "grant the user edit access to the record",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "grant the user access to the record that the field names",
    "STORAGE_LIMIT_EXCEEDED": "the org's data storage is full",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "make the field editable for the user, or stop mapping it to the CRM",
}
_BAD_TOKEN: Final = b"Bad_OAuth_Token"
"""What the identity resources answer, with a 403, where the others say 401 INVALID_SESSION_ID ("Identity URLs")."""
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,79}")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,254}")
_ID_IN_TEXT = re.compile(r"\b[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?\b")
_MAX_LENGTH = re.compile(r"max length=(\d+)")
_COLUMN = re.compile(r"No such column '([A-Za-z][A-Za-z0-9_.]{0,254})'")
_BY_CODE: Mapping[str, type[CRMError]] = {code: kind for kind, codes in CALL_ERRORS.items() for code in codes}

_CLI_REMEDIES: Mapping[str, str] = {
    "NoDefaultEnvError": "name the org, sf.org, or give an access token of the form 00D...!...",
    "NamedOrgNotFoundError": "the CLI is not logged in to sf.org; log in with the same home directory",
    "GenericKeychainInvalidPermsError": "the key file in its home directory must have mode 600",
    "InvalidAccessTokenFormatError": "the access token is not of the form that the CLI takes",
}
"""What can be done about failures of the CLI's own setting."""
_CLI_LOGIN = frozenset({"AuthCodeUsernameRetrievalError", "JwtGrantError", "RefreshTokenAuthError"})
_NODE_NETWORK = frozenset(
    {"ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EPIPE", "ETIMEDOUT", "FetchError", "TimeoutError"}
)
"""Node's names for a connection that could not be made or broke, and the CLI's for a command that waited in vain."""


def call_error(status: int, body: bytes, retry_after: float | None = None) -> CRMError:
    """The error of an answer that is no success, whatever its body: REST's array, OAuth's object, HTML, nothing.

    ``retry_after`` is the header's value in seconds.
    """
    code, message = _code_and_message(body)
    what = f"Salesforce answered {status}{f' {code}' if code else ''}"
    kind = _BY_CODE.get(code.upper()) or _by_status(status)
    if body.strip() == _BAD_TOKEN:
        kind = AuthenticationError
    if status >= 500:  # noqa: PLR2004
        kind = UnavailableError
    return _call_error(kind, what, message, retry_after)


def command_error(name: str, code: str, message: str) -> CRMError:
    """The error of a command of the Salesforce CLI that failed: its name is the org's code, or one of the CLI's own.

    ``code`` is what Node.js calls the trouble with a connection, if it is that.
    """
    name = _clean(_CODE, name)
    what = f"the Salesforce CLI failed with {name or 'an error without a name'}"
    if name in _CLI_REMEDIES:
        return ConfigurationError(f"{what}: {_CLI_REMEDIES[name]}")
    if name in _CLI_LOGIN:
        return AuthenticationError(f"{what}: the login is refused; log in to the org again")
    broken = code in _NODE_NETWORK or name in _NODE_NETWORK or message.startswith("fetch failed")
    if broken or name.startswith("ERROR_HTTP_5"):
        return UnavailableError(what)
    return _call_error(_BY_CODE.get(name.upper(), UnexpectedResponseError), what, message, None)


def _call_error(kind: type[CRMError], what: str, message: str, retry_after: float | None) -> CRMError:
    if kind is RateLimitedError:
        return _rate_limited(what, message, retry_after)
    if kind is AuthenticationError:
        return AuthenticationError(f"{what}: the access token is refused; sign in again or renew it")
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


def row_error(errors: Iterable[Any], sent: Iterable[object] = ()) -> CRMError:
    """The error of one row of a collection. ``sent`` are the row's values, none of which may come up in the message."""
    first = next((error for error in errors if isinstance(error, Mapping)), {})
    code = _clean(_CODE, first.get("statusCode") or first.get("errorCode")) or "UNKNOWN"
    message = str(first.get("message") or "")
    names = first.get("fields")
    fields = [name for name in names if isinstance(name, str) and _FIELD.fullmatch(name)] if names else []
    field = fields[0] if fields else None
    where = f" in {', '.join(fields)}" if fields else ""
    if code in _ROW_RETRY:
        return UnavailableError(f"Salesforce could not save the record now: {code}")
    if code == "REQUEST_LIMIT_EXCEEDED":
        return _rate_limited("Salesforce refused the record: REQUEST_LIMIT_EXCEEDED", message, None)
    if code == "DUPLICATE_EXTERNAL_ID":
        ids = [found for text in _ID_IN_TEXT.findall(message) if (found := full_id(text))]
        return ConflictError("more than one record carries this external id", candidates=ids)
    if code in _ROW_DUPLICATE:
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
        and (error.get("statusCode") or error.get("errorCode")) in ROW_GONE
        and set(error.get("fields") or ()) <= {"Id", "id"}
        for error in errors
    )


def _detail(code: str, message: str, sent: Iterable[object]) -> str:
    if code == "STRING_TOO_LONG" and (limit := _MAX_LENGTH.search(message)):
        return f" (at most {limit[1]} characters); {_REMEDIES[code]}"
    if code in _ADMIN_TEXT:
        text = "".join(char if char.isprintable() else " " for char in message)[:255].strip()
        quoted = any(len(part := str(value)) > 1 and part.casefold() in text.casefold() for value in sent)
        return f": {text}" if text and not quoted else "; see the org's validation rules"
    remedy = _REMEDIES.get(code)
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
    # "TotalRequests Limit exceeded." is the day's allowance; "ConcurrentRequests ..." passes within seconds.
    if "TotalRequests" in message:
        wait = DAILY_LIMIT_WAIT if retry_after is None else retry_after
        return RateLimitedError(f"{what}: the org's API calls of 24 hours are used up", retry_after=wait)
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
