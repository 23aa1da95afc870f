"""Record ids of fifteen or eighteen characters: two spellings of one id.

The last three of eighteen characters say which of the first fifteen are capitals, so that an id survives programs that
ignore case (Salesforce, "Object Reference", page "Field Types", ID field type). Other CRMs' ids pass through unchanged.
"""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_CODES: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHORT: Final = 15


def id_checksum(short_id: str) -> str:
    """The three characters that make eighteen of fifteen."""
    masks = (sum(char.isupper() << place for place, char in enumerate(short_id[at : at + 5])) for at in (0, 5, 10))
    return "".join(_CODES[mask] for mask in masks)


def normal_id(text: str) -> str:
    """The eighteen-character spelling; any other text, an id with a false checksum included, as it is.

    Eighteen characters that lost their case (all capitals or none) are put right by their checksum.
    """
    if not _FORM.fullmatch(text):
        return text
    short_id, checksum = text[:_SHORT], text[_SHORT:].upper()
    if not checksum:
        return short_id + id_checksum(short_id)
    if text.isupper() or text.islower():
        short_id = _with_case(short_id, checksum)
    return short_id + checksum if id_checksum(short_id) == checksum else text


def _with_case(short_id: str, checksum: str) -> str:
    masks = [_CODES.find(code) for code in checksum]
    return "".join(char.upper() if masks[at // 5] >> at % 5 & 1 else char.lower() for at, char in enumerate(short_id))
