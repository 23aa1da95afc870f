"""Salesforce record ids: 15 case-sensitive characters, or 18 with a checksum that also carries the case."""

from __future__ import annotations

import re

_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def full_id(record_id: str) -> str | None:
    """The 18-character form, by which ids are compared; None if this is no id.

    Each of the three last characters tells which of five characters are upper case ("ID Field Type", SOAP API guide).
    """
    if not _ID.fullmatch(record_id):
        return None
    if len(record_id) == 18:  # noqa: PLR2004 - the length is the format
        return record_id
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place, char in enumerate(record_id[start : start + 5]) if "A" <= char <= "Z")
        suffix += _ALPHABET[bits]
    return record_id + suffix
