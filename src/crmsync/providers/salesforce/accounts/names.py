"""When two names are one company's. Pure.

Case and runs of white space do not count; everything else does, for "Acme" and "Acme Inc" may be two companies.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final

COMPANY: Final = "Account.Name"
"""The field of a contact that shows, and with the setting ``accounts`` decides, which account it belongs to."""
OWN: Final = (COMPANY, "AccountId", "RecordTypeId", "ReportsToId")
"""What a person account's contact cannot be given."""


def collapsed(name: str) -> str:
    """The name as an account gets it, and as it is looked up."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def folded(name: str) -> str:
    """The name as it is compared."""
    return collapsed(name).casefold()


def key_of(name: str) -> str:
    """The external key of a company's account: whoever makes it, for whatever contact, comes to the same one."""
    return hashlib.sha256(folded(name).encode()).hexdigest()[:32]
