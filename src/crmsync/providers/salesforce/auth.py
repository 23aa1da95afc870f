"""Where the ``Authorization`` header comes from, and how it is renewed."""

from __future__ import annotations

from typing import Protocol

from pydantic import SecretStr


class Authorizer(Protocol):
    """Gives the header of each request. Safe for concurrent calls."""

    async def header(self) -> str:
        """The present value of ``Authorization``."""
        ...

    async def renew(self, refused: str) -> bool:
        """Make sure that `header` differs from the refused one; False if that cannot be.

        Called by every request that was refused: when another one has renewed it meanwhile, there is nothing to do.
        """
        ...


class AccessToken:
    """A token that someone else obtained and that cannot be renewed from here."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    async def header(self) -> str:
        return f"Bearer {self._token.get_secret_value()}"

    async def renew(self, refused: str) -> bool:
        return False
