"""Apps: what an admin set up as External Client Apps, and the two that every emulated org has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import Attribute, field, frozen
from attrs.validators import optional

from crmsync.testing.salesforce.oauth.keys import public_key
from crmsync.testing.salesforce.seeding import API_USERNAME

#: What other words in a ``scope`` mean the same thing ("OAuth Tokens and Scopes", Salesforce Help).
_SAME_SCOPE: Final = {"offline_access": "refresh_token"}


def texts(values: Iterable[str]) -> tuple[str, ...]:
    """Return the values as JSON lists cannot hold them: unchangeable."""
    return tuple(values)


def scopes_of(text: str) -> tuple[str, ...]:
    """Return the scopes of a ``scope`` parameter, each once, in the order given."""
    return tuple(dict.fromkeys(_SAME_SCOPE.get(word, word) for word in text.split()))


def _require_key(_app: OAuthApp, _field: Attribute[str], pem: str) -> None:
    public_key(pem)


def _require_code_and_text(_app: OAuthApp, _field: Attribute[tuple[str, ...]], refusal: tuple[str, ...]) -> None:
    if len(refusal) not in (0, 2):
        raise ValueError("a refusal is a code and a text")


@frozen(kw_only=True)
class OAuthApp:
    """An External Client App.

    :param client_id: the consumer key.
    :param client_secret: the consumer secret; ``None`` makes a public client, which must not send one.
    :param callback_urls: the redirect URIs allowed, compared as they are, port included.
    :param scopes: what a user may be asked for.
    :param public_key: PEM, a certificate or a public key, against which JWT bearer assertions are verified.
    :param rotates_refresh_tokens: whether each refresh returns a new refresh token and kills the old one; whoever sends
        that one again ends all tokens of the grant.
    :param requires_pkce: whether a user cannot be asked without a code challenge.
    :param refresh_needs_secret: whether a refresh must send the secret, if the app has one.
    :param run_as: username as whom the client credentials flow runs; ``None`` switches that flow off.
    :param preauthorized: usernames that need not consent, as JWT bearer demands; others may have consented before.
    :param refusal: the code and the text with which the org refuses whoever signs in through the app, in the browser
        and at the token endpoint, as its policies may.
    :raises ValueError: the public key is not one, or the refusal has no text.
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    name: str = ""
    callback_urls: tuple[str, ...] = field(default=(), converter=texts)
    scopes: tuple[str, ...] = field(default=("api", "refresh_token"), converter=texts)
    public_key: str | None = field(default=None, repr=False, validator=optional(_require_key))
    rotates_refresh_tokens: bool = False
    requires_pkce: bool = False
    refresh_needs_secret: bool = True
    run_as: str | None = None
    preauthorized: tuple[str, ...] = field(default=(), converter=texts)
    refusal: tuple[str, ...] = field(default=(), converter=texts, validator=_require_code_and_text)

    @property
    def label(self) -> str:
        """What the consent page calls the app."""
        return self.name or self.client_id


#: The public app of the ``sf`` CLI, which is in every real org.
PLATFORM_CLI: Final = OAuthApp(
    client_id="PlatformCLI",
    name="Salesforce CLI",
    callback_urls=("http://localhost:1717/OauthRedirect",),
    scopes=("refresh_token", "api", "web"),
)
#: A confidential app for whoever needs no particular one. Its secret is public: it guards nothing.
EMULATOR_APP: Final = OAuthApp(
    client_id="emulator-client",
    client_secret="emulator-secret",
    name="Emulator",
    callback_urls=("http://localhost:1717/OauthRedirect", "http://127.0.0.1:1717/OauthRedirect"),
    refresh_needs_secret=False,
    run_as=API_USERNAME,
)
#: A refresh token that a new org has given to :data:`EMULATOR_APP` for the API's user.
EMULATOR_REFRESH_TOKEN: Final = "emulator-refresh-token"
#: The password of the API's user.
EMULATOR_PASSWORD: Final = "emulator-password"
