"""How a link's shadows are stored: without what they have in common with each other, and with the mapping's others.

Both shadows of a link nearly always have the tags of all fields of one mapping, and the same digests wherever the sides
hold the same. So the tags are kept once, with the mapping's version, as an `Outline`, and a link has of each shadow::

    local     1 byte   its first byte, and 0x80
              8 bytes  reading
              6 bytes  the outline's reference: BLAKE2b of what it says
              then the 6-byte digests of the single-valued fields, and the set-valued fields as they were
    remote    1 byte   its first byte, and 0x40; and 0x20 if its set-valued fields are not those of the local shadow
              8 bytes  reading
              then, unless all is as in the local shadow: 1 byte how many digests differ, for each of them 1 byte which
              one and 6 bytes digest, and with 0x20 its set-valued fields

Of a link with an outline ``mapping_version`` is "*", which stands for the outline's, and the sync hash, which follows
from the shadows, is its first 8 characters and "*". Whatever has not this form is stored as it is; after 0xFF where
its first byte is 0x20 or more, and with another "*" where it is text that ends with one.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import attrs

from crmsync.diff.digests import FORMATS, HEAD, sync_hash

_BY_OUTLINE: Final = 0x80
_AS_LOCAL: Final = 0x40
_OWN_SETS: Final = 0x20
_FLAGS: Final = _BY_OUTLINE | _AS_LOCAL | _OWN_SETS
_VERBATIM: Final = 0xFF
_START: Final = 9
_BODY: Final = _START + 6
_REFERENCE: Final = slice(_START, _BODY)
_CUT: Final = 8
_SHORT: Final = "*"
_LAST_COUNTED: Final = HEAD + 9 * 255
_CUT_OFF: Final = "a stored shadow is cut off"

Kept = tuple[bytes, bytes, str, str]
"""Of a link, in its own form or in the stored one: both shadows, the mapping's version, and the sync hash."""


@attrs.frozen(slots=True)
class Outline:
    """What links of one version of a mapping have in common: the version, and the tags of the single-valued fields."""

    mapping_version: str
    tags: bytes
    reference: bytes = attrs.field(init=False)
    """6 bytes: equal outlines have equal ones, and others as seldom as two values have the same digest."""
    _form: bytes = attrs.field(init=False, repr=False, eq=False)
    _digests: struct.Struct = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        tags = [self.tags[at : at + 3] for at in range(0, len(self.tags), 3)]
        count = len(tags).to_bytes(2, "big")
        content = count + self.tags + self.mapping_version.encode()
        object.__setattr__(self, "reference", hashlib.blake2b(content, digest_size=6).digest())
        # The fields of a shadow, to put the digests into: that is the fastest way to put them between the tags.
        form = b"%b".join(part.replace(b"%", b"%%") for part in (count + tags[0], *tags[1:], b""))
        object.__setattr__(self, "_form", form)
        object.__setattr__(self, "_digests", struct.Struct(f"{_BODY}x" + "6s" * len(tags)))

    def whole(self, stored: bytes) -> bytes:
        """The local shadow that was stored by this outline.

        :raises ValueError: it is cut off.
        """
        digests = self._digests
        if len(stored) < digests.size:
            raise ValueError(_CUT_OFF)
        fields = self._form % digests.unpack_from(stored)
        return b"".join((bytes((stored[0] & ~_FLAGS,)), stored[1:_START], fields, stored[digests.size :]))


def pack(local: bytes, remote: bytes, mapping_version: str, last_sync_hash: str) -> tuple[Kept, Outline | None]:
    """The stored form, and the outline that has to be stored with it."""
    if last_sync_hash and last_sync_hash == sync_hash(local, remote):
        last_sync_hash = last_sync_hash[:_CUT] + _SHORT
    else:
        last_sync_hash = _escaped(last_sync_hash)
    end = 0
    if local[:1] and local[0] in FORMATS:
        end = HEAD + 9 * int.from_bytes(local[HEAD - 2 : HEAD], "big")
    if not HEAD < end <= len(local):
        return (_verbatim(local), _verbatim(remote), _escaped(mapping_version), last_sync_hash), None
    digests = bytearray(local[HEAD:end])
    outline = _outline(mapping_version, bytes(digests[::9]), bytes(digests[1::9]), bytes(digests[2::9]))
    del digests[::9]
    del digests[::8]
    del digests[::7]
    packed = b"".join((bytes((local[0] | _BY_OUTLINE,)), local[1:_START], outline.reference, digests, local[end:]))
    return (packed, _packed_remote(local, remote, end), _SHORT, last_sync_hash), outline


