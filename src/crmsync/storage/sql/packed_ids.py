"""The local sides' ids in the rows of links: a UUID takes 16 bytes and one more, in the row and in two indexes.

A UUID as Python and PostgreSQL write it, with hyphens and in lower case, is 0xFF and its bytes. Any other id is its
UTF-8, in which no 0xFF is. So equal ids have equal bytes, and others have others. Bytes go by code point, UUIDs last.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_MARK: Final = 0xFF
_LENGTH: Final = 17
_TEXT_LENGTH: Final = 36
_HYPHENS: Final = slice(8, 24, 5)


def pack_id(markmail_id: str) -> bytes:
    """What is stored of an id.

    :raises UnicodeEncodeError: it holds half of a surrogate pair.
    """
    # Each link passes here. A regular expression takes twice the time.
    if len(markmail_id) == _TEXT_LENGTH and markmail_id[_HYPHENS] == "----":
        digits = "ff" + markmail_id.replace("-", "")
        try:
            packed = bytes.fromhex(digits)
        except ValueError:
            return markmail_id.encode()
        if len(packed) == _LENGTH and packed.hex() == digits:
            return packed
    return markmail_id.encode()


def unpack_id(stored: bytes) -> str:
    """The id that was stored.

    :raises ValueError: none was stored as this.
    """
    if len(stored) == _LENGTH and stored[0] == _MARK:
        digits = stored.hex()
        return f"{digits[2:10]}-{digits[10:14]}-{digits[14:18]}-{digits[18:22]}-{digits[22:]}"
    text = stored.decode()
    if len(stored) == _TEXT_LENGTH and pack_id(text) != stored:
        msg = "a stored UUID is not in its short form"
        raise ValueError(msg)
    return text


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
