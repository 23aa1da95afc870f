"""JWT bearer assertions, as in "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration" (Salesforce Help)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import jwt

from crmsync.testing.salesforce.oauth.errors import OAuthError, invalid_grant
from crmsync.testing.salesforce.oauth.keys import public_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from crmsync.testing.salesforce.oauth.apps import OAuthApp

#: The page says 3 minutes, but its own sample of an assertion is for 5, as are those of clients in use (aiosalesforce).
LIFETIME: Final = timedelta(minutes=5)
#: How long after its end an assertion is still taken. The page has no number, but there is one: CumulusCI's ends in the
#: second of its making and the sf CLI's a third of a second later. RFC 7519 advises "no more than a few minutes".
LEEWAY: Final = timedelta(minutes=3)
#: Such an ``exp`` is in milliseconds: as seconds it would lie after the year 5000.
_MILLISECONDS_FROM: Final = 100_000_000_000
LOGIN_HOSTS: Final = ("https://login.salesforce.com", "https://test.salesforce.com")


def verified(
    assertion: str, apps: Mapping[str, OAuthApp], *, audiences: Iterable[str], now: datetime
) -> tuple[OAuthApp, str]:
    """Return the app that signed an assertion and the username in it.

    :param audiences: URLs that name this org, besides ``login`` and ``test``; a slash at the end does not matter.
    :raises OAuthError: as Salesforce would refuse the assertion.
    """
    app = _issuer(assertion, apps)
    claims = _claims(assertion, app)
    allowed = {url.rstrip("/") for url in (*LOGIN_HOSTS, *audiences)}
    if not {str(url).rstrip("/") for url in _listed(claims.get("aud"))} & allowed:
        raise invalid_grant("audience is invalid")
    _require_current(claims.get("exp"), now)
    # "prn" is the name that drafts of RFC 7523 gave to "sub".
    return app, str(claims.get("sub") or claims.get("prn") or "")


def _issuer(assertion: str, apps: Mapping[str, OAuthApp]) -> OAuthApp:
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        raise invalid_grant("invalid assertion") from None
    app = apps.get(str(claims.get("iss")))
    if app is None:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    return app


def _claims(assertion: str, app: OAuthApp) -> dict[str, Any]:
    if app.public_key is None:
        raise invalid_grant("invalid assertion")
    try:
        return jwt.decode(
            assertion,
            public_key(app.public_key),
            algorithms=["RS256"],
            # The times are checked by the org's clock, and "exp" comes in forms that RFC 7519 has not.
            options={"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.InvalidTokenError:
        raise invalid_grant("invalid assertion") from None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _require_current(value: Any, now: datetime) -> None:
    # simple-salesforce sends "exp" as a string, the sf CLI in milliseconds.
    try:
        end = int(value)
    except (TypeError, ValueError):
        raise invalid_grant("invalid assertion") from None
    if end >= _MILLISECONDS_FROM:
        end //= 1000
    moment = int(now.timestamp())
    if end <= moment - LEEWAY.total_seconds():
        # The text for a code serves for assertions too (simple-salesforce, issue 491).
        raise invalid_grant("expired authorization code")
    if end > moment + LIFETIME.total_seconds():
        raise invalid_grant("invalid assertion")
