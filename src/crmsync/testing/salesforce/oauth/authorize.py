"""``/services/oauth2/authorize``: an app sends a user's browser here, which comes back to it with a code."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from crmsync.testing.salesforce.oauth.apps import scopes_of
from crmsync.testing.salesforce.oauth.authorization_server import AuthorizationRequest
from crmsync.testing.salesforce.oauth.call import OAuthCall, RouteTable
from crmsync.testing.salesforce.oauth.errors import OAuthError
from crmsync.testing.salesforce.routes.call import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crmsync.testing.salesforce.oauth.apps import OAuthApp

_PATH: Final = "/services/oauth2/authorize"
#: A SHA-256 in base64url without padding (RFC 7636, section 4.2).
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_HTML_HEADERS: Final = {
    "Content-Type": "text/html; charset=UTF-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head><title>{title}</title></head>
<body>
<h1>{title}</h1>
{content}
</body>
</html>
"""
_FORM: Final = """\
<p>{app} asks for: {scopes}</p>
<form method="post" action="{path}">
<input type="hidden" name="ticket" value="{ticket}">
<label>Sign in as <select name="username">
{users}
</select></label>
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button>
</form>"""


class _RedirectedError(Exception):
    """A refusal that the app is told of, by way of the browser."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error, description)
        self.parameters = {"error": error, "error_description": description}


def authorize(call: OAuthCall) -> Reply:
    """Ask the user, by a page, or approve at once if the org says so; a decision sends the browser back."""
    if "ticket" in call.form:
        return _decide(call)
    try:
        app, redirect_uri = _trusted(call)
    except OAuthError as error:
        # Nobody vouches for the redirect URI, so the browser stays here.
        return _page("Error", f"<p>error={escape(error.error)}</p>\n<p>{escape(error.description)}</p>", status=400)
    try:
        request = _request(call, app, redirect_uri)
    except _RedirectedError as error:
        return _back(redirect_uri, call.form.get("state"), error.parameters)
    username = call.org.oauth.auto_approve_as
    return _ask(call, app, request) if username is None else _approve(call, request, username)


def _trusted(call: OAuthCall) -> tuple[OAuthApp, str]:
    app = call.org.oauth.apps.get(call.form.get("client_id", ""))
    if app is None:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    redirect_uri = call.form.get("redirect_uri", "")
    if not redirect_uri:
        raise OAuthError("redirect_uri_missing", "redirect_uri not provided")
    if redirect_uri not in app.callback_urls:
        raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
    return app, redirect_uri


def _request(call: OAuthCall, app: OAuthApp, redirect_uri: str) -> AuthorizationRequest:
    form = call.form
    if app.refusal:
        raise _RedirectedError(*app.refusal)
    if form.get("response_type") != "code":
        raise _RedirectedError("unsupported_response_type", "response type not supported")
    scopes = scopes_of(form.get("scope", "")) or app.scopes
    if not set(scopes) <= set(app.scopes):
        raise _RedirectedError("invalid_scope", "the requested scope is not allowed")
    challenge = form.get("code_challenge") or None
    if challenge is None and app.requires_pkce:
        raise _RedirectedError("invalid_request", "missing required code challenge")
    # S256 is the only method, so clients such as the sf CLI do not name it.
    if challenge is not None and (
        form.get("code_challenge_method", "S256") != "S256" or not _CHALLENGE.fullmatch(challenge)
    ):
        raise _RedirectedError("invalid_request", "invalid code challenge")
    return AuthorizationRequest(
        client_id=app.client_id,
        redirect_uri=redirect_uri,
        scopes=scopes,
        state=form.get("state"),
        code_challenge=challenge,
    )


def _ask(call: OAuthCall, app: OAuthApp, request: AuthorizationRequest) -> Reply:
    wanted = call.form.get("login_hint", "").casefold()
    names = sorted(
        str(user["Username"])
        for user in call.org.table("User").rows.values()
        if user.get("Username") and user.get("IsActive", True)
    )
    api_user = (call.org.get("User", call.org.user_id) or {}).get("Username")
    chosen = next((name for name in names if name.casefold() == wanted), api_user)
    users = "\n".join(f"<option{' selected' if name == chosen else ''}>{escape(name)}</option>" for name in names)
    content = _FORM.format(
        app=escape(app.label),
        scopes=escape(" ".join(request.scopes)),
        path=_PATH,
        ticket=call.org.oauth.hold_request(request),
        users=users,
    )
    return _page("Allow Access?", content)


def _decide(call: OAuthCall) -> Reply:
    request = call.org.oauth.take_request(call.form["ticket"]) if call.method == "POST" else None
    if request is None:
        return _page("Error", "<p>This page has expired. Begin again in the app.</p>", status=400)
    if call.form.get("decision") != "allow":
        refusal = {"error": "access_denied", "error_description": "end-user denied authorization"}
        return _back(request.redirect_uri, request.state, refusal)
    return _approve(call, request, call.form.get("username", ""))


def _approve(call: OAuthCall, request: AuthorizationRequest, username: str) -> Reply:
    user = call.user_named(username)
    if user is None:
        refusal = {"error": "access_denied", "error_description": "end-user denied authorization"}
        return _back(request.redirect_uri, request.state, refusal)
    call.org.oauth.consent(request.client_id, user["Id"])
    code = call.org.oauth.new_code(request, user["Id"], call.org.now())
    return _back(request.redirect_uri, request.state, {"code": code})


def _back(redirect_uri: str, state: str | None, parameters: Mapping[str, str]) -> Reply:
    query = urlencode({**parameters, **({} if state is None else {"state": state})})
    location = f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{query}"
    return Reply(status=302, headers={"Location": location, "Cache-Control": "no-store"})


def _page(title: str, content: str, *, status: int = 200) -> Reply:
    return Reply(_PAGE.format(title=title, content=content), status=status, headers=_HTML_HEADERS)


ROUTES: RouteTable = ((_PATH, ("GET", "POST"), authorize),)
