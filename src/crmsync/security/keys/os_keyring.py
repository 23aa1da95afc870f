"""``keyring:NAME``: keys in the keyring of the operating system (extra ``keyring``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from crmsync.errors import ConfigurationError, MissingExtraError
from crmsync.security.keys.local import LocalKey, TextKeys, as_text, parse_keys

SERVICE: Final = "crmsync"


class KeyringKeys(TextKeys):
    """The keys of one entry of a keyring: service ``crmsync``, user ``name``. The first encrypts.

    ``backend`` is a `keyring.backend.KeyringBackend`; by default the one that the package ``keyring`` chooses.
    """

    def __init__(self, name: str, *, backend: Any = None) -> None:
        """:raises MissingExtraError: the package is not installed."""
        if not name:
            raise ConfigurationError('a key in the keyring has a name, as in "keyring:production"')
        try:
            import keyring  # noqa: PLC0415  (an extra of its own)
            from keyring.errors import KeyringError  # noqa: PLC0415  (as above)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "keyring":
                raise
            raise MissingExtraError("keys in the operating system's keyring", "keyring") from error
        self._user = name
        self._ring = backend or keyring.get_keyring()
        self._error = KeyringError
        self.name = f"keyring entry {name}"

    def _present(self) -> Sequence[LocalKey]:
        return parse_keys(self._stored() or "")

    def _read(self) -> str:
        text = self._stored()
        if text is None:
            msg = f"the keyring has no entry {SERVICE!r} of {self._user!r}: make a key with `crmsync keys generate`"
            raise ConfigurationError(msg)
        return text

    def _stored(self) -> str | None:
        try:
            found: str | None = self._ring.get_password(SERVICE, self._user)
        except self._error as error:
            raise self._failed("read", error) from None
        return found

    def _write(self, keys: Sequence[LocalKey]) -> None:
        try:
            self._ring.set_password(SERVICE, self._user, as_text(keys))
        except self._error as error:
            raise self._failed("written", error) from None

    def _failed(self, done: str, error: Exception) -> ConfigurationError:
        return ConfigurationError(f"the keyring cannot be {done} ({type(error).__name__}); unlock it, or install one")
