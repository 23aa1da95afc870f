"""What the refusals of a sign-in mean, and what can be done about each. The reference page on errors lists them all.

The codes are those of "OAuth 2.0 Authorization Errors" (Salesforce Help), and those that an org answers for its own
policies, in capitals or not. Descriptions may quote what was sent, so none is passed on as it came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from crmsync.errors import AuthenticationError, ConfigurationError, CRMError, RateLimitedError, UnavailableError

_WORD: Final = re.compile(r"[a-z_]{3,40}")

SIGN_IN_AGAIN: Final = "sign in again with `crmsync connect salesforce`"

_NOT_APPROVED: Final = "give the user a permission set or profile that the app's policies name (Permitted Users)"
_BLOCKED: Final = "an administrator must unblock the app (Setup, OAuth Usage)"

POLICY_ADVICE: Final[Mapping[str, str]] = {
    "not admin approved": _NOT_APPROVED,
    "installed": "an administrator must install the app first (Setup, OAuth Usage), or make one in this very org",
    "ip restricted": "the app or the user's profile does not let in this machine's address, or nobody at this hour",
}
"""By a part of the description, whatever the code."""

GRANT_ADVICE: Final[Mapping[str, str]] = {
    # pozil/pub-sub-api-node-client, issue 58, has both texts of the client credentials flow.
    "request not supported on this domain": (
        "the client credentials flow works on the org's My Domain only: set instance_url to it, not to login or test"
    ),
    "no client credentials user enabled": (
        "set the user to run as in the External Client App's policies (Client Credentials Flow, Run As)"
    ),
    "hasn't approved this consumer": (
        "pre-authorize the user: in the app's policies, Admin approved users, and a permission set that the user has"
    ),
    "audience": "the assertion is for another org: correct instance_url or jwt_audience",
    "invalid assertion": "the app has no certificate for this private_key, or this machine's clock is wrong",
    "user is inactive": "the user is not active",
    "authentication failure": f"the user's password changed or expired, or the user is not active; {SIGN_IN_AGAIN}",
    "password": f"the user's password expired or must be changed: change it in the browser, then {SIGN_IN_AGAIN}",
    "code verifier": "the sign-in was not finished by the one who began it; begin it again",
    "authorization code": "the code is used up or older than 15 minutes; begin the sign-in again",
    "token": f"the refresh token is expired, revoked or replaced by a newer one; {SIGN_IN_AGAIN}",
}
"""Of ``invalid_grant``, by a part of the description."""

ASSERTION_ADVICE: Final[Mapping[str, str]] = {
    **GRANT_ADVICE,
    # The text for a code serves for assertions too (simple-salesforce, issue 491).
    "authorization code": "the assertion had expired by Salesforce's clock: correct this machine's clock (NTP)",
}
"""Of ``invalid_grant`` in answer to an assertion."""

APP_ADVICE: Final[Mapping[str, str]] = {
    "invalid_client_id": "the org knows no app with this client_id (a new one takes some minutes to be known)",
    "invalid_client": "the client_secret is wrong, missing, or sent for a public app, which has none",
    "inactive_user": "the user is not active",
    "inactive_org": "the org is locked, closed or suspended",
    "access_denied": "the user, or the app's policies, did not allow it",
    "invalid_app_access": _NOT_APPROVED,
    "oauth_app_access_denied": _NOT_APPROVED,
    "oauth_app_blocked": _BLOCKED,
    "oauth_authorization_blocked": _BLOCKED,
    "oauth_approval_error_generic": (
        "the org's policies let this user approve no app; an API-only user cannot sign in by browser, but by JWT or"
        " client credentials; any other needs the app to be installed, with the scopes that were asked for"
    ),
}
"""By the code: the app or the user is refused."""

SETUP_ADVICE: Final[Mapping[str, str]] = {
    "unsupported_grant_type": "the flow is not enabled for the app",
    "unauthorized_client": "the flow is not enabled for the app",
    "redirect_uri_mismatch": "the app's Callback URL must be the redirect address, port included",
    "redirect_uri_missing": "the app's Callback URL must be the redirect address, port included",
    "invalid_scope": "the app does not offer the scopes that were asked for",
    "unsupported_response_type": "the web server flow is not enabled for the app",
    "invalid_request": "the app asks for something that the request lacks",
}
"""By the code: the app is not set up for this."""

PASSING: Final = frozenset({"server_error", "temporarily_unavailable", "unknown_error"})
TOO_MANY: Final = "rate_limit_exceeded"
GRANT: Final = "invalid_grant"
CODES: Final = frozenset({*APP_ADVICE, *SETUP_ADVICE, *PASSING, TOO_MANY, GRANT})
"""Every code that is told apart. Any other one is an `AuthenticationError` without advice."""


class GrantRefusedError(AuthenticationError):
    """What was to be exchanged for a token (``invalid_grant``) is expired, used, revoked or not approved."""


def refusal_of(code: str, description: str, *, by_assertion: bool = False) -> CRMError:
    """The error of an OAuth refusal, by its code and its description."""
    code, text = code.lower(), description.casefold()
    policy = next((advice for part, advice in POLICY_ADVICE.items() if part in text), None)
    if code == GRANT:
        grants = ASSERTION_ADVICE if by_assertion else GRANT_ADVICE
        told = (advice for part, advice in grants.items() if part in text)
        return GrantRefusedError(f"Salesforce refused the sign-in: {policy or next(told, SIGN_IN_AGAIN)}")
    if code in SETUP_ADVICE and policy is None:
        return ConfigurationError(f"Salesforce cannot do this sign-in: {SETUP_ADVICE[code]} ({code})")
    if code in PASSING:
        return UnavailableError("Salesforce could not sign in now")
    if code == TOO_MANY:
        return RateLimitedError("Salesforce refused the sign-in: too many in an hour")
    if advice := policy or APP_ADVICE.get(code):
        return AuthenticationError(f"Salesforce refused the sign-in: {advice}")
    return AuthenticationError(f"Salesforce refused the sign-in{f' ({code})' if _WORD.fullmatch(code) else ''}")
