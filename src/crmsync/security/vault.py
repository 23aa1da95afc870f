r"""Envelope encryption of what an integration must keep secret.

A sealed text is base64url (without padding) of::

    1 byte    format, 0x01
    8 bytes   key id: the first 8 bytes of SHA-256 over the key-encryption key
    12 bytes  nonce of the wrapped data key
    48 bytes  the 32-byte data key under AES-256-GCM with the key-encryption key, tag included
    12 bytes  nonce of the content
    rest      the content under AES-256-GCM with the data key, tag included

Both encryptions authenticate ``crmsync\0format\0key id\0integration id\0purpose``, so a text that was moved to
another integration or put to another purpose does not decrypt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crmsync.errors import ConfigurationError

_FORMAT: Final = b"\x01"
_KEY_BYTES: Final = 32
_NONCE: Final = 12
_WRAPPED: Final = _KEY_BYTES + 16


class Vault:
    """Encrypts under the first of its keys, decrypts under any of them.

    Keys are 32 bytes, written as base64. None of them is ever shown: ``repr`` names key ids only, and pickling refuses.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            msg = "a vault needs at least one key of 32 bytes; make one with Vault.generate_key()"
            raise ConfigurationError(msg)
        self._keys = {_key_id(key): key for key in reversed(keys)}
        self._current = _key_id(keys[0])

    @staticmethod
    def generate_key() -> str:
        """A new random key, as text to keep in a secret store."""
        return base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode()

    @classmethod
    def from_key(cls, *texts: str) -> Vault:
        """A vault with these keys; the first encrypts.

        :raises ConfigurationError: a text is not base64 of 32 bytes.
        """
        return cls([_parsed(text) for text in texts])

    @classmethod
    def from_env(cls, name: str = "CRMSYNC_KEY") -> Vault:
        """A vault with the key, or comma-separated keys, of an environment variable.

        :raises ConfigurationError: it is not set, or holds no key.
        """
        text = os.environ.get(name, "")
        if not text.strip():
            msg = f"the environment variable {name} with the vault's key is not set"
            raise ConfigurationError(msg)
        return cls.from_key(*(part for part in text.split(",") if part.strip()))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Vault:
        """A vault with the keys of a file, one a line; the first encrypts.

        :raises ConfigurationError: it cannot be read, holds no key, or others than its owner may read it.
        """
        file = Path(path)
        try:
            mode, text = file.stat().st_mode, file.read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            msg = f"the vault's key file {file} cannot be read: {getattr(error, 'strerror', None) or 'not a text file'}"
            raise ConfigurationError(msg) from None
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            msg = f"the vault's key file {file} can be read by others: chmod 600 {file}"
            raise ConfigurationError(msg)
        return cls.from_key(*(line for line in text.splitlines() if line.strip()))

    def encrypt(self, plaintext: bytes, *, integration_id: str, purpose: str) -> str:
        """Seal bytes for one integration and purpose."""
        data_key, wrap_nonce, nonce = os.urandom(_KEY_BYTES), os.urandom(_NONCE), os.urandom(_NONCE)
        bound = _bound(self._current, integration_id, purpose)
        wrapped = AESGCM(self._keys[self._current]).encrypt(wrap_nonce, data_key, bound)
        sealed = AESGCM(data_key).encrypt(nonce, plaintext, bound)
        blob = _FORMAT + self._current + wrap_nonce + wrapped + nonce + sealed
        return base64.urlsafe_b64encode(blob).rstrip(b"=").decode()

    def decrypt(self, sealed: str, *, integration_id: str, purpose: str) -> bytes:
        """Open what was sealed for the same integration and purpose.

        :raises ConfigurationError: the key is not among the vault's, or the text was changed or moved.
        """
        try:
            blob = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        except (ValueError, binascii.Error):
            _refuse("is not a sealed text")
        if blob[:1] != _FORMAT or len(blob) < 1 + 8 + 2 * _NONCE + _WRAPPED:
            _refuse("has an unknown format; it may be written by a newer crmsync")
        key_id, rest = blob[1:9], blob[9:]
        if key_id not in self._keys:
            have = ", ".join(key.hex() for key in self._keys)
            _refuse(f"needs the vault key {key_id.hex()}; the vault has {have}. Bring the old key back")
        bound = _bound(key_id, integration_id, purpose)
        wrap_nonce, wrapped = rest[:_NONCE], rest[_NONCE : _NONCE + _WRAPPED]
        nonce, content = rest[_NONCE + _WRAPPED : 2 * _NONCE + _WRAPPED], rest[2 * _NONCE + _WRAPPED :]
        try:
            data_key = AESGCM(self._keys[key_id]).decrypt(wrap_nonce, wrapped, bound)
            return AESGCM(data_key).decrypt(nonce, content, bound)
        except InvalidTag:
            _refuse("was changed, or belongs to another integration")

    def __repr__(self) -> str:
        return f"Vault(current={self._current.hex()}, keys={len(self._keys)})"

    def __reduce__(self) -> NoReturn:
        msg = "a vault holds keys and is not pickled; open it again where it is needed"
        raise TypeError(msg)


def _refuse(reason: str) -> NoReturn:
    msg = f"the stored credential {reason}"
    raise ConfigurationError(msg)


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:8]


def _bound(key_id: bytes, integration_id: str, purpose: str) -> bytes:
    return b"\0".join((b"crmsync", _FORMAT, key_id.hex().encode(), integration_id.encode(), purpose.encode()))


def _parsed(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (ValueError, binascii.Error):
        msg = "a vault key is base64 of 32 bytes; make one with Vault.generate_key()"
        raise ConfigurationError(msg) from None
