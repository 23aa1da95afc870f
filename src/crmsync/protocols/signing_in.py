"""How a person, or a web application for one, signs in to a CRM: an optional power of a provider's factory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs
from pydantic import SecretStr


@attrs.frozen(slots=True)
class Question:
    """Something that a way of signing in needs to know.

    ``name`` is that of a credential, or with ``setting`` that of a setting (dotted within a table). ``text`` asks a
    person for it. What is ``secret`` is not shown while it is typed. An ``optional`` one may be left empty.
    """

    name: str
    text: str
    setting: bool = False
    secret: bool = False
    optional: bool = False


@attrs.frozen(slots=True)
class SignInMethod:
    """A way of signing in. With ``browser`` what is answered begins a sign-in; else it is all that a connection needs.

    Names: ``browser``, ``jwt``, ``client-credentials``, ``cli`` (the login of the CRM's own command), ``token``.
    """

    name: str
    questions: tuple[Question, ...]
    browser: bool = False


@attrs.frozen(slots=True)
class PendingSignIn:
    """A sign-in whose user has yet to decide, in a browser sent to ``url``.

    Whoever began it keeps it for that user alone (in a server-side session, by `attrs.asdict`) until the browser comes
    back to ``redirect_uri``. ``state`` and ``verifier`` are secrets.
    """

    url: str = attrs.field(repr=False)
    redirect_uri: str
    state: str = attrs.field(repr=False)
    verifier: str = attrs.field(repr=False)


@attrs.frozen(slots=True)
class SignedIn:
    """What a sign-in brought: settings and credentials to add an integration with.

    ``granted`` is what the user allowed, in the CRM's words; ``missing`` says what is not there and what to do.
    """

    settings: Mapping[str, Any]
    credentials: Mapping[str, SecretStr]
    granted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@runtime_checkable
class SupportsSignIn(Protocol):
    """A `ProviderFactory` that people can sign in with."""

    def sign_in_methods(self) -> Sequence[SignInMethod]:
        """The ways there are, the one for most people first."""
        ...

    def begin_sign_in(
        self, settings: Mapping[str, Any], credentials: Mapping[str, SecretStr], redirect_uri: str
    ) -> PendingSignIn:
        """Make the URL to send the user's browser to. No request is made.

        :raises ConfigurationError: a setting or credential is missing or unusable.
        """
        ...

    async def finish_sign_in(
        self,
        settings: Mapping[str, Any],
        credentials: Mapping[str, SecretStr],
        pending: PendingSignIn,
        callback_url: str,
    ) -> SignedIn:
        """Exchange what the browser brought back; settings and credentials are those that it was begun with.

        :raises AuthenticationError: the user or the CRM refused, or the callback belongs to another sign-in.
        :raises ConfigurationError: the CRM is not set up for it. :raises TransientError: begin again later.
        """
        ...
