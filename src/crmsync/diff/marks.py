"""Marks of people who were erased: keyed digests, so that they are known again and nobody can tell who they were."""

from __future__ import annotations

import hashlib

from crmsync.models.erasure import PersonIds
from crmsync.models.records import Side


class PersonMarks:
    """Makes the marks of one integration. Its key is that of the shadows' digests, put to another purpose."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def email(self, address: str) -> bytes:
        """The mark of an e-mail address, whatever its case. It holds for all objects."""
        return self._digest("email", address.strip().casefold())

    def record(self, entity_type: str, side: Side, record_id: str) -> bytes:
        """The mark of a record."""
        return self._digest(side.value, entity_type, record_id)

    def records(self, entity_type: str, ids: PersonIds) -> set[bytes]:
        """The marks of a person's records in one object."""
        return {self.record(entity_type, side, each) for side in Side for each in ids.of(side)}

    def _digest(self, *parts: str) -> bytes:
        framed = b"".join(
            len(part).to_bytes(4, "big") + part for part in (p.encode("utf-8", "surrogatepass") for p in parts)
        )
        return hashlib.blake2b(framed, digest_size=16, key=self._key, person=b"crmsync-erased").digest()
