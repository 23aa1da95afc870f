"""The local sides' ids in the rows of links: a UUID takes 16 bytes and one more, in the row and in two indexes.

A UUID as Python and PostgreSQL write it, with hyphens and in lower case, is 0xFF and its bytes. Any other id is its
UTF-8, in which no 0xFF is. So equal ids have equal bytes, and others have others. Bytes go by code point, UUIDs last.
"""

from __future__ import annotations

import re
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_MARK: Final = b"\xff"
_LENGTH: Final = 17
_TEXT_LENGTH: Final = 36


def pack_id(markmail_id: str) -> bytes:
    """What is stored of an id.

    :raises UnicodeEncodeError: it holds half of a surrogate pair.
    """
    if len(markmail_id) == _TEXT_LENGTH and _UUID(markmail_id):
        return _MARK + bytes.fromhex(markmail_id.replace("-", ""))
    return markmail_id.encode()


def unpack_id(stored: bytes) -> str:
    """The id that was stored.

    :raises ValueError: none was stored as this.
    """
    if stored[:1] == _MARK and len(stored) == _LENGTH:
        return _uuid(stored)
    text = stored.decode()
    if len(text) == _TEXT_LENGTH and _UUID(text):
        msg = "a stored UUID is not in its short form"
        raise ValueError(msg)
    return text


def _uuid(stored: bytes) -> str:
    digits = stored.hex()
    return f"{digits[2:10]}-{digits[10:14]}-{digits[14:18]}-{digits[18:22]}-{digits[22:]}"


class PackedId(TypeDecorator[str | bytes]):
    """An id in its packed form. What is none is left as it is, so that its row can be named and found again."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | bytes | None, dialect: Dialect) -> bytes | None:
        return pack_id(value) if isinstance(value, str) else value

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | bytes | None:
        try:
            return None if value is None else unpack_id(value)
        except (AttributeError, ValueError):
            return value
