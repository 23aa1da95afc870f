"""Shadows: what a side held when it was last acknowledged, as keyed digests instead of values.

A shadow is a byte string::

    1 byte   format: 0x02; plus 0x01 if some field is held back (parked, rejected): its digest is older than the
             reading; plus 0x04 if the reading is of the record as its side showed it, not as we expect it after a
             write; plus 0x08 if the record is gone, and this is what it held
    8 bytes  reading: keyed BLAKE2b over all mapped values as they were read, and the mapping's version; lets a record
             that is read as it was last time be dropped before any field is looked at. Zeros equal no reading.
    2 bytes  how many single-valued fields follow
    then for each of them, in order of its tag:
    3 bytes  tag: the field's name digested
    6 bytes  keyed BLAKE2b of the value in normal form
    then for each set-valued field 3 bytes tag, 2 bytes count, and 6 bytes for each element, in order of their digests

An edit goes unseen if its digest is that of the value before: one in 281 trillion. The key belongs to one integration,
so equal values cannot be found across tenants, nor guessed without the key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import marshal
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Context, Decimal
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import Final, cast

import attrs

_FORMAT: Final = 0x02
_HELD: Final = 0x01
_SEEN: Final = 0x04
_GONE: Final = 0x08
FORMATS: Final = frozenset(
    _FORMAT | held | seen | gone for held in (0, _HELD) for seen in (0, _SEEN) for gone in (0, _GONE)
)
"""What an encoded shadow may begin with. Those without `_SEEN` and `_GONE` were all there was at first."""

NO_READING: Final = bytes(8)
_SIZE: Final = 6
_READING: Final = slice(1, 9)
HEAD: Final = 11
"""Where the first field of an encoded shadow begins."""

_PAIR: Final = struct.Struct("3s6s")
_TAGS: Final = 1 << 24

FieldDigest = bytes | frozenset[bytes]
"""6 bytes of a scalar, or one 6-byte digest for each element of a set."""


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


def elements_from(blob: bytes, at: int) -> Iterator[tuple[bytes, FieldDigest]]:
    """The set-valued fields of an encoded shadow, from where they begin: tag, and digests of the elements."""
    while at < len(blob):
        tag, first = blob[at : at + 3], at + 5
        at = first + _SIZE * int.from_bytes(blob[at + 3 : first], "big")
        yield tag, frozenset(blob[i : i + _SIZE] for i in range(first, at, _SIZE))


def beginning(reading: bytes, *, settled: bool, seen: bool) -> bytes:
    """The first 9 bytes of an encoded shadow."""
    return bytes((_FORMAT | (0 if settled else _HELD) | (_SEEN if seen else 0),)) + reading


@attrs.frozen(slots=True)
class Shadow:
    """A decoded shadow: digests by tag. A tag that is absent means that the field was never acknowledged.

    ``settled`` False: a field is held back, so that an equal ``reading`` does not make every field unchanged. ``seen``:
    the side showed the record as ``reading`` has it, so that a different reading is a change of its values.
    """

    reading: bytes = NO_READING
    fields: Mapping[bytes, FieldDigest] = attrs.field(factory=dict)
    settled: bool = True
    seen: bool = False

    def encode(self) -> bytes:
        """The byte string of the module's docstring."""
        single = [pair for pair in sorted(self.fields.items()) if isinstance(pair[1], bytes)]
        parts = [beginning(self.reading, settled=self.settled, seen=self.seen), len(single).to_bytes(2, "big")]
        parts += chain.from_iterable(cast("list[tuple[bytes, bytes]]", single))
        if len(single) < len(self.fields):
            for tag in sorted(self.fields):
                elements = self.fields[tag]
                if not isinstance(elements, bytes):
                    parts += (tag, len(elements).to_bytes(2, "big"), *sorted(elements))
        return b"".join(parts)

    @staticmethod
    @lru_cache(maxsize=256)
    def decode(blob: bytes) -> Shadow:
        """Read a byte string; an empty one is a shadow that knows nothing. A record's is read a few times in a row."""
        if not blob:
            return _EMPTY
        if blob[0] not in FORMATS:
            msg = "a shadow has an unknown format; it was written by a newer crmsync"
            raise ValueError(msg)
        at = HEAD + _PAIR.size * int.from_bytes(blob[HEAD - 2 : HEAD], "big")
        fields: dict[bytes, FieldDigest] = dict(_PAIR.iter_unpack(blob[HEAD:at]))
        fields.update(elements_from(blob, at))
        return Shadow(blob[_READING], MappingProxyType(fields), not blob[0] & _HELD, bool(blob[0] & _SEEN))


_EMPTY = Shadow()

BLANK_SHADOW: Final = _EMPTY.encode()
"""Of a linked record of which no field was ever acknowledged: its next merge is a first meeting."""


def with_beginning(start: bytes, fields: Mapping[bytes, FieldDigest]) -> bytes:
    """An encoded shadow of these fields that has a `beginning`."""
    return start + Shadow(fields=fields).encode()[len(start) :]


