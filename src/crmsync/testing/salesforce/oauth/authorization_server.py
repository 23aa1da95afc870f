"""What an org has granted: sessions, refresh tokens, authorization codes and consents, with their ends."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict, define, evolve, field, frozen

from crmsync.testing.salesforce.oauth.apps import (
    EMULATOR_APP,
    EMULATOR_PASSWORD,
    EMULATOR_REFRESH_TOKEN,
    PLATFORM_CLI,
    OAuthApp,
    texts,
)
from crmsync.testing.salesforce.seeding import API_USERNAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

#: "OAuth 2.0 Web Server Flow for Web App Integration" (Salesforce Help): a code expires after 15 minutes.
CODE_LIFETIME: Final = timedelta(minutes=15)
_MAX_OPEN_REQUESTS: Final = 100


@frozen(kw_only=True)
class Grant:
    """What a user let an app do. Tokens of one grant are revoked together; ``id`` outlives each of them."""

    id: str
    client_id: str
    user_id: str
    scopes: tuple[str, ...] = field(converter=texts)


@frozen(kw_only=True)
class Session:
    """What an access token stands for. Times are seconds of the epoch; ``active_at`` is the last activity noted."""

    user_id: str
    issued_at: float
    active_at: float
    client_id: str | None = None
    scopes: tuple[str, ...] = field(default=("full",), converter=texts)
    grant_id: str | None = None


@frozen(kw_only=True)
class AuthorizationRequest:
    """What an app asks of a user, checked."""

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...] = field(converter=texts)
    state: str | None
    code_challenge: str | None


@frozen(kw_only=True)
class Code:
    """A code on its way from the user's browser to the app."""

    request: AuthorizationRequest
    user_id: str
    expires_at: float


