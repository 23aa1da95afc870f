"""Compact sets of ids and keys, so that memory grows by eight bytes for each record and not by the record."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from heapq import merge
from typing import Final

_SORTED_AT_ONCE: Final = 50_000
"""Numbers that are sorted as Python's own, which take five times the room."""


class KeySet:
    """A multiset of strings, each kept as 64 bits of a digest.

    Two strings share one with probability 2**-64 for each pair; a false "present" only costs a look-up, or spares a
    record from a deletion.
    """

    def __init__(self) -> None:
        self._digests = array("Q")
        self._sorted = True

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, key: str) -> None:
        """Put one in."""
        self._digests.append(_digest(key))
        self._sorted = False

    def count(self, key: str) -> int:
        """How often it was put in."""
        if not self._sorted:
            places = range(0, len(self._digests), _SORTED_AT_ONCE)
            parts = [array("Q", sorted(self._digests[at : at + _SORTED_AT_ONCE])) for at in places]
            self._digests = array("Q", merge(*parts)) if len(parts) > 1 else parts[0]
            self._sorted = True
        digest = _digest(key)
        return bisect_right(self._digests, digest) - bisect_left(self._digests, digest)

    def __contains__(self, key: str) -> bool:
        return self.count(key) > 0


def _digest(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
