"""Refusals of the OAuth endpoints: objects, not the arrays of the REST API."""

from __future__ import annotations


class OAuthError(Exception):
    """A refused request. ``error`` is the code, ``description`` Salesforce's text for it."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(error, description, status)
        self.error = error
        self.description = description
        self.status = status

    def as_body(self) -> dict[str, str]:
        """The answer's JSON object."""
        return {"error": self.error, "error_description": self.description}


def invalid_grant(description: str) -> OAuthError:
    """The refusal of a code, a token, an assertion or a password."""
    return OAuthError("invalid_grant", description)
