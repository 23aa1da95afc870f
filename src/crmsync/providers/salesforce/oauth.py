"""OAuth 2.0 as Salesforce speaks it, without I/O: requests for tokens, and what their answers mean.

"OAuth Authorization Flows" and "OAuth 2.0 Refresh Token Flow for Renewed Sessions" (Salesforce Help) describe requests
and answers. `oauth_refusals` says what a refusal means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
from pydantic import SecretStr

from crmsync.errors import (
    ConfigurationError,
    CRMError,
    MissingExtraError,
    RateLimitedError,
    UnavailableError,
    UnexpectedResponseError,
)
from crmsync.models.secrets import Secret
from crmsync.providers.salesforce.bodies import parse
from crmsync.providers.salesforce.oauth_refusals import refusal_of
from crmsync.providers.salesforce.settings import SalesforceSettings

TOKEN_PATH: Final = "/services/oauth2/token"  # noqa: S105 - a path
REVOKE_PATH: Final = "/services/oauth2/revoke"

_ASSERTION_LIFETIME: Final = timedelta(minutes=2)
"""An assertion may be good for 3 minutes ("OAuth 2.0 JWT Bearer Flow"); one is left for clocks that differ."""
_PRODUCTION: Final = "https://login.salesforce.com"
_SANDBOX: Final = "https://test.salesforce.com"


@attrs.frozen(slots=True)
class Access:
    """An access token, and the address of the org that takes it."""

    token: SecretStr
    instance_url: str

    @property
    def header(self) -> str:
        """The value of ``Authorization``."""
        return f"Bearer {self.token.get_secret_value()}"


@attrs.frozen(slots=True)
class TokenAnswer:
    """A successful answer. ``refresh_token`` is there after a first sign-in, or when the app rotates it."""

    access: Access
    refresh_token: SecretStr | None
    scopes: tuple[str, ...]


@attrs.frozen(slots=True)
class FormRequest:
    """A POST of a form. It holds secrets, so its ``repr`` shows the URL only."""

    url: str
    form: Mapping[str, str] = attrs.field(repr=False)


def refresh(origin: str, held: Mapping[str, SecretStr]) -> FormRequest:
    """Renew by refresh token. A public client has no secret and sends none."""
    form = {"grant_type": "refresh_token", **_named(held, ("refresh_token", "client_id", "client_secret"))}
    return FormRequest(origin + TOKEN_PATH, form)


def client_credentials(origin: str, held: Mapping[str, SecretStr]) -> FormRequest:
    """Sign in as the user that the app runs as."""
    form = {"grant_type": "client_credentials", **_named(held, ("client_id", "client_secret"))}
    return FormRequest(origin + TOKEN_PATH, form)


def jwt_bearer(origin: str, held: Mapping[str, SecretStr], pem: str, *, audience: str, now: datetime) -> FormRequest:
    """Sign in as a user who is approved for the app, by an assertion signed with the app's key.

    :raises ConfigurationError: the key is no unencrypted RSA key in PEM.
    :raises MissingExtraError: PyJWT is not installed.
    """
    try:
        import jwt  # noqa: PLC0415 - with all of its cryptography, for this way to sign in alone
    except ModuleNotFoundError as error:
        raise MissingExtraError("signing in by JWT", "salesforce") from error
    claims = {
        "iss": held["client_id"].get_secret_value(),
        "sub": held["username"].get_secret_value(),
        "aud": audience,
        "exp": int((now + _ASSERTION_LIFETIME).timestamp()),
    }
    try:
        assertion = jwt.encode(claims, pem, algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):
        raise ConfigurationError("private_key: is no unencrypted RSA private key in PEM") from None
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    return FormRequest(origin + TOKEN_PATH, form)


def authorization_code(
    origin: str, held: Mapping[str, SecretStr], *, code: str, redirect_uri: str, verifier: str
) -> FormRequest:
    """Exchange the code that the browser brought back. A confidential client sends the verifier and its secret."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
        **_named(held, ("client_id", "client_secret")),
    }
    return FormRequest(origin + TOKEN_PATH, form)


def revocation(origin: str, token: SecretStr) -> FormRequest:
    """End a token; a refresh token takes its access tokens with it ("Revoke OAuth Tokens", Salesforce Help)."""
    return FormRequest(origin + REVOKE_PATH, {"token": token.get_secret_value()})


def audience_of(settings: SalesforceSettings) -> str:
    """Whom an assertion is for: ``login`` or ``test`` by the org's domain; another server's own address."""
    if settings.jwt_audience is not None:
        return settings.jwt_audience
    origin = settings.instance_url or _PRODUCTION
    host = urlsplit(origin).hostname or ""
    if ".sandbox." in host or host.startswith("test."):
        return _SANDBOX
    if host.endswith((".salesforce.com", ".force.com")):
        return _PRODUCTION
    return origin


def read_answer(status: int, body: bytes, settings: SalesforceSettings, *, by_assertion: bool = False) -> TokenAnswer:
    """What the token endpoint answered. ``by_assertion``: to an assertion, whose refusals have words of other grants.

    :raises GrantRefusedError: see `oauth_refusals`. :raises AuthenticationError: the app or the user is refused.
    :raises ConfigurationError: the app is not set up for this, or the org's address is not to be trusted.
    :raises TransientError: try again later. :raises UnexpectedResponseError: it is no answer of OAuth's.
    """
    parsed = _parsed(body)
    if status != HTTPStatus.OK:
        raise _refusal(status, parsed, by_assertion=by_assertion)
    token, instance_url = parsed.get("access_token"), parsed.get("instance_url")
    if not isinstance(token, str) or not isinstance(instance_url, str) or not _is_header_value(token):
        raise UnexpectedResponseError("Salesforce's answer to a sign-in has no access token or no address")
    renewed = parsed.get("refresh_token")
    return TokenAnswer(
        Access(Secret(token), trusted_address(instance_url, settings)),
        Secret(renewed) if isinstance(renewed, str) and renewed else None,
        tuple(str(parsed.get("scope") or "").split()),
    )


def trusted_address(url: str, settings: SalesforceSettings) -> str:
    """The org's address as the sign-in tells it, if a token may be sent there.

    :raises ConfigurationError: it may not.
    """
    try:
        return settings.trusted(url)
    except ValueError as error:
        raise ConfigurationError(f"the org's address in the answer to the sign-in: {error}") from None


def read_revocation(status: int, body: bytes) -> None:
    """:raises CRMError: the token is not revoked. One that is dead already counts as revoked."""
    parsed = _parsed(body)
    if status != HTTPStatus.OK and parsed.get("error") != "invalid_token":
        raise _refusal(status, parsed)


def _refusal(status: int, parsed: Mapping[str, Any], *, by_assertion: bool = False) -> CRMError:
    code = parsed.get("error")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError(f"Salesforce could not sign in now: it answered {status}")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimitedError("Salesforce refused the sign-in: too many in an hour")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return ConfigurationError("Salesforce sends the sign-in elsewhere: set instance_url to the org's My Domain")
    if not isinstance(code, str):
        return UnexpectedResponseError(f"Salesforce answered a sign-in with {status} and no reason")
    return refusal_of(code, str(parsed.get("error_description") or ""), by_assertion=by_assertion)


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = parse(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _named(held: Mapping[str, SecretStr], names: Sequence[str]) -> dict[str, str]:
    return {name: held[name].get_secret_value() for name in names if name in held}


def _is_header_value(token: str) -> bool:
    return token.isascii() and token.isprintable() and " " not in token