@define
class AuthorizationServer:
    """The sign-in of one org; the org's lock guards it. Whatever is asked for by a token is ``None`` if it is dead.

    :param session_lifetime: how long a session may be idle; ``None``, as tests of other things like it, is for ever.
    :param auto_approve_as: username for whom every request is approved without a page, ``None`` to show the page.
    :param allow_password_flow: OAuth username-password flow, which orgs since Summer '23 block.
    :param allow_soap_login: SOAP ``login()``, which orgs as of 2026 have to enable.
    :param passwords: by username, each as it is sent: followed by the security token where there is one.
    """

    org_id: str
    session_lifetime: timedelta | None = None
    auto_approve_as: str | None = None
    allow_password_flow: bool = False
    allow_soap_login: bool = True
    passwords: dict[str, str] = field(factory=dict, repr=False)
    apps: dict[str, OAuthApp] = field(factory=dict)
    _sessions: dict[str, Session] = field(factory=dict, repr=False)
    _refresh_tokens: dict[str, Grant] = field(factory=dict, repr=False)
    _replaced: dict[str, Grant] = field(factory=dict, repr=False)
    _codes: dict[str, Code] = field(factory=dict, repr=False)
    _consents: set[tuple[str, str]] = field(factory=set)
    _open_requests: dict[str, AuthorizationRequest] = field(factory=dict, repr=False)

    def add_app(self, app: OAuthApp) -> None:
        """Set up an app, or change the one of this client id."""
        self.apps[app.client_id] = app

    # Sessions

    def add_session(self, token: str, user_id: str, now: datetime) -> None:
        """Accept a token of the caller's choice, with every right, as if the user had signed in by browser."""
        self._sessions[token] = Session(user_id=user_id, issued_at=now.timestamp(), active_at=now.timestamp())

    def open_session(self, user_id: str, now: datetime, *, grant: Grant | None = None) -> str:
        """Return a new access token, in the form of a real org's."""
        token = f"{self.org_id[:15]}!AQ{_secret(72)}"
        moment = now.timestamp()
        session = Session(user_id=user_id, issued_at=moment, active_at=moment)
        if grant is not None:
            session = evolve(session, client_id=grant.client_id, scopes=grant.scopes, grant_id=grant.id)
        self._sessions[token] = session
        return token

    def session(self, token: str | None, now: datetime) -> Session | None:
        """Return the live session of a token."""
        found = self._sessions.get(token or "")
        if found is None or token is None or self.session_lifetime is None:
            return found
        if now.timestamp() >= found.active_at + self.session_lifetime.total_seconds():
            del self._sessions[token]
            return None
        return found

    def use_session(self, token: str | None, now: datetime) -> Session | None:
        """Return the live session of a token, and note the activity.

        "Modify Session Security Settings" (Salesforce Help): the last activity is not noted before half of the
        time-out has passed.
        """
        found = self.session(token, now)
        if found is None or token is None or self.session_lifetime is None:
            return found
        if now.timestamp() >= found.active_at + self.session_lifetime.total_seconds() / 2:
            self._sessions[token] = evolve(found, active_at=now.timestamp())
        return found

    def session_end(self, session: Session) -> int | None:
        """Return the second in which a session ends if nobody uses it."""
        if self.session_lifetime is None:
            return None
        return int(session.active_at + self.session_lifetime.total_seconds())

    def end_session(self, token: str) -> bool:
        """End a session; ``False`` if there is none."""
        return self._sessions.pop(token, None) is not None

    def end_sessions(self) -> None:
        """End every session; refresh tokens stay good."""
        self._sessions.clear()

    @property
    def session_count(self) -> int:
        """How many access tokens are accepted, those that nobody used since they timed out among them."""
        return len(self._sessions)

    # Grants

    def consent(self, client_id: str, user_id: str) -> None:
        """Note that a user let an app in."""
        self._consents.add((client_id, user_id))

    def has_consented(self, client_id: str, user_id: str) -> bool:
        """Whether a user let the app in before."""
        return (client_id, user_id) in self._consents

    def new_grant(self, client_id: str, user_id: str, scopes: Iterable[str]) -> Grant:
        """Return a grant that no token belongs to yet."""
        return Grant(id=_secret(16), client_id=client_id, user_id=user_id, scopes=tuple(scopes))

    def add_refresh_token(self, token: str, grant: Grant) -> None:
        """Accept a refresh token of the caller's choice."""
        self._refresh_tokens[token] = grant

    def new_refresh_token(self, grant: Grant) -> str:
        """Return a new refresh token."""
        token = f"5Aep861{_secret(64)}"
        self._refresh_tokens[token] = grant
        return token

    def grant_of(self, refresh_token: str) -> Grant | None:
        """Return what a refresh token stands for."""
        return self._refresh_tokens.get(refresh_token)

    def replace_refresh_token(self, token: str) -> str:
        """Return a new refresh token in place of another, which dies; the sessions it opened go on."""
        grant = self._refresh_tokens.pop(token)
        self._replaced[token] = grant
        return self.new_refresh_token(grant)

    def end_reused(self, token: str) -> None:
        """Revoke the grant of a refresh token that was replaced, for whoever sends it again may have stolen it.

        "Force one-time-use Refresh Tokens" (Salesforce Help, 005316711): at once, with no time of grace.
        """
        if token in self._replaced:
            self.revoke_grant(self._replaced[token])

    def revoke_grant(self, grant: Grant) -> None:
        """Kill every refresh token and every session of a grant."""
        self._refresh_tokens = {t: held for t, held in self._refresh_tokens.items() if held.id != grant.id}
        self._replaced = {t: held for t, held in self._replaced.items() if held.id != grant.id}
        self._sessions = {t: held for t, held in self._sessions.items() if held.grant_id != grant.id}

    # Requests and codes

    def hold_request(self, request: AuthorizationRequest) -> str:
        """Keep a request until its user decides, and return the ticket that the decision must bring."""
        while len(self._open_requests) >= _MAX_OPEN_REQUESTS:
            del self._open_requests[next(iter(self._open_requests))]
        ticket = _secret(24)
        self._open_requests[ticket] = request
        return ticket

    def take_request(self, ticket: str) -> AuthorizationRequest | None:
        """Return the request of a ticket, once."""
        return self._open_requests.pop(ticket, None)

    def new_code(self, request: AuthorizationRequest, user_id: str, now: datetime) -> str:
        """Return a code for a request that the user approved."""
        code = f"aPrx{_secret(48)}"
        self._codes[code] = Code(request=request, user_id=user_id, expires_at=(now + CODE_LIFETIME).timestamp())
        return code

    def take_code(self, code: str) -> Code | None:
        """Return what a code stands for, once; it may have expired."""
        return self._codes.pop(code, None)

    # State

    def dump(self) -> dict[str, Any]:
        """Return apps, sessions, refresh tokens and consents as JSON. Codes and open requests are too short-lived."""
        return {
            "apps": [asdict(app) for app in self.apps.values()],
            "sessions": {token: asdict(session) for token, session in self._sessions.items()},
            "refresh_tokens": {token: asdict(grant) for token, grant in self._refresh_tokens.items()},
            "replaced_refresh_tokens": {token: asdict(grant) for token, grant in self._replaced.items()},
            "consents": sorted(map(list, self._consents)),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`dump` returned. Sessions that are open stay good, so that nobody saws off their branch.

        :raises ValueError: the document is not such a state. Nothing is then changed.
        """
        try:
            apps = {app["client_id"]: OAuthApp(**app) for app in state["apps"]}
            sessions = {token: Session(**session) for token, session in state["sessions"].items()}
            refresh_tokens = {token: Grant(**grant) for token, grant in state["refresh_tokens"].items()}
            # Not in the states of earlier versions.
            replaced = {token: Grant(**grant) for token, grant in state.get("replaced_refresh_tokens", {}).items()}
            consents = {(client_id, user_id) for client_id, user_id in state["consents"]}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a sign-in state of this emulator") from error
        self.apps |= apps
        self._sessions = sessions | self._sessions
        self._refresh_tokens = refresh_tokens
        self._replaced = replaced
        self._consents = consents


def new_server(org_id: str, user_id: str, apps: Iterable[OAuthApp]) -> AuthorizationServer:
    """Return the sign-in of a new org: the built-in apps and further ones, and a refresh token for the API's user."""
    server = AuthorizationServer(org_id, passwords={API_USERNAME: EMULATOR_PASSWORD})
    for app in (PLATFORM_CLI, EMULATOR_APP, *apps):
        server.add_app(app)
    grant = server.new_grant(EMULATOR_APP.client_id, user_id, EMULATOR_APP.scopes)
    server.add_refresh_token(EMULATOR_REFRESH_TOKEN, grant)
    server.consent(EMULATOR_APP.client_id, user_id)
    return server


def _secret(size: int) -> str:
    # Only what the CLI's check of an access token allows behind the "!": word characters and full stops.
    return secrets.token_urlsafe(size).replace("-", ".")
