"""Where one mapping's fields stand in an encoded shadow, so that a few of them are read and moved without the rest."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, cast

from crmsync.diff.digests import FORMATS, HEAD, FieldDigest, Shadow, elements_from, with_beginning
from crmsync.diff.sets import merges_elements
from crmsync.protocols.conversion import FieldRule


class Layout:
    """Of shadows that know every field of one mapping; others are decoded.

    ``tagged`` are the rules with their tags. Digests are given in the order of the rules.
    """

    def __init__(self, tagged: Iterable[tuple[FieldRule, bytes]]) -> None:
        pairs = list(tagged)
        self.tags = tuple(tag for _, tag in pairs)
        single = sorted(tag for rule, tag in pairs if not merges_elements(rule))
        self._sets = sorted(tag for rule, tag in pairs if merges_elements(rule))
        self._count = len(single).to_bytes(2, "big")
        # An encoded shadow with its count and tags kept, and its digests blanked out, as one number.
        self._mask = int.from_bytes(b"\xff\xff" + b"\xff\xff\xff\0\0\0\0\0\0" * len(single), "big")
        self._tags = int.from_bytes(self._count + b"".join(tag + bytes(6) for tag in single), "big")
        self._digests = struct.Struct(f"{HEAD}x" + "3x6s" * len(single))
        self._at = {tag: HEAD + 9 * place + 3 for place, tag in enumerate(single)}
        self._places = [self._at.get(tag, 0) for tag in self.tags]
        # Of a shadow without sets, to put the digests into: that is the fastest way to put them between the tags.
        self._form = self._count + b"".join(tag.replace(b"%", b"%%") + b"%b" for tag in single)
        self._nothing = (None,) * len(pairs)
        stored = [*single, *self._sets]
        self._ordered = _picker([stored.index(tag) for tag in self.tags])
        self._stored = _picker([self.tags.index(tag) for tag in single])

    def read(self, shadow: bytes) -> Sequence[FieldDigest | None]:
        """The digest of each field; None for one that was never acknowledged."""
        if not shadow:
            return self._nothing
        if not self.knows(shadow):
            fields = Shadow.decode(shadow).fields
            return [fields.get(tag) for tag in self.tags]
        found = self._digests.unpack_from(shadow)
        if self._sets:
            found += tuple(digests for _, digests in elements_from(shadow, self._digests.size))
        return self._ordered(found)

    def knows(self, shadow: bytes) -> bool:
        """Whether a shadow holds a digest of each field, and of no other."""
        size = self._digests.size
        return (
            len(shadow) >= size
            and shadow[0] in FORMATS
            and int.from_bytes(shadow[HEAD - 2 : size], "big") & self._mask == self._tags
            and (
                len(shadow) == size if not self._sets else self._sets == [tag for tag, _ in elements_from(shadow, size)]
            )
        )

    def agree(self, shadow: bytes, other: bytes) -> bool:
        """Whether two shadows that `knows` hold the same digests."""
        return shadow[HEAD - 2 :] == other[HEAD - 2 :] and self.knows(shadow) and other[0] in FORMATS

    def pick(self, shadow: bytes, places: Sequence[int]) -> Sequence[FieldDigest | None]:
        """The digests of a few fields of a shadow that `knows`, by their places in the order of the rules."""
        if self._sets:
            digests = self.read(shadow)
            return [digests[place] for place in places]
        return [shadow[at : at + 6] for at in map(self._places.__getitem__, places)]

    def encode_all(self, start: bytes, digests: Sequence[bytes]) -> bytes:
        """A shadow without sets that has a `beginning`, of the digests of all fields, in the order of the rules."""
        return start + self._form % self._stored(digests)

    def encode(self, start: bytes, digests: Mapping[bytes, FieldDigest]) -> bytes:
        """A shadow of these digests that has a `beginning`."""
        if not self._sets and digests.keys() == self._at.keys():
            pairs = [tag + digest for tag in self._at if type(digest := digests[tag]) is bytes]
            if len(pairs) == len(digests):
                return start + self._count + b"".join(pairs)
        return with_beginning(start, digests)

    def moved(self, shadow: bytes, digests: Mapping[bytes, FieldDigest], start: bytes) -> bytes:
        """A shadow that `knows`, with these digests in place of its own, and another `beginning`."""
        moved = bytearray(shadow)
        moved[: len(start)] = start
        for tag, digest in digests.items():
            if type(digest) is not bytes:
                return with_beginning(start, {**Shadow.decode(shadow).fields, **digests})
            at = self._at[tag]
            moved[at : at + len(digest)] = digest
        return bytes(moved)


def _picker(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Takes these places of a sequence, as a tuple."""
    if len(places) > 1:
        return cast("Callable[[Sequence[Any]], tuple[Any, ...]]", itemgetter(*places))
    return lambda found: tuple(found[place] for place in places)
