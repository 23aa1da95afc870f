"""Envelope encryption of what an integration must keep secret.

Each integration has a data key, which encrypts what is kept secret for it. The data key stands beside it in the sealed
text, wrapped by a key-encryption key that the text names. Changing the latter re-wraps 32 bytes and leaves the content
as it is. A text opens only for the integration, the purpose and the environment that it was sealed for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Final, NoReturn

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crmsync.errors import ConfigurationError, VaultError
from crmsync.models.secrets import refuse_pickling
from crmsync.protocols.keys import REMOTE_KEY_SECONDS, KeySource, WrappingKey
from crmsync.security.envelope import CURRENT, KEY_BYTES, NONCE_BYTES, OLD, Envelope
from crmsync.security.keys.environment import EnvironmentKeys
from crmsync.security.keys.file import FileKeys
from crmsync.security.keys.local import GivenKeys, LocalKey, moved_or_changed

_REMEMBERED: Final = 1000
_ENVIRONMENT: Final = 64


class Vault:
    """Encrypts under the first of its keys, decrypts under any of them. Safe to use from several threads.

    ``environment`` (``production``, ``staging``) becomes part of what is sealed: a vault of another one refuses it even
    if it has the key. Texts sealed without one open in any, so that one can be introduced; rotating keys binds them.

    No key is ever shown: ``repr`` names key ids only, and pickling refuses.
    """

    def __init__(self, source: KeySource, *, environment: str = "") -> None:
        """:raises ConfigurationError: the source has no key, or the environment's name has over 64 bytes."""
        if len(environment.encode()) > _ENVIRONMENT:
            raise ConfigurationError(f"the name of an environment has at most {_ENVIRONMENT} bytes")
        self.source: Final = source
        self.environment: Final = environment
        self._remembered = _DataKeys()
        self.reload()

    @staticmethod
    def generate_key() -> str:
        """A new random key, as text to keep in a secret store."""
        return LocalKey.generate().reveal()

    @classmethod
    def from_key(cls, *texts: str, environment: str = "") -> Vault:
        """A vault with these keys, each base64 of 32 bytes; the first encrypts.

        :raises ConfigurationError: a text is not base64 of 32 bytes.
        """
        return cls(GivenKeys([LocalKey.parse(text) for text in texts]), environment=environment)

    @classmethod
    def from_env(cls, name: str = "CRMSYNC_KEY", *, environment: str = "") -> Vault:
        """A vault with the key, or comma-separated keys, of an environment variable.

        :raises ConfigurationError: it is not set, or holds no key.
        """
        return cls(EnvironmentKeys(name), environment=environment)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, environment: str = "") -> Vault:
        """A vault with the keys of a file, one a line; the first encrypts.

        :raises ConfigurationError: it cannot be read, holds no key, or others than its owner may read it.
        """
        return cls(FileKeys(path), environment=environment)

    def reload(self) -> None:
        """Take the keys that the source has now.

        :raises ConfigurationError: they cannot be had; the vault keeps those that it has.
        """
        keys = self.source.load()
        if not keys:
            raise ConfigurationError(f"{self.source.name} has no key for the vault")
        held = dict[str, WrappingKey]()
        for key in keys:
            held.setdefault(key.id, key)
        self._keys: Mapping[str, WrappingKey] = held
        self._first = keys[0]

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of its keys; the first encrypts."""
        return tuple(self._keys)

    @property
    def remote(self) -> bool:
        """Whether a key is elsewhere: then sealing and opening may wait for a network, and belong in a thread."""
        return any(key.remote for key in self._keys.values())

    def encrypt(self, plaintext: bytes, *, integration_id: str, purpose: str, previous: str = "") -> str:
        """Seal bytes for one integration and purpose.

        ``previous`` is the text that this one replaces: its data key stays, under the key it is under, so that whoever
        can read the old text can read the new one. Without it a new data key is made under the first key.

        :raises VaultError: ``previous`` does not open, or the first key cannot be used.
        """
        before = Envelope.parse(previous) if previous else None
        if before and before.format == CURRENT and before.environment == self.environment:
            return _sealed(before, self._data_key(before, integration_id), plaintext, integration_id, purpose)
        self.reload()
        data_key = AESGCM.generate_key(KEY_BYTES * 8)
        wrapped = self._wrapped(data_key, integration_id)
        return _sealed(wrapped, data_key, plaintext, integration_id, purpose)

    def decrypt(self, sealed: str, *, integration_id: str, purpose: str) -> bytes:
        """Open what was sealed for the same integration and purpose.

        :raises VaultError: the key is not among the vault's or cannot be used, or the text was changed or moved, or is
            of another environment.
        """
        envelope = Envelope.parse(sealed)
        self._check_environment(envelope)
        if envelope.format == OLD:
            bound = envelope.bound_as_old(integration_id, purpose)
            key = self._key(envelope.key_id)
            if not isinstance(key, LocalKey):
                raise moved_or_changed()
            return _opened(key.unwrap_bound(envelope.wrapped, bound), envelope, bound)
        data_key = self._data_key(envelope, integration_id)
        return _opened(data_key, envelope, envelope.bound(integration_id, purpose))

    def is_current(self, sealed: str) -> bool:
        """Whether `rewrap` would leave the text as it is.

        :raises VaultError: it is no sealed text.
        """
        envelope = Envelope.parse(sealed)
        held = (envelope.format, envelope.environment, envelope.key_id)
        return held == (CURRENT, self.environment, self._first.id)

    def rewrap(self, sealed: str, *, integration_id: str, purpose: str, renew: bool = False) -> str:
        """The same secret with its data key under the vault's first key, in its environment and the current format.

        With ``renew`` under a new data key as well. The text is opened first, so that none that does not open is ever
        replaced.

        :raises VaultError: as `decrypt`; or the first key cannot be used.
        """
        plaintext = self.decrypt(sealed, integration_id=integration_id, purpose=purpose)
        envelope = Envelope.parse(sealed)
        if renew or envelope.format != CURRENT or envelope.environment != self.environment:
            return self.encrypt(plaintext, integration_id=integration_id, purpose=purpose)
        if envelope.key_id == self._first.id:
            return sealed
        wrapped = self._wrapped(self._data_key(envelope, integration_id), integration_id)
        return attrs.evolve(envelope, key_id=wrapped.key_id, wrapped=wrapped.wrapped).text()

    def _wrapped(self, data_key: bytes, integration_id: str) -> Envelope:
        """A data key under the first key, and nothing sealed with it yet."""
        first = self._first
        empty = Envelope(CURRENT, self.environment, first.id, b"", b"", b"")
        return attrs.evolve(empty, wrapped=first.wrap(data_key, empty.wrapping_context(integration_id)))

    def _data_key(self, envelope: Envelope, integration_id: str) -> bytes:
        key = self._key(envelope.key_id)
        context = envelope.wrapping_context(integration_id)
        if not key.remote:
            return key.unwrap(envelope.wrapped, context)
        place = (envelope.key_id, envelope.wrapped, integration_id, envelope.environment)
        known = self._remembered.get(place)
        if known is None:
            known = key.unwrap(envelope.wrapped, context)
            self._remembered.put(place, known)
        return known

    def _key(self, key_id: str) -> WrappingKey:
        if key_id not in self._keys:
            # Whoever rotates the keys gives them to the source, and not to every process that runs.
            self.reload()
        try:
            return self._keys[key_id]
        except KeyError:
            have = ", ".join(self.key_ids)
            msg = (
                f"the stored secret needs the vault key {key_id}; {self.source.name} has {have}."
                " Nothing is lost: bring that key back"
            )
            raise VaultError(msg, reason="missing_key") from None

    def _check_environment(self, envelope: Envelope) -> None:
        if envelope.environment in {"", self.environment}:
            return
        ours = f"of {self.environment!r}" if self.environment else "of no environment"
        msg = f"the stored secret is of the environment {envelope.environment!r}, and this vault {ours}"
        raise VaultError(msg, reason="environment")

    def __repr__(self) -> str:
        where = f", environment={self.environment!r}" if self.environment else ""
        return f"Vault(current={self._first.id}, keys={len(self._keys)}{where})"

    def __reduce__(self) -> NoReturn:
        refuse_pickling("a vault")


class _DataKeys:
    """The data keys that remote keys have unwrapped of late."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[str, bytes, str, str], tuple[float, bytes]] = {}

    def get(self, place: tuple[str, bytes, str, str]) -> bytes | None:
        with self._lock:
            until, data_key = self._held.get(place, (0.0, None))
            return data_key if time.monotonic() < until else None

    def put(self, place: tuple[str, bytes, str, str], data_key: bytes) -> None:
        with self._lock:
            if len(self._held) >= _REMEMBERED:
                del self._held[next(iter(self._held))]
            self._held[place] = (time.monotonic() + REMOTE_KEY_SECONDS, data_key)


def _sealed(envelope: Envelope, data_key: bytes, plaintext: bytes, integration_id: str, purpose: str) -> str:
    nonce = os.urandom(NONCE_BYTES)
    content = AESGCM(data_key).encrypt(nonce, plaintext, envelope.bound(integration_id, purpose))
    return attrs.evolve(envelope, nonce=nonce, content=content).text()


def _opened(data_key: bytes, envelope: Envelope, bound: bytes) -> bytes:
    try:
        return AESGCM(data_key).decrypt(envelope.nonce, envelope.content, bound)
    except (InvalidTag, ValueError):
        raise moved_or_changed() from None
