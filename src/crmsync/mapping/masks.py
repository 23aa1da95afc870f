"""Masked values: what a side shows in place of a secret that this user may not see.

Salesforce shows fields of Classic Encryption to users without the permission "View Encrypted Data" as a row of
asterisks or of the letter X, with up to four characters in clear at its end ("Classic Encryption for Custom Fields",
Salesforce Security Guide). Such a value says nothing about the one that is stored, and written back would destroy it.
A real value of at most five characters that begins with X cannot be told from one, and counts as masked.
"""

from __future__ import annotations

import re
from typing import Final

_MASK: Final = re.compile(r"([*X\u2022])(?:[ ./-]?\1)*(?:[ ./-]?[0-9A-Za-z]{1,4})?")


def is_masked(text: str) -> bool:
    """Whether a text of an encrypted field is a mask and not the value."""
    return _MASK.fullmatch(text.strip()) is not None
