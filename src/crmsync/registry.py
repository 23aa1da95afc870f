"""Providers, storages and record stores, found by entry points.

Listing imports nothing; a plug-in is loaded when it is first asked for. Our own come through the same door as a third
party's. Groups: ``crmsync.providers``, ``crmsync.storage`` (by URL scheme), ``crmsync.records`` (by ``type``),
``crmsync.keys`` (by what a reference to a key begins with), ``crmsync.suggestions`` (scorers of suggested mappings).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

from crmsync.errors import AmbiguousProviderError, ConfigurationError, UnknownProviderError
from crmsync.protocols.keys import KeySource, KeySourceFactory
from crmsync.protocols.provider import ProviderFactory

PROVIDERS = "crmsync.providers"
STORAGE = "crmsync.storage"
RECORDS = "crmsync.records"
KEYS = "crmsync.keys"
SUGGESTIONS = "crmsync.suggestions"


class Registry:
    """Looks plug-ins up by name.

    ``found`` is for tests; by default it is what is installed when it is first asked.
    """

    def __init__(self, found: Iterable[EntryPoint] | None = None) -> None:
        self._select: Callable[..., Iterable[EntryPoint]] | None = None if found is None else EntryPoints(found).select

    def names(self, group: str) -> list[str]:
        """The names offered in a group, sorted, without loading anything."""
        return sorted({entry.name for entry in self._entries(group)})

    def origin(self, group: str, name: str) -> str:
        """The distribution and version that offers a name."""
        dist = self._entry(group, name).dist
        return f"{dist.name} {dist.version}" if dist else "unknown"

    def load(self, group: str, name: str) -> Any:
        """Import and return what the entry point names.

        :raises UnknownProviderError: nobody offers it.
        :raises AmbiguousProviderError: two distributions do.
        :raises MissingExtraError: the plug-in needs packages that are not installed (raised by the plug-in itself).
        """
        return self._entry(group, name).load()

    def provider(self, name: str) -> ProviderFactory:
        """The factory of a provider.

        :raises ConfigurationError: what the entry point names is no `ProviderFactory`.
        """
        loaded = self.load(PROVIDERS, name)
        factory = loaded() if isinstance(loaded, type) else loaded
        if not isinstance(factory, ProviderFactory):
            msg = f"the entry point {name!r} of {self.origin(PROVIDERS, name)} is not a ProviderFactory"
            raise ConfigurationError(msg)
        return factory

    def key_source(self, reference: str) -> KeySource:
        """The source of vault keys that a reference names: ``env:NAME``, ``file:PATH``, ``keyring:NAME``...

        :raises UnknownProviderError: nothing installed offers this kind.
        :raises ConfigurationError: the reference is malformed. :raises MissingExtraError: it needs other packages.
        """
        kind, _, rest = reference.partition(":")
        factory: KeySourceFactory = self.load(KEYS, kind)
        return factory(rest)

    def _entries(self, group: str) -> list[EntryPoint]:
        if self._select is None:
            # This reads the metadata of every distribution that is installed: 25 ms, and a command asks twenty times.
            self._select = entry_points().select
        return list(self._select(group=group))

    def _entry(self, group: str, name: str) -> EntryPoint:
        matches = {entry.value: entry for entry in self._entries(group) if entry.name == name}
        if not matches:
            known = ", ".join(self.names(group)) or "none"
            msg = f"nothing installed offers {name!r} in {group} (installed: {known})"
            raise UnknownProviderError(msg)
        if len(matches) > 1:
            owners = ", ".join(sorted(entry.dist.name if entry.dist else entry.value for entry in matches.values()))
            msg = f"{name!r} in {group} is offered more than once, by: {owners}; uninstall all but one"
            raise AmbiguousProviderError(msg)
        return next(iter(matches.values()))
