"""``env:NAME``: keys in an environment variable."""

from __future__ import annotations

import os
from collections.abc import Sequence

from crmsync.errors import ConfigurationError
from crmsync.security.keys.local import LocalKey, parse_keys


class EnvironmentKeys:
    """The key, or the comma-separated keys, of an environment variable; the first encrypts."""

    def __init__(self, variable: str = "CRMSYNC_KEY") -> None:
        self._variable = variable
        self.name = f"environment variable {variable}"

    def load(self) -> Sequence[LocalKey]:
        """See `KeySource`."""
        keys = parse_keys(os.environ.get(self._variable, ""))
        if not keys:
            msg = f"the environment variable {self._variable} with the vault's key is not set"
            raise ConfigurationError(msg)
        return keys
