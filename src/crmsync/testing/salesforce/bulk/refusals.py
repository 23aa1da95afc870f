"""The refusals of Bulk API 2.0. Its own codes are in capitals without underscores: ``InvalidJob`` is INVALIDJOB."""

from __future__ import annotations

from crmsync.testing.salesforce.errors import CallError


def refusal(code: str, message: str, *, status: int = 400) -> CallError:
    """Return a refusal in the key order of this API: code before message."""
    return CallError(status, code, message, code_first=True)


def named_refusal(name: str, message: str, *, status: int = 400) -> CallError:
    """Return a refusal whose message begins with the code in its old form, as recorded for most of them."""
    return refusal(name.upper(), f"{name} : {message}", status=status)


def wrong_state(message: str) -> CallError:
    """The refusal of what a job's state does not allow: 400 in the example of "Abort a Query Job"."""
    return refusal("INVALIDJOBSTATE", message)


def bad_property(name: str, value: object) -> CallError:
    """The refusal of a request's property."""
    shown = "" if value is None else value
    return refusal("API_ERROR", f"Invalid value: '{shown}' supplied for property: '{name}'")
