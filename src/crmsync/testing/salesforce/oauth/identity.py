"""Who a token belongs to, whether it is alive, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.ids import canonical_id
from crmsync.testing.salesforce.oauth.call import OAuthCall, RouteTable, invalid_client
from crmsync.testing.salesforce.oauth.errors import OAuthError
from crmsync.testing.salesforce.routes.call import Reply

if TYPE_CHECKING:
    from crmsync.testing.salesforce.oauth.authorization_server import Session

_BAD_TOKEN: Final = Reply("Bad_OAuth_Token", status=403)


def revoke(call: OAuthCall) -> Reply:
    """End an access token, or a refresh token and all sessions of its grant. Anyone who has the token may."""
    given = call.form.get("token", "")
    grant = call.org.oauth.grant_of(given)
    if grant is not None:
        call.org.oauth.revoke_grant(grant)
    elif not call.org.oauth.end_session(given):
        raise OAuthError("invalid_token", "invalid token")
    return Reply(status=200)


def introspect(call: OAuthCall) -> Reply:
    """Tell a confidential app the state of one of its own tokens; to it all others are not active."""
    app = call.confidential_app()
    if app.client_secret is None:
        raise invalid_client(call)
    server = call.org.oauth
    given = call.form.get("token", "")
    session = server.session(given, call.org.now())
    if session is not None and session.client_id == app.client_id:
        body = _description(call, session.user_id, session.scopes, "access_token")
        end = server.session_end(session)
        times = {"exp": end, "iat": int(session.issued_at), "nbf": int(session.issued_at)}
        return Reply(body | {name: moment for name, moment in times.items() if moment is not None})
    grant = server.grant_of(given)
    if grant is not None and grant.client_id == app.client_id:
        return Reply(_description(call, grant.user_id, grant.scopes, "refresh_token"))
    return Reply({"active": False})


def _description(call: OAuthCall, user_id: str, scopes: tuple[str, ...], kind: str) -> dict[str, Any]:
    user = call.org.get("User", user_id) or {}
    return {
        "active": True,
        "scope": " ".join(scopes),
        "client_id": call.app().client_id,
        "username": user.get("Username"),
        "sub": call.identity_url(user_id),
        "token_type": kind,
    }


def userinfo(call: OAuthCall) -> Reply:
    """Tell whose the access token is."""
    session = _session(call)
    if session is None:
        return _BAD_TOKEN
    user = call.org.get("User", session.user_id) or {}
    body: dict[str, Any] = {
        "sub": call.identity_url(session.user_id),
        "user_id": session.user_id,
        "organization_id": call.org.org_id,
        "preferred_username": user.get("Username"),
        "nickname": user.get("Alias"),
        "name": user.get("Name"),
        "email": user.get("Email"),
        "email_verified": True,
        "given_name": user.get("FirstName"),
        "family_name": user.get("LastName"),
        "zoneinfo": "GMT",
        "photos": {},
        "urls": _urls(call),
        "active": True,
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": "en_US",
        "utcOffset": 0,
        "updated_at": user.get("SystemModstamp"),
    }
    return Reply(body)


def identity(call: OAuthCall) -> Reply:
    """Describe a user by their identity URL, which every token answer has as ``id``."""
    if not call.token and "oauth_token" not in call.form:
        return Reply("Missing_OAuth_Token", status=403)
    session = _session(call)
    if session is None:
        return _BAD_TOKEN
    if canonical_id(call.params["org"]) != call.org.org_id:
        return Reply("Wrong_Org", status=403)
    user_id = canonical_id(call.params["user"])
    user = None if user_id is None else call.org.get("User", user_id)
    if user_id is None or user is None:
        return Reply("Bad_Id", status=404)
    body: dict[str, Any] = {
        "id": call.identity_url(user_id),
        "asserted_user": user_id == session.user_id,
        "user_id": user_id,
        "organization_id": call.org.org_id,
        "username": user.get("Username"),
        "nick_name": user.get("Alias"),
        "display_name": user.get("Name"),
        "email": user.get("Email"),
        "email_verified": True,
        "first_name": user.get("FirstName"),
        "last_name": user.get("LastName"),
        "timezone": "GMT",
        "photos": {},
        "urls": _urls(call),
        "active": user.get("IsActive", True),
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": "en_US",
        "utcOffset": 0,
        "last_modified_date": user.get("LastModifiedDate"),
    }
    return Reply(body)


def _session(call: OAuthCall) -> Session | None:
    return call.org.oauth.use_session(call.token or call.form.get("oauth_token"), call.org.now())


def _urls(call: OAuthCall) -> dict[str, str]:
    data = f"{call.base_url}/services/data/v{{version}}/"
    short_id = call.org.org_id[:15]
    return {
        "enterprise": f"{call.base_url}/services/Soap/c/{{version}}/{short_id}",
        "partner": f"{call.base_url}/services/Soap/u/{{version}}/{short_id}",
        "rest": data,
        "sobjects": f"{data}sobjects/",
        "query": f"{data}query/",
    }


ROUTES: RouteTable = (
    ("/services/oauth2/revoke", ("POST", "GET"), revoke),
    ("/services/oauth2/introspect", ("POST",), introspect),
    ("/services/oauth2/userinfo", ("GET", "POST"), userinfo),
    ("/id/{org}/{user}", ("GET", "POST"), identity),
)
