"""Where a connection's access token comes from, and how it is renewed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final, Protocol, TypeAlias

import anyio
import attrs
import httpx2
from pydantic import SecretStr

from crmsync.errors import ConfigurationError, UnavailableError
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import oauth
from crmsync.providers.salesforce.bodies import read_error
from crmsync.providers.salesforce.clocks import date_of
from crmsync.providers.salesforce.keeping import TokenKeeper
from crmsync.providers.salesforce.oauth import Access, FormRequest, TokenAnswer
from crmsync.providers.salesforce.oauth_refusals import GrantRefusedError
from crmsync.providers.salesforce.settings import SalesforceSettings

_TIMEOUT: Final = 20.0
"""Seconds that a sign-in may take; less than a store's lock holds without renewal."""


class Authorizer(Protocol):
    """Gives the access of each request. Safe for concurrent calls."""

    async def access(self) -> Access:
        """The present token, and where it is used.

        :raises AuthenticationError: there is none to be had.
        """
        ...

    async def renew(self, refused: Access) -> bool:
        """Make sure that `access` differs from the refused one; False if that cannot be.

        Called by every request that was refused: when another one has renewed it meanwhile, there is nothing to do.
        How long a token lives is not told ("OAuth 2.0 Refresh Token Flow for Renewed Sessions" has no ``expires_in``:
        it is the session time-out of the user's profile), so a refusal is what renews it.

        :raises AuthenticationError: what renews it is refused, too.
        """
        ...

    async def revoke(self) -> bool:
        """End the tokens at the CRM; False if there is none that is ours to end.

        :raises ProviderError: the CRM could not be asked, or refused.
        """
        ...

    async def aclose(self) -> None:
        """Store what could not be stored until now.

        :raises StorageError: it cannot be stored, and is lost.
        """
        ...


@attrs.frozen(slots=True)
class EndpointReply:
    """An answer of the token endpoint, and the server's time then, if it says so."""

    status: int
    body: bytes = attrs.field(repr=False)
    at: datetime | None


class TokenEndpoint:
    """Sends the forms of `oauth` and reads the answers. Nothing is retried here."""

    def __init__(self, http: httpx2.AsyncClient, settings: SalesforceSettings) -> None:
        self._http = http
        self.settings = settings

    async def exchange(self, request: FormRequest) -> TokenAnswer:
        """:raises CRMError: as `oauth.read_answer`; `UnavailableError` also if there was no answer."""
        reply = await self.ask(request)
        return oauth.read_answer(reply.status, reply.body, self.settings)

    async def revoke(self, request: FormRequest) -> None:
        """:raises CRMError: as `oauth.read_revocation`; `UnavailableError` also if there was no answer."""
        reply = await self.ask(request)
        oauth.read_revocation(reply.status, reply.body)

    async def ask(self, request: FormRequest) -> EndpointReply:
        """The answer as it came.

        :raises UnavailableError: there was none.
        """
        headers = {"Accept": "application/json"}
        timeout = min(_TIMEOUT, self.settings.timeout)
        try:
            with anyio.fail_after(timeout):
                async with self._http.stream(
                    "POST", request.url, data=dict(request.form), headers=headers, timeout=timeout
                ) as response:
                    # An answer of that size is none of a sign-in's, and is read as one that says nothing.
                    body = await read_error(response)
                    return EndpointReply(response.status_code, body, date_of(response.headers.get("Date")))
        except (httpx2.TimeoutException, TimeoutError):
            raise UnavailableError("Salesforce did not answer the sign-in in time") from None
        except (httpx2.HTTPError, OSError) as error:
            raise UnavailableError(f"Salesforce cannot be reached to sign in: {type(error).__name__}") from None


class AccessToken:
    """A token that someone else obtained and that cannot be renewed from here."""

    def __init__(self, token: SecretStr, instance_url: str, endpoint: TokenEndpoint) -> None:
        self._access = Access(token, instance_url)
        self._endpoint = endpoint

    async def access(self) -> Access:
        return self._access

    async def renew(self, refused: Access) -> bool:
        return False

    async def revoke(self) -> bool:
        await self._endpoint.revoke(oauth.revocation(self._access.instance_url, self._access.token))
        return True

    async def aclose(self) -> None:
        """Nothing is stored."""


