"""Signing in by browser: the web server flow with PKCE, and what each other way needs to know.

"OAuth 2.0 Web Server Flow for Web App Integration" and "Proof Key for Code Exchange (PKCE) Extension" (Salesforce
Help). A confidential client sends the verifier and its secret, a public one the verifier alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from pydantic import SecretStr, ValidationError

from crmsync.errors import AuthenticationError, ConfigurationError
from crmsync.protocols.signing_in import PendingSignIn, Question, SignedIn, SignInMethod
from crmsync.providers.salesforce import oauth
from crmsync.providers.salesforce.auth import TokenEndpoint
from crmsync.providers.salesforce.credentials import SalesforceCredentials
from crmsync.providers.salesforce.oauth_refusals import refusal_of
from crmsync.providers.salesforce.settings import SalesforceSettings, faults_of, read_settings

AUTHORIZE_PATH: Final = "/services/oauth2/authorize"
SCOPES: Final = ("api", "refresh_token")

_MY_DOMAIN: Final = Question(
    "instance_url", "My Domain of the org, such as https://acme.my.salesforce.com", setting=True
)
_CLIENT_ID: Final = Question("client_id", "Consumer key of the External Client App")
METHODS: Final = (
    SignInMethod(
        "browser",
        (
            _MY_DOMAIN,
            _CLIENT_ID,
            Question("client_secret", "Consumer secret (empty for an app without one)", secret=True, optional=True),
        ),
        browser=True,
    ),
    SignInMethod(
        "jwt",
        (
            _MY_DOMAIN,
            _CLIENT_ID,
            Question("username", "Username to sign in as"),
            Question("private_key", "RSA private key in PEM", secret=True),
        ),
    ),
    SignInMethod(
        "client-credentials",
        (_MY_DOMAIN, _CLIENT_ID, Question("client_secret", "Consumer secret", secret=True)),
    ),
    SignInMethod("cli", (Question("sf.org", "Alias or username of an org in `sf org list`", setting=True),)),
    SignInMethod("token", (_MY_DOMAIN, Question("access_token", "Access token", secret=True))),
)


def begin(settings: Mapping[str, Any], credentials: Mapping[str, SecretStr], redirect_uri: str) -> PendingSignIn:
    """See `SupportsSignIn.begin_sign_in`."""
    checked = read_settings(settings)
    app = _app(checked, credentials)
    # RFC 7636 also allows "~" in a verifier, which Salesforce refuses; token_urlsafe has none.
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": app["client_id"].get_secret_value(),
        "redirect_uri": redirect_uri,
        "scope": " ".join(SCOPES),
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    url = f"{checked.instance_url}{AUTHORIZE_PATH}?{urlencode(query)}"
    return PendingSignIn(url, redirect_uri, state, verifier)


async def finish(
    endpoint: TokenEndpoint, credentials: Mapping[str, SecretStr], pending: PendingSignIn, callback_url: str
) -> SignedIn:
    """See `SupportsSignIn.finish_sign_in`."""
    app = _app(endpoint.settings, credentials)
    code = _code(pending, callback_url)
    origin = endpoint.settings.instance_url
    assert origin is not None
    request = oauth.authorization_code(
        origin, app, code=code, redirect_uri=pending.redirect_uri, verifier=pending.verifier
    )
    answer = await endpoint.exchange(request)
    address = answer.access.instance_url
    if answer.refresh_token is not None:
        kept = {"refresh_token": answer.refresh_token, **app}
    else:
        kept = {"access_token": answer.access.token}
    return SignedIn({"instance_url": address}, kept, answer.scopes, tuple(_missing(answer)))


def _app(settings: SalesforceSettings, credentials: Mapping[str, SecretStr]) -> dict[str, SecretStr]:
    """The app's credentials."""
    faults = [] if settings.instance_url else ["the setting instance_url: missing"]
    faults += [] if "client_id" in credentials else ["client_id: missing"]
    named = {name: value for name, value in credentials.items() if name in ("client_id", "client_secret")}
    try:
        app = SalesforceCredentials.model_validate(named)
    except ValidationError as error:
        faults += faults_of(error, SalesforceCredentials)
    if faults:
        raise ConfigurationError(f"Salesforce credentials: {'; '.join(faults)}")
    return {name: value for name, value in app if value is not None}


def _code(pending: PendingSignIn, callback_url: str) -> str:
    """The code in a callback that belongs to the sign-in, of a user who allowed it."""
    found = {name: values[0] for name, values in parse_qs(urlsplit(callback_url).query).items()}
    if not hmac.compare_digest(found.get("state", "").encode(), pending.state.encode()):
        raise AuthenticationError("the callback belongs to another sign-in (its state differs); begin again")
    if "error" in found:
        raise refusal_of(found["error"], found.get("error_description", ""))
    if not found.get("code"):
        raise AuthenticationError("the callback brings no code; begin again")
    return found["code"]


def _missing(answer: oauth.TokenAnswer) -> list[str]:
    missing = []
    if answer.refresh_token is None:
        missing.append(
            "no refresh token was granted, so this ends with the session: give the app the scope 'Perform requests at"
            " any time (refresh_token, offline_access)'"
        )
    if not {"api", "full"} & set(answer.scopes):
        missing.append("no access to the API was granted: give the app the scope 'Manage user data via APIs (api)'")
    return missing
