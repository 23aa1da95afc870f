"""``/services/oauth2/token``: the grants, and the answer that they share."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.oauth import jwt_bearer
from crmsync.testing.salesforce.oauth.call import OAuthCall, RouteTable, invalid_client
from crmsync.testing.salesforce.oauth.errors import OAuthError, invalid_grant
from crmsync.testing.salesforce.routes.call import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from crmsync.testing.salesforce.oauth.apps import OAuthApp
    from crmsync.testing.salesforce.oauth.authorization_server import AuthorizationRequest, Grant

# RFC 7636 ends at 128 characters and also allows "~". But "OAuth 2.0 Web Server Flow" (Salesforce Help) wants 128 bytes
# in base64url, 171 characters, which is what the sf CLI sends; and "~" is refused (cognizant-ai-lab/nsflow, issue 249).
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._-]{43,171}")
_LOGIN_HOSTS: Final = frozenset(url.removeprefix("https://") for url in jwt_bearer.LOGIN_HOSTS)
#: "OAuth 2.0 Client Credentials Flow" (Salesforce Help): these are never given, nor by any flow without a browser.
_INTERACTIVE_SCOPES: Final = frozenset({"full", "web", "refresh_token"})


def token(call: OAuthCall) -> Reply:
    """Exchange what the grant type names for an access token."""
    grant = _GRANTS.get(call.form.get("grant_type", ""))
    if grant is None:
        raise OAuthError("unsupported_grant_type", "grant type not supported")
    return grant(call)


def _authorization_code(call: OAuthCall) -> Reply:
    app = call.confidential_app()
    server = call.org.oauth
    code = server.take_code(call.form.get("code", ""))
    if code is None or code.request.client_id != app.client_id:
        raise invalid_grant("invalid authorization code")
    if call.org.now().timestamp() >= code.expires_at:
        raise invalid_grant("expired authorization code")
    if call.form.get("redirect_uri") != code.request.redirect_uri:
        raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
    _require_verifier(code.request, call.form.get("code_verifier", ""))
    grant = server.new_grant(app.client_id, code.user_id, code.request.scopes)
    extra = {}
    if "refresh_token" in grant.scopes:
        extra["refresh_token"] = server.new_refresh_token(grant)
    return _answer(call, grant, extra)


def _require_verifier(request: AuthorizationRequest, verifier: str) -> None:
    if request.code_challenge is None and not verifier:
        return
    digest = hashlib.sha256(verifier.encode("utf-8", "surrogatepass")).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    good = _VERIFIER.fullmatch(verifier) and secrets.compare_digest(challenge, request.code_challenge or "")
    if not good:
        raise invalid_grant("invalid code verifier")


def _refresh_token(call: OAuthCall) -> Reply:
    app = call.app()
    if app.refresh_needs_secret and app.client_secret is not None and not call.client_credentials()[1]:
        raise invalid_client(call)
    server = call.org.oauth
    held = call.form.get("refresh_token", "")
    grant = server.grant_of(held)
    if grant is None or grant.client_id != app.client_id:
        server.end_reused(held)
        raise invalid_grant("expired access/refresh token")
    if not (call.org.get("User", grant.user_id) or {}).get("IsActive", True):
        raise OAuthError("inactive_user", "user is inactive")
    if app.refusal or not app.rotates_refresh_tokens:
        return _answer(call, grant)
    return _answer(call, grant, {"refresh_token": server.replace_refresh_token(held)})


def _client_credentials(call: OAuthCall) -> Reply:
    # Only a My Domain serves this flow (pozil/pub-sub-api-node-client, issue 58).
    if call.host in _LOGIN_HOSTS:
        raise invalid_grant("request not supported on this domain")
    app = call.confidential_app()
    if app.client_secret is None:
        raise invalid_client(call)
    user = None if app.run_as is None else call.user_named(app.run_as)
    if user is None:
        raise invalid_grant("no client credentials user enabled")
    return _answer(call, _grant_without_browser(call, app, user["Id"]))


def _jwt_bearer(call: OAuthCall) -> Reply:
    server = call.org.oauth
    audiences = (call.base_url, call.org.my_domain)
    assertion = call.form.get("assertion", "")
    app, username = jwt_bearer.verified(assertion, server.apps, audiences=audiences, now=call.org.now())
    user = call.user_named(username)
    allowed = user is not None and (
        any(call.user_named(name) is user for name in app.preauthorized)
        or server.has_consented(app.client_id, user["Id"])
    )
    if user is None or not allowed:
        raise invalid_grant("user hasn't approved this consumer")
    return _answer(call, _grant_without_browser(call, app, user["Id"]))


def _password(call: OAuthCall) -> Reply:
    app = call.confidential_app()
    username = call.form.get("username", "")
    user = call.user_named(username)
    # Orgs since Summer '23 block the flow by the same text that a wrong password gets.
    if user is None or not call.org.oauth.allow_password_flow or not password_fits(call, username):
        raise invalid_grant("authentication failure")
    return _answer(call, _grant_without_browser(call, app, user["Id"]))


def password_fits(call: OAuthCall, username: str, given: str | None = None) -> bool:
    """Whether a password, by default the form's, is the user's."""
    sent = call.form.get("password", "") if given is None else given
    held = call.org.oauth.passwords.get(username.strip().casefold())
    return held is not None and secrets.compare_digest(sent.encode(), held.encode())


def _grant_without_browser(call: OAuthCall, app: OAuthApp, user_id: str) -> Grant:
    scopes = [scope for scope in app.scopes if scope not in _INTERACTIVE_SCOPES]
    return call.org.oauth.new_grant(app.client_id, user_id, scopes)


def _answer(call: OAuthCall, grant: Grant, extra: dict[str, str] | None = None) -> Reply:
    app = call.org.oauth.apps[grant.client_id]
    if app.refusal:
        raise OAuthError(*app.refusal)
    issued_at = str(int(call.org.now().timestamp() * 1000))
    identity = call.identity_url(grant.user_id)
    secret = app.client_secret or ""
    # "OAuth 2.0 Web Server Flow": a Base64 HMAC-SHA256 with the consumer secret over the identity URL and issued_at.
    signature = hmac.new(secret.encode(), f"{identity}{issued_at}".encode(), hashlib.sha256).digest()
    body: dict[str, Any] = {
        "access_token": call.org.oauth.open_session(grant.user_id, call.org.now(), grant=grant),
        **(extra or {}),
        "signature": base64.b64encode(signature).decode(),
        "scope": " ".join(grant.scopes),
        "instance_url": call.base_url,
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued_at,
    }
    return Reply(body, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


_GRANTS: Final[dict[str, Callable[[OAuthCall], Reply]]] = {
    "authorization_code": _authorization_code,
    "refresh_token": _refresh_token,
    "client_credentials": _client_credentials,
    "urn:ietf:params:oauth:grant-type:jwt-bearer": _jwt_bearer,
    "password": _password,
}

ROUTES: RouteTable = (("/services/oauth2/token", ("POST",), token),)
