"""The API version: the newest that both the org and this library know, or the one that the settings ask for.

Each release of Salesforce adds one; a sandbox on the preview of the next release has it weeks before production, and
loses it when it is refreshed from there. Old ones are retired, and answer 410 ("API End-of-Life Policy", REST API
Developer Guide); one that an org never had answers 404 like any other unknown URL.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import anyio

from crmsync.errors import ConfigurationError, UnexpectedResponseError

NEWEST: Final = 68
"""Winter '27, the newest API version that this library was written for."""
OLDEST: Final = 46
"""The first with collection upserts, and with the answers to an upsert that we rely on."""

_MEMORY: Final = "api_version"


class VersionInUse:
    """The version that a connection uses: the one of the settings, else the one that an earlier connection negotiated.

    ``listed`` asks the org which it offers. Safe for concurrent calls: it is asked once.
    """

    def __init__(
        self, configured: str | None, memory: MutableMapping[str, str], listed: Callable[[], Awaitable[list[int]]]
    ) -> None:
        self._configured = configured
        self._memory = memory
        self._listed = listed
        self._lock = anyio.Lock()
        self.forget()

    def forget(self) -> None:
        """Find out anew, except for what the settings ask for."""
        self._version = self._configured
        self._checked = False

    async def in_use(self) -> str:
        """The version, such as ``68.0``.

        :raises ConfigurationError: the org and this library have none in common.
        """
        async with self._lock:
            if self._version is None:
                self._version = self._memory.get(_MEMORY) or await self._negotiated()
            return self._version

    async def replaced(self, used: str) -> bool:
        """Whether the org no longer knows the version just used, and another one is in use now.

        :raises ConfigurationError: the settings ask for a version that the org does not offer.
        """
        async with self._lock:
            if self._checked:
                return self._version != used
            if self._configured is not None:
                self._checked = True
                check_configured(used, await self._listed())
                return False
            self._version = await self._negotiated()
            return self._version != used

    async def _negotiated(self) -> str:
        chosen = newest_of_both(await self._listed())
        self._memory[_MEMORY] = chosen
        self._checked = True
        return chosen


def offered(body: Any) -> list[int]:
    """The versions in the answer of ``/services/data``, ascending ("Versions", REST API Developer Guide).

    :raises UnexpectedResponseError: it lists none.
    """
    try:
        found = sorted(int(str(entry["version"]).partition(".")[0]) for entry in body)
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedResponseError("Salesforce's list of API versions is not as documented") from error
    if not found:
        raise UnexpectedResponseError("Salesforce's list of API versions is empty")
    return found


def newest_of_both(versions: list[int]) -> str:
    """The version to use of those that an org offers.

    :raises ConfigurationError: the org is too old, or too new.
    """
    usable = [version for version in versions if OLDEST <= version <= NEWEST]
    if not usable:
        raise ConfigurationError(
            f"the org offers API versions {versions[0]}.0 to {versions[-1]}.0, and this crmsync works with {OLDEST}.0"
            f" to {NEWEST}.0; {'upgrade crmsync' if versions[0] > NEWEST else 'the org is too old'}"
        )
    return f"{usable[-1]}.0"


def check_configured(version: str, versions: list[int]) -> None:
    """Make sure that the org offers the version which the settings ask for.

    :raises ConfigurationError: it does not.
    """
    if int(version.partition(".")[0]) not in versions:
        raise ConfigurationError(
            f"the org does not offer API version {version} (it offers {versions[0]}.0 to {versions[-1]}.0): set"
            f" api_version to one of these, or leave it out"
        )