Grant: TypeAlias = Callable[[Mapping[str, SecretStr]], Awaitable[TokenAnswer]]
"""Obtains a token for the credentials as they are now."""


class RenewableToken:
    """A token that is obtained by a grant, kept in the store for everyone else, and obtained anew when it is refused.

    ``given`` are the credentials that the connection was opened with; the store's, where it has them, are newer.
    """

    def __init__(
        self, grant: Grant, given: Mapping[str, SecretStr], context: ProviderContext, endpoint: TokenEndpoint
    ) -> None:
        self._grant = grant
        self._given = given
        self._store = context.credentials
        self._keeper = TokenKeeper(context.credentials, context.clock)
        self._endpoint = endpoint
        self._lock = anyio.Lock()
        self._present = self._access_in(given)

    async def access(self) -> Access:
        if self._present is None:
            await self._replace(None)
        elif self._keeper.is_due:
            async with self._lock:
                if self._keeper.is_due:
                    await self._keeper.catch_up()
        assert self._present is not None
        return self._present

    async def renew(self, refused: Access) -> bool:
        await self._replace(refused)
        return True

    async def revoke(self) -> bool:
        held = await self._held()
        access = self._access_in(held)
        token = held.get("refresh_token") or (access.token if access else None)
        if token is None:
            return False
        origin = self._endpoint.settings.instance_url
        assert origin is not None
        await self._endpoint.revoke(oauth.revocation(origin, token))
        return True

    async def aclose(self) -> None:
        await self._keeper.aclose()

    async def _replace(self, refused: Access | None) -> None:
        """Have another token than the refused one; one task and one process at a time."""
        async with self._lock:
            if self._present != refused:
                return
            async with self._store.exclusive():
                held = await self._held()
                known = self._access_in(held)
                if known is not None and not _is_same(known, refused):
                    self._present = known
                    return
                self._present = await self._obtained(held, refused)

    async def _obtained(self, held: Mapping[str, SecretStr], refused: Access | None) -> Access:
        try:
            return await self._kept(held)
        except GrantRefusedError:
            # Someone may have signed in again, or renewed it after this process was thought dead.
            newer = await self._held()
            known = self._access_in(newer)
            if known is not None and not _is_same(known, refused) and known != self._access_in(held):
                return known
            if newer.get("refresh_token") == held.get("refresh_token"):
                raise
        return await self._kept(newer)

    async def _kept(self, held: Mapping[str, SecretStr]) -> Access:
        """Obtain a token, and keep what comes before it is used."""
        # Cancelled before it is owed, a rotated refresh token would be lost: the old one is dead.
        with anyio.CancelScope(shield=True):
            answer = await self._grant(held)
            self._keeper.owe(answer)
        await self._keeper.keep()
        return answer.access

    async def _held(self) -> Mapping[str, SecretStr]:
        return {**self._given, **await self._keeper.load()}

    def _access_in(self, held: Mapping[str, SecretStr]) -> Access | None:
        token, address = held.get("access_token"), held.get("instance_url")
        settings = self._endpoint.settings
        if token is None or (address is None and settings.instance_url is None):
            return None
        known = address.get_secret_value() if address else settings.instance_url or ""
        return Access(token, oauth.trusted_address(known, settings))


def _is_same(known: Access, refused: Access | None) -> bool:
    return refused is not None and known.token == refused.token


async def pem_of(private_key: SecretStr) -> str:
    """The PEM text of a private key that is given as such, or as ``file:PATH``.

    :raises ConfigurationError: the file cannot be read.
    """
    text = private_key.get_secret_value()
    if not text.startswith("file:"):
        return text
    path = anyio.Path(text.removeprefix("file:"))
    try:
        return await path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise ConfigurationError(f"private_key: the file {path} cannot be read: {reason}") from None
