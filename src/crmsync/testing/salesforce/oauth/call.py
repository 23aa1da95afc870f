"""What a sign-in handler gets, who the caller is, and how a user is found."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qsl, unquote_plus

from attrs import field, frozen

from crmsync.testing.salesforce.oauth.errors import OAuthError
from crmsync.testing.salesforce.routes.call import Reply

if TYPE_CHECKING:
    from crmsync.testing.salesforce.oauth.apps import OAuthApp
    from crmsync.testing.salesforce.org import SalesforceOrg
    from crmsync.testing.salesforce.store import Row


@frozen(kw_only=True)
class OAuthCall:
    """A request for sign-in. ``token`` is the bearer token, if one was sent; ``form`` has query and body parameters."""

    org: SalesforceOrg
    method: str
    base_url: str
    token: str | None = field(repr=False)
    params: Mapping[str, str]
    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def host(self) -> str:
        """The name that the client reached the emulator by."""
        return self.base_url.partition("://")[2].partition(":")[0]

    def identity_url(self, user_id: str) -> str:
        """The identity URL of a user."""
        return f"{self.base_url}/id/{self.org.org_id}/{user_id}"

    def is_basic(self) -> bool:
        """Whether the client authenticates by the Authorization header."""
        return self.headers.get("authorization", "").lower().startswith("basic ")

    def client_credentials(self) -> tuple[str, str | None]:
        """Return client id and secret, from the Authorization header or else from the form."""
        if not self.is_basic():
            return self.form.get("client_id", ""), self.form.get("client_secret")
        try:
            pair = base64.b64decode(self.headers["authorization"][6:].strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise invalid_client(self) from None
        # RFC 6749, section 2.3.1: both are form-encoded within the header.
        client_id, _, secret = pair.partition(":")
        return unquote_plus(client_id), unquote_plus(secret)

    def app(self) -> OAuthApp:
        """Return the app of the client id, whose secret is right where one was sent.

        :raises OAuthError: there is no such app, or the secret is wrong; a public app must not send one.
        """
        client_id, secret = self.client_credentials()
        app = self.org.oauth.apps.get(client_id)
        if app is None:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if secret and (app.client_secret is None or not secrets.compare_digest(_raw(secret), _raw(app.client_secret))):
            raise invalid_client(self)
        return app

    def confidential_app(self) -> OAuthApp:
        """Return the app, which must have sent its secret if it has one.

        :raises OAuthError: as :meth:`app`, or no secret was sent.
        """
        app = self.app()
        if app.client_secret is not None and not self.client_credentials()[1]:
            raise invalid_client(self)
        return app

    def user_named(self, username: str) -> Row | None:
        """Return the active user of a username, whose case does not matter."""
        users = self.org.table("User").rows.values()
        wanted = username.strip().casefold()
        found = (user for user in users if str(user.get("Username", "")).casefold() == wanted)
        return next((user for user in found if user.get("IsActive", True)), None)


Handler: TypeAlias = Callable[[OAuthCall], Reply]
#: Path, methods and handler of each endpoint.
RouteTable: TypeAlias = tuple[tuple[str, tuple[str, ...], Handler], ...]


def form_of(body: bytes, query: str) -> dict[str, str]:
    """Return the parameters of a form body and of the query string together."""
    text = body.decode("utf-8", "replace")
    return dict(parse_qsl(query, keep_blank_values=True) + parse_qsl(text, keep_blank_values=True))


def invalid_client(call: OAuthCall) -> OAuthError:
    """The refusal of a secret: 401 where it came in a header (RFC 6749, section 5.2)."""
    return OAuthError("invalid_client", "invalid client credentials", status=401 if call.is_basic() else 400)


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