def of_gone(blob: bytes) -> bytes:
    """A shadow as what a record held that is gone now; of one that nobody had seen there is none."""
    return bytes((blob[0] | _GONE,)) + blob[1:] if blob else b""


def is_of_gone(blob: bytes) -> bool:
    """Whether a shadow is what a record held that is gone."""
    return bool(blob) and bool(blob[0] & _GONE)


def of_returned(blob: bytes) -> bytes:
    """A shadow as before its record was gone."""
    return bytes((blob[0] & ~_GONE,)) + blob[1:] if blob else b""


def stands(blob: bytes, reading: bytes) -> bool:
    """Whether a record that is read like this is as it was when all its fields had come to rest."""
    return blob[_READING] == reading and not blob[0] & _HELD


def differs(blob: bytes, reading: bytes) -> bool:
    """Whether a record that is read like this is sure not to be as it was, without a look at its fields."""
    return bool(blob[0] & _SEEN) and blob[_READING] != reading


def reading_of(blob: bytes) -> bytes:
    """The reading of an encoded shadow, without decoding the rest; zeros when there is none."""
    return blob[_READING] if blob else NO_READING


def field_tags(names: Iterable[str]) -> dict[str, bytes]:
    """A tag of 3 bytes for each field name. Two names that collide take neighbouring tags, in order of name."""
    tags: dict[str, bytes] = {}
    taken: set[int] = set()
    for name in sorted(set(names)):
        tag = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=3).digest(), "big")
        while tag in taken:
            tag = (tag + 1) % _TAGS
        taken.add(tag)
        tags[name] = tag.to_bytes(3, "big")
    return tags


@attrs.frozen(slots=True)
class Digester:
    """Digests values under one integration's key (16 to 64 bytes)."""

    key: bytes = attrs.field(repr=False)
    _keyed: hashlib._Hash = attrs.field(init=False, repr=False, eq=False)
    _texts: hashlib._Hash = attrs.field(init=False, repr=False, eq=False)
    blank: bytes = attrs.field(init=False, repr=False, eq=False)
    """6 bytes for None."""

    def __attrs_post_init__(self) -> None:
        # A copy of a keyed hash costs two thirds of a new one.
        object.__setattr__(self, "_keyed", hashlib.blake2b(digest_size=8, key=self.key))
        texts = self._keyed.copy()
        texts.update(b"s")
        object.__setattr__(self, "_texts", texts)
        blank = self._keyed.copy()
        blank.update(canonical(None))
        object.__setattr__(self, "blank", blank.digest()[:_SIZE])

    def scalar(self, normal: object) -> bytes:
        """6 bytes for a value in normal form."""
        if normal is None:
            return self.blank
        if type(normal) is str:
            # What `canonical` makes of a text begins like this.
            keyed = self._texts.copy()
            keyed.update(normal.encode("utf-8", "surrogatepass"))
        else:
            keyed = self._keyed.copy()
            keyed.update(canonical(normal))
        return keyed.digest()[:_SIZE]

    def after(self, normal: Callable[[object], object]) -> Callable[[object], bytes]:
        """The digest of a value's normal form, in one step: what a record's comparison spends its time on."""
        # Texts are nearly all there is.
        copy, scalar = self._texts.copy, self.scalar

        def digest(value: object) -> bytes:
            form = normal(value)
            if type(form) is not str:
                return scalar(form)
            keyed = copy()
            keyed.update(form.encode("utf-8", "surrogatepass"))
            return keyed.digest()[:_SIZE]

        return digest

    def elements(self, normals: Iterable[object]) -> frozenset[bytes]:
        """6 bytes for each element."""
        return frozenset(map(self.scalar, normals))

    def reader(self, version: str) -> Callable[[tuple[object, ...]], bytes]:
        """8 bytes for values as they were read under a version of the mapping.

        Equal values of equal types have equal readings, on one Python version. Where two readings of a value differ
        (another type, another order of a set), only time is lost.
        """
        begun = self._keyed.copy()
        begun.update(_joined((version.encode(),)))
        copy, dumps = begun.copy, cast("Callable[[object, int], bytes]", marshal.dumps)

        def reading(values: tuple[object, ...]) -> bytes:
            keyed = copy()
            try:
                # Version 2 says nothing of how often an object is referred to.
                keyed.update(dumps(values, 2))
            except ValueError:
                keyed.update(_joined(map(canonical, values)))
            return keyed.digest()

        return reading

    def side_hash(self, normals: Iterable[object]) -> bytes:
        """16 bytes for all mapped fields' normal forms, in the rules' order. Absent fields are given as MISSING."""
        return hashlib.blake2b(_joined(map(canonical, normals)), digest_size=16, key=self.key).digest()


def sync_hash(local_shadow: bytes, remote_shadow: bytes) -> str:
    """``last_sync_hash``: 64 hex characters of SHA-256 over both sides' shadows."""
    # `_joined` of both, in half the time: each link that is stored or read has one made.
    parts = (len(local_shadow).to_bytes(4, "big"), local_shadow, len(remote_shadow).to_bytes(4, "big"), remote_shadow)
    return hashlib.sha256(b"".join(parts)).hexdigest()
