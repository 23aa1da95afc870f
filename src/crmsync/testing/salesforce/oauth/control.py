"""Sign-in by the control API: apps, consent without a browser, ends of sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from crmsync.testing.salesforce.oauth.apps import OAuthApp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crmsync.testing.salesforce.org import SalesforceOrg


def set_sign_in(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Change the sign-in, all or nothing, and return what it is now.

    ``apps`` are arguments of :class:`OAuthApp` each; ``auto_approve_as`` a username, or null to ask by a page;
    ``session_seconds`` or null; ``passwords`` by username; ``allow_password_flow`` and ``allow_soap_login``;
    ``expire_sessions`` true to end all.
    """
    apps = [OAuthApp(**app) for app in body.get("apps", ())]
    seconds = body.get("session_seconds")
    lifetime = None if seconds is None else timedelta(seconds=float(seconds))
    passwords = {str(name).casefold(): str(word) for name, word in body.get("passwords", {}).items()}
    server = org.oauth
    for app in apps:
        server.add_app(app)
    server.passwords |= passwords
    if "session_seconds" in body:
        server.session_lifetime = lifetime
    if "auto_approve_as" in body:
        server.auto_approve_as = body["auto_approve_as"]
    for name in ("allow_password_flow", "allow_soap_login"):
        if name in body:
            setattr(server, name, bool(body[name]))
    if body.get("expire_sessions"):
        server.end_sessions()
    return {
        "apps": sorted(server.apps),
        "auto_approve_as": server.auto_approve_as,
        "session_seconds": None if server.session_lifetime is None else server.session_lifetime.total_seconds(),
        "allow_password_flow": server.allow_password_flow,
        "allow_soap_login": server.allow_soap_login,
        "sessions": server.session_count,
    }
