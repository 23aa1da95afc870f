"""A sealed text, taken apart and put together. Byte by byte it is in ``docs/reference/sealed-texts.md``."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Final

import attrs

from crmsync.errors import VaultError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_TAG: Final = 16
_OLD_WRAPPED: Final = NONCE_BYTES + KEY_BYTES + _TAG

OLD: Final = 1
"""Every text had a data key of its own, and was bound to the key it was under. Read, and no longer written."""
CURRENT: Final = 2


@attrs.frozen(slots=True)
class Envelope:
    """What a sealed text says of itself, and the ciphertexts. All but these is in clear."""

    format: int
    environment: str
    key_id: str
    wrapped: bytes = attrs.field(repr=False)
    nonce: bytes = attrs.field(repr=False)
    content: bytes = attrs.field(repr=False)

    @classmethod
    def parse(cls, sealed: str) -> Envelope:
        """:raises VaultError: ``damaged``: it is no sealed text, or one of a format that is not known."""
        try:
            blob = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise VaultError("the stored secret is not a sealed text", reason="damaged") from None
        try:
            if blob[:1] == bytes([OLD]):
                return _parse_old(blob)
            if blob[:1] == bytes([CURRENT]):
                return _parse_current(blob)
        except (struct.error, UnicodeDecodeError, IndexError):
            raise VaultError("the stored secret is cut off", reason="damaged") from None
        msg = "the stored secret has an unknown format; it may be written by a newer crmsync"
        raise VaultError(msg, reason="damaged")

    def text(self) -> str:
        """The text to store, in the current format."""
        environment, key_id = self.environment.encode(), self.key_id.encode("ascii")
        blob = b"".join(
            (
                bytes([CURRENT, len(environment)]),
                environment,
                bytes([len(key_id)]),
                key_id,
                len(self.wrapped).to_bytes(2, "big"),
                self.wrapped,
                self.nonce,
                self.content,
            )
        )
        return base64.urlsafe_b64encode(blob).rstrip(b"=").decode()

    def wrapping_context(self, integration_id: str) -> dict[str, str]:
        """What the wrapped data key is bound to."""
        context = {"crmsync:use": "data key", "crmsync:integration": integration_id}
        return {**context, "crmsync:environment": self.environment} if self.environment else context

    def bound(self, integration_id: str, purpose: str) -> bytes:
        """What the content is bound to; not to the key-encryption key, which changes under it."""
        return joined("crmsync content", str(CURRENT), self.environment, integration_id, purpose)

    def bound_as_old(self, integration_id: str, purpose: str) -> bytes:
        """What both ciphertexts of the old format are bound to."""
        return b"\0".join((b"crmsync", bytes([OLD]), self.key_id.encode(), integration_id.encode(), purpose.encode()))


def joined(*parts: str) -> bytes:
    """The parts as bytes from which they can be told apart: each with its length before it."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _parse_old(blob: bytes) -> Envelope:
    # 8 bytes of key id, the nonce and the wrapped data key, the nonce and the content.
    if len(blob) < 1 + 8 + _OLD_WRAPPED + NONCE_BYTES + _TAG:
        raise IndexError
    key_id, rest = blob[1:9].hex(), blob[9:]
    nonce_at = _OLD_WRAPPED + NONCE_BYTES
    return Envelope(OLD, "", key_id, rest[:_OLD_WRAPPED], rest[_OLD_WRAPPED:nonce_at], rest[nonce_at:])


def _parse_current(blob: bytes) -> Envelope:
    environment, rest = _part(blob[1:], ">B")
    key_id, rest = _part(rest, ">B")
    wrapped, rest = _part(rest, ">H")
    if len(rest) < NONCE_BYTES + _TAG:
        raise IndexError
    return Envelope(
        CURRENT, environment.decode(), key_id.decode("ascii"), wrapped, rest[:NONCE_BYTES], rest[NONCE_BYTES:]
    )


def _part(rest: bytes, length: str) -> tuple[bytes, bytes]:
    size = struct.calcsize(length)
    (count,) = struct.unpack(length, rest[:size])
    if len(rest) < size + count:
        raise IndexError
    return rest[size : size + count], rest[size + count :]
