"""The contract of the keys that protect stored secrets, and of where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

REMOTE_KEY_SECONDS = 300
"""How long a vault remembers a data key that a remote key has unwrapped."""


class WrappingKey(Protocol):
    """A key-encryption key: it encrypts the data keys of integrations and nothing else. Safe for concurrent calls.

    It may be held by a service that never gives it out (a KMS, an HSM).
    """

    @property
    def id(self) -> str:
        """What names it in a sealed text: up to 255 ASCII characters, never used for another key."""
        ...

    @property
    def remote(self) -> bool:
        """Whether each use is a call over the network. The vault then works in threads, and remembers data keys for
        `REMOTE_KEY_SECONDS`.
        """
        ...

    def wrap(self, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """Encrypt a data key of 32 bytes, bound to the context. Up to 65,535 bytes come back.

        :raises VaultError: ``unavailable``: the key cannot be used now, or not by us.
        """
        ...

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """Decrypt what `wrap` gave for the same context.

        :raises VaultError: ``damaged``: it was changed, or wrapped for another context; ``unavailable``: the key cannot
            be used now, or not by us.
        """
        ...


class KeySource(Protocol):
    """Where keys come from."""

    @property
    def name(self) -> str:
        """What it is, for people: ``file /etc/crmsync.key``. Never a key."""
        ...

    def load(self) -> Sequence[WrappingKey]:
        """The keys there are now, at least one; the first wraps new data keys. May block.

        A vault calls it when it is opened, before it wraps a new data key, and when it meets a text under a key that
        was not there the last time.

        :raises ConfigurationError: they cannot be had.
        """
        ...


@runtime_checkable
class SupportsKeyChanges(KeySource, Protocol):
    """A source that keys can be put into and taken out of. Each change is made wholly or not at all."""

    def generate(self) -> str:
        """Add a new random key, as the last. Returns its id.

        :raises ConfigurationError: the source cannot be written.
        """
        ...

    def promote(self, key_id: str) -> None:
        """Make a key the first.

        :raises ConfigurationError: it has no such key, or cannot be written.
        """
        ...

    def remove(self, key_id: str) -> None:
        """Take a key out for good. The caller knows that nothing needs it.

        :raises ConfigurationError: it has no such key, no other key, or cannot be written.
        """
        ...


class KeySourceFactory(Protocol):
    """What an entry point of the group ``crmsync.keys`` names; the entry point's name is the kind of a reference."""

    def __call__(self, reference: str) -> KeySource:
        """The source that a reference names: of ``file:crmsync.key`` this is called with ``crmsync.key``.

        :raises ConfigurationError: the reference is malformed.
        :raises MissingExtraError: it needs packages that are not installed.
        """
        ...
