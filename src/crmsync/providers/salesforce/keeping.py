"""Keeping what the org has answered, also when the store cannot take it at once.

An app that rotates its refresh tokens gives a new one with each answer, and ends the old one without a time of grace;
whoever sends the old one again ends the new one with it ("OAuth 2.0 Refresh Token Flow for Renewed Sessions" and "Force
one-time-use Refresh Tokens", Salesforce Help). So the new one is all that is left of the sign-in.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import anyio
import attrs
import tenacity
from pydantic import SecretStr

from crmsync.errors import NotFoundError, StorageError, VaultError
from crmsync.models.secrets import Secret
from crmsync.protocols.provider import CredentialStore
from crmsync.protocols.runtime import Clock
from crmsync.providers.salesforce.oauth import TokenAnswer
from crmsync.providers.salesforce.oauth_refusals import SIGN_IN_AGAIN

_LOG = logging.getLogger(__name__)

ATTEMPTS: Final = 5
"""To store it, over some 3 seconds besides those that the store itself waits."""
PAUSE: Final = timedelta(seconds=10)
"""Until it is tried once more, while the connection goes on."""
_CLOSING: Final = 60.0
"""Seconds that a connection which closes may take to store it."""
_REFRESH: Final = "refresh_token"


@attrs.frozen(slots=True)
class _Owed:
    """What the store lacks, and the refresh token that it has instead."""

    changes: Mapping[str, SecretStr]
    replaced: SecretStr | None


class TokenKeeper:
    """Stores answers of the token endpoint, and loses no new refresh token while the store cannot take it.

    Then the connection goes on with it, and stores it at the next chance: before a later request, before it is renewed
    again, and before the connection closes.
    """

    def __init__(self, store: CredentialStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._stored: SecretStr | None = None
        self._owed: _Owed | None = None
        self._tried: datetime | None = None

    async def load(self) -> Mapping[str, SecretStr]:
        """What is stored, and over it what is not stored yet.

        :raises StorageError: it cannot be read.
        """
        stored = await self._store.load()
        self._stored = stored.get(_REFRESH)
        if self._owed is not None and self._stored != self._owed.replaced:
            # Someone signed in anew, or disconnected: what this connection was given is of no use to the others.
            self._owed = None
        return {**stored, **self._owed.changes} if self._owed else stored

    def owe(self, answer: TokenAnswer) -> None:
        """Take an answer that was got in exchange for what `load` returned last. Nothing can go between the two."""
        changes = {
            **(self._owed.changes if self._owed else {}),
            "access_token": answer.access.token,
            "instance_url": Secret(answer.access.instance_url),
        }
        if answer.refresh_token is not None:
            changes[_REFRESH] = answer.refresh_token
        self._owed = _Owed(changes, self._stored)

    async def keep(self) -> None:
        """Store what is owed, if it can be stored within some seconds. Whoever calls it has the store to himself.

        :raises NotFoundError: there is no such integration any more.
        """
        try:
            await self._repeated(self._settle)
        except NotFoundError:
            self._owed = None
            raise
        except (StorageError, VaultError) as error:
            self._tried = self._clock.now()
            if self._is_vital:
                _LOG.warning("a new refresh token is not stored yet, and tried again: %s", error.message)
            else:
                # The next connection signs in with what is stored.
                self._owed = None

    @property
    def is_due(self) -> bool:
        """Whether something is owed, and the last try is long enough ago."""
        return self._owed is not None and (self._tried is None or self._clock.now() - self._tried >= PAUSE)

    async def catch_up(self) -> None:
        """Try once to store what is owed."""
        self._tried = self._clock.now()
        try:
            await self._settle_alone()
        except (StorageError, VaultError) as error:
            _LOG.warning("a new refresh token is still not stored: %s", error.message)

    async def aclose(self) -> None:
        """Store what is owed.

        :raises StorageError: it cannot be stored, so that someone has to sign in anew.
        """
        reason = "the bookkeeping did not answer in time"
        with anyio.move_on_after(_CLOSING, shield=True):
            try:
                if self._owed is not None:
                    await self._repeated(self._settle_alone)
            except NotFoundError:
                self._owed = None
            except (StorageError, VaultError) as error:
                reason = error.message
        if self._is_vital:
            raise StorageError(
                f"Salesforce replaced the refresh token, and the new one could not be stored: {reason}."
                f" When that is mended, {SIGN_IN_AGAIN}"
            )

    @property
    def _is_vital(self) -> bool:
        return self._owed is not None and _REFRESH in self._owed.changes

    async def _settle_alone(self) -> None:
        async with self._store.exclusive():
            await self._settle()

    async def _settle(self) -> None:
        with anyio.CancelScope(shield=True):
            await self.load()
            if self._owed is not None:
                await self._store.save(self._owed.changes)
                self._owed = None

    async def _repeated(self, settle: Callable[[], Awaitable[None]]) -> None:
        retrying = tenacity.AsyncRetrying(
            sleep=self._clock.sleep,
            retry=tenacity.retry_if_exception(_may_pass),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=0.2),
            reraise=True,
        )
        await retrying(settle)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, StorageError | VaultError) and not isinstance(error, NotFoundError)
