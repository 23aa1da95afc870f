r"""A stream of bytes under the vault's key, of any length, in flat memory. Backups are such streams.

    8 bytes   ``CRMSYNCB``
    1 byte    format, 0x01
    4 bytes   length of the next part, big-endian; at most 65,536
    n bytes   the stream's data key, sealed by the vault (see `crmsync.security.envelope`) for the integration ``""``
              and the purpose ``backup``
    chunks    each of them:
      4 bytes   length of what follows, big-endian; at most 65,552
      n bytes   up to 65,536 bytes under AES-256-GCM with the data key, tag included

The nonce of a chunk is its number from 0 (11 bytes, big-endian) and 0x01 for the last chunk, 0x00 for all others;
SHA-256 of everything before the chunks is authenticated with each of them. So a chunk that was changed, left out, added
or moved does not open, and neither does a stream whose end is missing. The data key is used for this one stream.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Final

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crmsync.errors import StorageError
from crmsync.security.vault import Vault

MAGIC: Final = b"CRMSYNCB"
CHUNK: Final = 65_536

_FORMAT: Final = 1
_TAG: Final = 16
_PURPOSE: Final = "backup"


def sealed(vault: Vault, content: Iterable[bytes]) -> Iterator[bytes]:
    """The sealed form of a stream.

    :raises VaultError: the vault's first key cannot be used.
    """
    data_key = os.urandom(32)
    text = vault.encrypt(base64.b64encode(data_key), integration_id="", purpose=_PURPOSE).encode()
    header = MAGIC + bytes([_FORMAT]) + len(text).to_bytes(4, "big") + text
    yield header
    cipher, bound = AESGCM(data_key), hashlib.sha256(header).digest()
    number, waiting = 0, bytearray()
    for part in content:
        waiting += part
        # One chunk is always kept back: the last one has another nonce.
        while len(waiting) > CHUNK:
            yield _chunk(cipher, _nonce(number, last=False), bytes(waiting[:CHUNK]), bound)
            del waiting[:CHUNK]
            number += 1
    yield _chunk(cipher, _nonce(number, last=True), bytes(waiting), bound)


def opened(vault: Vault, stream: Iterable[bytes]) -> Iterator[bytes]:
    """What was sealed, chunk by chunk. What it yields is authentic, but complete only once it has come to its end.

    :raises StorageError: it is no such stream, is damaged or incomplete, or was written by a newer crmsync.
    :raises VaultError: its key is not among the vault's.
    """
    source = _Source(iter(stream))
    start = source.take(len(MAGIC) + 5)
    if not start.startswith(MAGIC):
        raise StorageError("this is no backup of crmsync")
    if start[len(MAGIC)] != _FORMAT:
        raise StorageError("this backup was written by a newer crmsync: upgrade crmsync")
    length = int.from_bytes(start[-4:], "big")
    if length > CHUNK:
        raise _damaged()
    text = source.take(length)
    data_key = vault.decrypt(text.decode("ascii", "replace"), integration_id="", purpose=_PURPOSE)
    cipher, bound = AESGCM(base64.b64decode(data_key)), hashlib.sha256(start + text).digest()
    number, is_last = 0, False
    while not is_last:
        length = int.from_bytes(source.take(4), "big")
        if not _TAG <= length <= CHUNK + _TAG:
            raise _damaged()
        chunk = source.take(length)
        is_last = source.is_at_end()
        try:
            yield cipher.decrypt(_nonce(number, last=is_last), chunk, bound)
        except InvalidTag:
            raise _damaged() from None
        number += 1


@attrs.define(slots=True)
class _Source:
    """Reads exact lengths from parts of any length."""

    _parts: Iterator[bytes]
    _waiting: bytearray = attrs.field(factory=bytearray)

    def take(self, count: int) -> bytes:
        """:raises StorageError: there are fewer."""
        while len(self._waiting) < count:
            part = next(self._parts, None)
            if part is None:
                raise _damaged()
            self._waiting += part
        taken = bytes(self._waiting[:count])
        del self._waiting[:count]
        return taken

    def is_at_end(self) -> bool:
        while not self._waiting:
            part = next(self._parts, None)
            if part is None:
                return True
            self._waiting += part
        return False


def _chunk(cipher: AESGCM, nonce: bytes, plain: bytes, bound: bytes) -> bytes:
    content = cipher.encrypt(nonce, plain, bound)
    return len(content).to_bytes(4, "big") + content


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _damaged() -> StorageError:
    return StorageError("the backup is damaged or incomplete: nothing was restored; take another copy of it")
