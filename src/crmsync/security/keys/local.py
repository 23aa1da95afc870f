"""Keys that this process holds, and the sources that keep them as text."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crmsync.errors import ConfigurationError, VaultError
from crmsync.models.secrets import refuse_pickling
from crmsync.security.envelope import KEY_BYTES, NONCE_BYTES, joined

_NO_KEY: Final = "a vault key is base64 of 32 bytes; make one with `crmsync keys generate` or Vault.generate_key()"


class LocalKey:
    """A `WrappingKey` of 32 bytes, used with AES-256-GCM in this process. Nothing shows or pickles it.

    Its id is the beginning of the key's SHA-256: 8 bytes, as 16 hexadecimal characters.
    """

    remote: Final = False

    def __init__(self, key: bytes) -> None:
        """:raises ConfigurationError: it has not 32 bytes."""
        if len(key) != KEY_BYTES:
            raise ConfigurationError(_NO_KEY)
        self._key = key
        self.id: Final = hashlib.sha256(key).digest()[:8].hex()

    @classmethod
    def parse(cls, text: str) -> LocalKey:
        """:raises ConfigurationError: it is not base64 of 32 bytes."""
        try:
            return cls(base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True))
        except (ValueError, binascii.Error):
            raise ConfigurationError(_NO_KEY) from None

    @classmethod
    def generate(cls) -> LocalKey:
        """A new random key."""
        return cls(os.urandom(KEY_BYTES))

    def reveal(self) -> str:
        """The key as the text to keep in a secret store. The only way to it."""
        return base64.urlsafe_b64encode(self._key).decode()

    def wrap(self, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """See `WrappingKey`: 12 bytes of nonce, then the ciphertext with its tag."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, data_key, _bound(self.id, context))

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """See `WrappingKey`."""
        return self.unwrap_bound(wrapped, _bound(self.id, context))

    def unwrap_bound(self, wrapped: bytes, bound: bytes) -> bytes:
        """The same for what was bound to these very bytes.

        :raises VaultError: ``damaged``.
        """
        try:
            return AESGCM(self._key).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound)
        except (InvalidTag, ValueError):
            raise moved_or_changed() from None

    def __repr__(self) -> str:
        return f"LocalKey({self.id})"

    def __reduce__(self) -> NoReturn:
        refuse_pickling("a vault key")


def moved_or_changed() -> VaultError:
    """The error of what does not decrypt under the right key."""
    return VaultError("the stored secret was changed, or belongs to another integration", reason="damaged")


def _bound(key_id: str, context: Mapping[str, str]) -> bytes:
    pairs = (part for name in sorted(context) for part in (name, context[name]))
    return joined("crmsync data key", key_id, *pairs)


def parse_keys(text: str) -> list[LocalKey]:
    """The keys of a text that has one a line, or separated by commas; blank lines and lines after ``#`` are left out.

    :raises ConfigurationError: there is none, or something else in it.
    """
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [LocalKey.parse(part) for line in lines for part in line.split(",") if part.strip()]


def at_least_one(keys: Sequence[LocalKey]) -> Sequence[LocalKey]:
    """The keys.

    :raises ConfigurationError: there are none.
    """
    if not keys:
        raise ConfigurationError(f"a vault needs at least one key of 32 bytes: {_NO_KEY}")
    return keys


class GivenKeys:
    """A `KeySource` of the keys it is given."""

    name = "given keys"

    def __init__(self, keys: Sequence[LocalKey]) -> None:
        self._keys = at_least_one(tuple(keys))

    def load(self) -> Sequence[LocalKey]:
        """See `KeySource`."""
        return self._keys


class TextKeys:
    """What the sources have in common that keep their keys as one text: the part of `SupportsKeyChanges`."""

    name: str

    def load(self) -> Sequence[LocalKey]:
        """See `KeySource`."""
        return at_least_one(parse_keys(self._read()))

    def generate(self) -> str:
        """See `SupportsKeyChanges`."""
        new = LocalKey.generate()
        self._write([*self._present(), new])
        return new.id

    def promote(self, key_id: str) -> None:
        """See `SupportsKeyChanges`."""
        keys = self.load()
        chosen = self._only(keys, key_id)
        self._write([chosen, *(key for key in keys if key.id != key_id)])

    def remove(self, key_id: str) -> None:
        """See `SupportsKeyChanges`."""
        keys = self.load()
        self._only(keys, key_id)
        left = [key for key in keys if key.id != key_id]
        if not left:
            raise ConfigurationError(f"{key_id} is the only key of {self.name}: generate another and rotate first")
        self._write(left)

    def _only(self, keys: Sequence[LocalKey], key_id: str) -> LocalKey:
        for key in keys:
            if key.id == key_id:
                return key
        have = ", ".join(key.id for key in keys)
        raise ConfigurationError(f"{self.name} has no key {key_id!r} (there are: {have})")

    def _present(self) -> Sequence[LocalKey]:
        """The keys there are, if any."""
        return self.load()

    def _read(self) -> str:
        raise NotImplementedError

    def _write(self, keys: Sequence[LocalKey]) -> None:
        raise NotImplementedError


def as_text(keys: Sequence[LocalKey]) -> str:
    """The text that `parse_keys` reads."""
    return "".join(f"{key.reveal()}\n" for key in keys)
