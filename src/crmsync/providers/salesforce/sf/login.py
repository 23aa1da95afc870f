"""A login borrowed from the Salesforce CLI of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from crmsync.errors import ConfigurationError, UnexpectedResponseError
from crmsync.models.secrets import Secret
from crmsync.providers.salesforce import oauth
from crmsync.providers.salesforce.oauth import Access
from crmsync.providers.salesforce.settings import SalesforceSettings
from crmsync.providers.salesforce.sf.process import SfProcess, open_sf


class SfLogin:
    """Asks ``sf`` for the access token of ``sf.org``; asks again when the token is refused.

    ``sf org display`` comes first: it calls the org, and so renews a session that has ended. It shows no token any
    more; ``sf org auth show-access-token`` does (both: Salesforce CLI Command Reference, "org Commands").
    """

    def __init__(self, settings: SalesforceSettings) -> None:
        self._settings = settings
        self._lock = anyio.Lock()
        self._present: Access | None = None

    async def access(self) -> Access:
        """See `Authorizer`."""
        async with self._lock:
            if self._present is None:
                self._present = await self._asked()
            return self._present

    async def renew(self, refused: Access) -> bool:
        """See `Authorizer`."""
        async with self._lock:
            if self._present == refused:
                self._present = await self._asked()
            return self._present != refused

    async def revoke(self) -> bool:
        """The login is the CLI's and stays. ``sf org logout`` removes it from the machine; it asks the org nothing."""
        return False

    async def aclose(self) -> None:
        """See `Authorizer`."""

    async def _asked(self) -> Access:
        async with open_sf(self._settings.sf) as sf:
            display = await self._answer(sf, "org", "display")
            shown = await self._answer(sf, "org", "auth", "show-access-token")
        address, token = display.get("instanceUrl"), shown.get("accessToken")
        if not isinstance(address, str) or not isinstance(token, str) or not token.isascii() or " " in token:
            raise UnexpectedResponseError("the Salesforce CLI did not tell the org's address and token")
        # The CLI may store the address with a slash at the end.
        origin = oauth.trusted_address(address, self._settings)
        if self._settings.instance_url not in (None, origin):
            raise ConfigurationError("sf.org is logged in to another org than instance_url names")
        return Access(Secret(token), origin)

    async def _answer(self, sf: SfProcess, *words: str) -> Mapping[str, Any]:
        assert self._settings.sf.org is not None
        result = await sf.call(*words, "--target-org", self._settings.sf.org)
        return result if isinstance(result, Mapping) else {}