def unpack(kept: Kept, outlines: Mapping[bytes, Outline]) -> Kept:
    """What was packed.

    :param outlines: by their references.
    :raises KeyError: its outline is not among them.
    :raises ValueError: it is damaged.
    """
    local, remote, version, hashed = kept
    if local[:1] < b"\x80" or local[0] == _VERBATIM:
        local, version = _unverbatim(local), _unescaped(version)
    else:
        outline = outlines[local[_REFERENCE]]
        local, version = outline.whole(local), outline.mapping_version
    remote = _whole_remote(remote, local) if b"\x40" <= remote[:1] < b"\x80" else _unverbatim(remote)
    if hashed[_CUT:] == _SHORT:
        hashed = sync_hash(local, remote)
    elif hashed[-1:] == _SHORT:
        hashed = hashed[:-1]
    return local, remote, version, hashed


@lru_cache(maxsize=256)
def _outline(mapping_version: str, *places: bytes) -> Outline:
    """Of the first, second and third bytes of all tags."""
    return Outline(mapping_version, bytes(byte for tag in zip(*places, strict=True) for byte in tag))


def _packed_remote(local: bytes, remote: bytes, end: int) -> bytes:
    """``end``: where the set-valued fields of the local shadow begin."""
    if len(remote) < end or remote[0] not in FORMATS:
        return _verbatim(remote)
    start = bytes((remote[0] | _AS_LOCAL,)) + remote[1:_START]
    if remote[_START:] == local[_START:]:
        return start
    tagged = (slice(_START, HEAD), *(slice(HEAD + place, end, 9) for place in range(3)))
    if end > _LAST_COUNTED or any(remote[places] != local[places] for places in tagged):
        return _verbatim(remote)
    fields = [at for at in range(HEAD + 3, end, 9) if remote[at : at + 6] != local[at : at + 6]]
    parts = [start, bytes((len(fields),))]
    for at in fields:
        parts += (bytes(((at - HEAD) // 9,)), remote[at : at + 6])
    if remote[end:] != local[end:]:
        parts[0] = bytes((start[0] | _OWN_SETS,)) + start[1:]
        parts.append(remote[end:])
    return b"".join(parts)


def _whole_remote(stored: bytes, local: bytes) -> bytes:
    start = bytes((stored[0] & ~_FLAGS,)) + stored[1:_START]
    if len(stored) == _START:
        return start + local[_START:]
    remote = bytearray(start + local[_START:])
    sets = _START + 1 + 7 * stored[_START]
    for at in range(_START + 1, sets, 7):
        field = HEAD + 9 * stored[at] + 3
        remote[field : field + 6] = stored[at + 1 : at + 7]
    if len(stored) < sets or len(remote) != len(local):
        raise ValueError(_CUT_OFF)
    if stored[0] & _OWN_SETS:
        del remote[HEAD + 9 * int.from_bytes(local[HEAD - 2 : HEAD], "big") :]
        remote += stored[sets:]
    return bytes(remote)


def _verbatim(shadow: bytes) -> bytes:
    return bytes((_VERBATIM,)) + shadow if shadow[:1] >= b"\x20" else shadow


def _unverbatim(stored: bytes) -> bytes:
    if stored[:1] < b"\x20":
        return stored
    if stored[0] != _VERBATIM:
        raise ValueError("a shadow is stored in a form that a newer crmsync knows")
    return stored[1:]


def _escaped(text: str) -> str:
    return text + _SHORT if text.endswith(_SHORT) else text


def _unescaped(text: str) -> str:
    return text[:-1] if text.endswith(_SHORT) else text
