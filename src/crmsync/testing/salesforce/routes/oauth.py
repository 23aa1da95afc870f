"""Tokens and the identity of their users. OAuth errors are objects, not the arrays of the REST API."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from attrs import field, frozen

from crmsync.testing.salesforce.routes.call import Reply

if TYPE_CHECKING:
    from crmsync.testing.salesforce.org import SalesforceOrg


@frozen
class OAuthCall:
    """A request to ``/services/oauth2``: ``token`` is the bearer token, if one was sent."""

    org: SalesforceOrg
    base_url: str
    token: str | None = field(repr=False)
    form: Mapping[str, str] = field(repr=False)


def form_of(body: bytes, query: str) -> dict[str, str]:
    """Return the parameters of a form body and of the query string together."""
    pairs = parse_qsl(query, keep_blank_values=True) + parse_qsl(
        body.decode("utf-8", "replace"), keep_blank_values=True
    )
    return dict(pairs)


def token(call: OAuthCall) -> Reply:
    """Give an access token for the org's refresh token or client credentials."""
    form, oauth = call.form, call.org.oauth
    grant = form.get("grant_type")
    if grant not in ("refresh_token", "client_credentials"):
        return _refused("unsupported_grant_type", "grant type not supported")
    if form.get("client_id") != oauth.client_id:
        return _refused("invalid_client_id", "client identifier invalid")
    needs_secret = grant == "client_credentials" or "client_secret" in form
    if needs_secret and form.get("client_secret") != oauth.client_secret:
        return _refused("invalid_client", "invalid client credentials")
    if grant == "refresh_token" and form.get("refresh_token") != oauth.refresh_token:
        return _refused("invalid_grant", "expired access/refresh token")
    fresh = f"{call.org.org_id}!{secrets.token_urlsafe(24).replace('-', '.')}"
    call.org.tokens[fresh] = call.org.user_id
    body = {
        "access_token": fresh,
        "signature": secrets.token_urlsafe(32),
        "scope": "api refresh_token",
        "instance_url": call.base_url,
        "id": f"{call.base_url}/id/{call.org.org_id}/{call.org.user_id}",
        "token_type": "Bearer",
        "issued_at": str(int(call.org.now().timestamp() * 1000)),
    }
    return Reply(body)


def revoke(call: OAuthCall) -> Reply:
    """End an access token."""
    given = call.form.get("token", "")
    if given not in call.org.tokens:
        return _refused("invalid_token", "invalid token")
    del call.org.tokens[given]
    return Reply(status=200)


def userinfo(call: OAuthCall) -> Reply:
    """Tell whose the access token is."""
    user_id = call.org.tokens.get(call.token or "")
    if user_id is None:
        return Reply("Bad_OAuth_Token", status=403)
    user = call.org.get("User", user_id) or {}
    data = f"{call.base_url}/services/data/v{{version}}/"
    body: dict[str, Any] = {
        "sub": f"{call.base_url}/id/{call.org.org_id}/{user_id}",
        "user_id": user_id,
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
        "urls": {"rest": data, "sobjects": data + "sobjects/", "query": data + "query/"},
        "active": True,
        "user_type": "STANDARD",
        "language": "en_US",
        "locale": "en_US",
        "utcOffset": 0,
        "updated_at": user.get("SystemModstamp"),
    }
    return Reply(body)


def _refused(error: str, description: str) -> Reply:
    return Reply({"error": error, "error_description": description}, status=400)


ROUTES: tuple[tuple[str, tuple[str, ...], Callable[[OAuthCall], Reply]], ...] = (
    ("/services/oauth2/token", ("POST",), token),
    ("/services/oauth2/revoke", ("POST", "GET"), revoke),
    ("/services/oauth2/userinfo", ("GET", "POST"), userinfo),
)
