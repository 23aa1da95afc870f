"""Salesforce record ids: fifteen case-sensitive characters, or eighteen with a checksum that survives case folding.

The checksum's form is that of the "Object Reference", page "Field Types" (ID field type): each of three characters
encodes which of five id characters are capitals.
"""

from __future__ import annotations

import re

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_SERIAL_WIDTH = 9


def checksum(short_id: str) -> str:
    """Return the three characters that follow a fifteen-character id."""
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place, char in enumerate(short_id[start : start + 5]) if "A" <= char <= "Z")
        suffix += _ALPHABET[bits]
    return suffix


def canonical_id(text: str) -> str | None:
    """Return the eighteen-character form, or ``None`` where the text has not an id's form or a false checksum.

    An eighteen-character id whose letter case was lost (all small or all capital) is restored by its checksum.
    """
    if not _FORM.fullmatch(text):
        return None
    if len(text) == 15:
        return text + checksum(text)
    if checksum(text[:15]) == text[15:]:
        return text
    if text not in (text.lower(), text.upper()):
        return None
    suffix = text[15:].upper()
    restored = "".join(_restore(text[start : start + 5], suffix[start // 5]) for start in (0, 5, 10))
    return restored + suffix if checksum(restored) == suffix else None


def _restore(chunk: str, check: str) -> str:
    bits = _ALPHABET.find(check)
    return "".join(char.upper() if bits >> place & 1 else char.lower() for place, char in enumerate(chunk))


def make_id(key_prefix: str, serial: int, *, instance: str = "5e0") -> str:
    """Return the eighteen-character id of the ``serial``-th record: ids of one object sort by birth."""
    digits = ""
    while serial:
        serial, rest = divmod(serial, 62)
        digits = _BASE62[rest] + digits
    short_id = key_prefix + instance + digits.rjust(_SERIAL_WIDTH, "0")
    return short_id + checksum(short_id)
