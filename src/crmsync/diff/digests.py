"""Shadows: what a side held when it was last acknowledged, as keyed digests instead of values.

A shadow is a byte string::

    1 byte   format, 0x01
    16 bytes side hash: keyed BLAKE2b over all fields; lets an unchanged record be dropped before any field is
             looked at. Zeros mean "do not drop the next reading".
    then for each field, in order of its tag:
    3 bytes  tag: the field's name digested, the top bit set for a set-valued field
    8 bytes  keyed BLAKE2b of the value; for a set-valued field instead 2 bytes count and 8 bytes for each element

The key belongs to one integration, so equal values cannot be found across tenants, nor guessed without the key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from decimal import Context, Decimal
from typing import Final

import attrs

_FORMAT: Final = b"\x01"
_NO_HASH: Final = bytes(16)
_SET_BIT: Final = 0x800000
_TAG_MASK: Final = 0x7FFFFF

FieldDigest = bytes | frozenset[bytes]
"""8 bytes of a scalar, or one 8-byte digest for each element of a set."""


def canonical(value: object) -> bytes:
    """The bytes of a value in normal form: different values differ, equal numbers agree whatever their type."""
    match value:
        case str():
            return b"s" + value.encode("utf-8", "surrogatepass")
        case None:
            return b"0"
        case bool():
            return b"b1" if value else b"b0"
        case int():
            return b"n" + str(value).encode()
        case float() | Decimal():
            return b"n" + _number(Decimal(repr(value)) if isinstance(value, float) else value)
        case dt.datetime():
            moment = value.astimezone(dt.UTC) if value.tzinfo else value
            return b"t" + moment.isoformat().encode()
        case dt.date() | dt.time():
            return b"d" + value.isoformat().encode()
        case bytes():
            return b"y" + value
        case Mapping():
            return b"m" + _joined(sorted(_joined((canonical(k), canonical(v))) for k, v in value.items()))
        case frozenset() | set():
            return b"f" + _joined(sorted(map(canonical, value)))
        case tuple() | list():
            return b"l" + _joined(map(canonical, value))
    return b"o" + f"{type(value).__qualname__}:{value!r}".encode("utf-8", "surrogatepass")


def _number(value: Decimal) -> bytes:
    if not value.is_finite():
        return str(value).encode()
    if value == value.to_integral_value():
        return str(int(value)).encode() if abs(value.adjusted()) < 400 else str(value.normalize()).encode()  # noqa: PLR2004 (keeps 1E+999999 from becoming a million digits)
    # The default context would round at 28 digits, and two different numbers would look the same.
    return str(value.normalize(Context(prec=max(28, len(value.as_tuple().digits))))).encode()


def _joined(parts: Iterable[bytes]) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


@attrs.frozen(slots=True)
class Shadow:
    """A decoded shadow: digests by tag. A tag that is absent means that the field was never acknowledged."""

    side_hash: bytes = _NO_HASH
    fields: Mapping[int, FieldDigest] = attrs.field(factory=dict)

    def encode(self) -> bytes:
        """The byte string of the module's docstring."""
        parts = [_FORMAT, self.side_hash]
        for tag in sorted(self.fields):
            digest = self.fields[tag]
            if isinstance(digest, bytes):
                parts += (tag.to_bytes(3, "big"), digest)
            else:
                head = (tag | _SET_BIT).to_bytes(3, "big") + len(digest).to_bytes(2, "big")
                parts += (head, *sorted(digest))
        return b"".join(parts)

    @classmethod
    def decode(cls, blob: bytes) -> Shadow:
        """Read a byte string; an empty one is a shadow that knows nothing."""
        if not blob:
            return _EMPTY
        if blob[:1] != _FORMAT:
            msg = "a shadow has an unknown format; it was written by a newer crmsync"
            raise ValueError(msg)
        fields: dict[int, FieldDigest] = {}
        at, end = 17, len(blob)
        while at < end:
            tag = int.from_bytes(blob[at : at + 3], "big")
            at += 3
            if tag & _SET_BIT:
                stop = at + 2 + 8 * int.from_bytes(blob[at : at + 2], "big")
                fields[tag & _TAG_MASK] = frozenset(blob[i : i + 8] for i in range(at + 2, stop, 8))
                at = stop
            else:
                fields[tag] = blob[at : at + 8]
                at += 8
        return cls(blob[1:17], fields)


_EMPTY = Shadow()

BLANK_SHADOW: Final = _EMPTY.encode()
"""Of a linked record of which no field was ever acknowledged: its next merge is a first meeting."""


def side_hash_of(blob: bytes) -> bytes:
    """The side hash of an encoded shadow, without decoding the rest; zeros when there is none."""
    return blob[1:17] if blob else _NO_HASH


def field_tags(names: Iterable[str]) -> dict[str, int]:
    """A tag for each field name. Two names that collide take neighbouring tags, in order of name."""
    tags: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(set(names)):
        tag = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=3).digest(), "big") & _TAG_MASK
        while tag in taken:
            tag = (tag + 1) & _TAG_MASK
        taken.add(tag)
        tags[name] = tag
    return tags


@attrs.frozen(slots=True)
class Digester:
    """Digests values under one integration's key (16 to 64 bytes)."""

    key: bytes = attrs.field(repr=False)

    def scalar(self, normal: object) -> bytes:
        """8 bytes for a value in normal form."""
        return hashlib.blake2b(canonical(normal), digest_size=8, key=self.key).digest()

    def elements(self, normals: Iterable[object]) -> frozenset[bytes]:
        """8 bytes for each element."""
        return frozenset(map(self.scalar, normals))

    def side_hash(self, normals: Iterable[object]) -> bytes:
        """16 bytes for all mapped fields' normal forms, in the rules' order. Absent fields are given as MISSING."""
        return hashlib.blake2b(_joined(map(canonical, normals)), digest_size=16, key=self.key).digest()


def sync_hash(local_shadow: bytes, remote_shadow: bytes) -> str:
    """``last_sync_hash``: 64 hex characters of SHA-256 over both sides' shadows."""
    return hashlib.sha256(_joined((local_shadow, remote_shadow))).hexdigest()
