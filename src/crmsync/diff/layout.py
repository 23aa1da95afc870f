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
        # Every ninth byte of the fields' part is a tag's first, the one after it its second.
        self._tags = tuple(b"".join(single)[place::3] for place in range(3))
        self._digests = struct.Struct(f"{HEAD}x" + "3x6s" * len(single))
        self._at = {tag: HEAD + 9 * place + 3 for place, tag in enumerate(single)}
        stored = [*single, *self._sets]
        self._ordered = _picker([stored.index(tag) for tag in self.tags])

    def read(self, shadow: bytes) -> Sequence[FieldDigest | None]:
        """The digest of each field; None for one that was never acknowledged."""
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
        firsts, seconds, thirds = self._tags
        return (
            len(shadow) >= size
            and shadow[0] in FORMATS
            and shadow[HEAD - 2 : HEAD] == self._count
            and shadow[HEAD:size:9] == firsts
            and shadow[HEAD + 1 : size : 9] == seconds
            and shadow[HEAD + 2 : size : 9] == thirds
            and (
                len(shadow) == size if not self._sets else self._sets == [tag for tag, _ in elements_from(shadow, size)]
            )
        )

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


def _picker(places: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Takes these places of a tuple, as a tuple."""
    if len(places) > 1:
        return cast("Callable[[tuple[Any, ...]], tuple[Any, ...]]", itemgetter(*places))
    return lambda found: tuple(found[place] for place in places)
