"""Failures of an emulated API call, as values that the routes turn into Salesforce's bodies."""

from __future__ import annotations

from typing import Any


class RowError(Exception):
    """One record cannot be saved. ``code`` is Salesforce's StatusCode; ``fields`` names the fields at fault."""

    def __init__(self, code: str, message: str, fields: tuple[str, ...] = (), *, status: int = 400) -> None:
        super().__init__(code, message, fields)
        self.code = code
        self.message = message
        self.fields = fields
        self.status = status

    def as_row(self) -> dict[str, Any]:
        """The form inside a collection's result: ``statusCode`` where REST says ``errorCode``."""
        return {"statusCode": self.code, "message": self.message, "fields": list(self.fields)}

    def as_body(self) -> list[dict[str, Any]]:
        """The form of a whole answer: DML errors carry ``fields``."""
        return [{"message": self.message, "errorCode": self.code, "fields": list(self.fields)}]


class CallError(Exception):
    """A whole call fails. ``code_first`` is the key order of URL-level errors: errorCode before message."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        code_first: bool = False,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.code_first = code_first
        self.headers = headers or {}

    def as_body(self) -> list[dict[str, Any]]:
        """The array that every REST error is."""
        if self.code_first:
            return [{"errorCode": self.code, "message": self.message}]
        return [{"message": self.message, "errorCode": self.code}]


def not_found() -> CallError:
    """The answer for an unknown URL or record."""
    return CallError(404, "NOT_FOUND", "The requested resource does not exist", code_first=True)


def unknown_object() -> CallError:
    """The answer for an object that the org has not."""
    return not_found()


def default_error(status: int) -> tuple[str, str]:
    """The code and the message that belong to a status, where no resource has its own."""
    return {
        401: ("INVALID_SESSION_ID", "Session expired or invalid"),
        403: ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
        429: ("REQUEST_LIMIT_EXCEEDED", "Too many requests."),
        500: ("UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support."),
        503: ("SERVER_UNAVAILABLE", "Server unavailable. Please try again later."),
    }.get(status, ("UNKNOWN_EXCEPTION", "An unexpected error occurred."))
