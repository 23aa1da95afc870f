"""Forms in which a field mapping may ask for texts to be compared, beyond what their type says.

A normaliser says when two spellings are the same value; it never changes what is written. One that leaves nothing of a
text leaves the text: a note in a field of numbers is not a blank.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from crmsync.protocols.conversion import Normaliser

TextForm: TypeAlias = Callable[[str], str]
"""A pure function of a text, and idempotent: what it made of a text it leaves as it is."""

_SPACE: Final = re.compile(r"\s+")
_ROUNDS: Final = 4


def case_fold(text: str) -> str:
    """Whatever the case."""
    return text.casefold()


def collapse_space(text: str) -> str:
    """Any white space is one space."""
    return _SPACE.sub(" ", text).strip()


def digits_only(text: str) -> str:
    """Only the digits count, in whatever script they are written."""
    return "".join(str(unicodedata.digit(char)) for char in text if char.isdecimal())


def letters_and_digits(text: str) -> str:
    """Without punctuation, symbols and white space."""
    return "".join(char for char in text if char.isalnum())


def strip_accents(text: str) -> str:
    """Letters without their accents."""
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(char for char in parts if not unicodedata.combining(char)))


TEXT_FORMS: Final[Mapping[str, TextForm]] = {
    "case_fold": case_fold,
    "collapse_space": collapse_space,
    "digits_only": digits_only,
    "letters_and_digits": letters_and_digits,
    "strip_accents": strip_accents,
}
"""By the name that a mapping gives."""


def comparing(normal: Normaliser, forms: Sequence[TextForm]) -> Normaliser:
    """A normal form whose texts, and elements of sets, are compared in further forms. Total and idempotent."""
    if not forms:
        return normal

    def compared(value: object) -> object:
        made = normal(value)
        if isinstance(made, frozenset):
            return frozenset(_settled(each, forms) if isinstance(each, str) else each for each in made)
        return _settled(made, forms) if isinstance(made, str) else made

    return compared


def _settled(text: str, forms: Sequence[TextForm]) -> str:
    """The forms one after the other, until they change nothing: each for itself is idempotent, their chain need not."""
    for _ in range(_ROUNDS):
        made = text
        for form in forms:
            made = _formed(made, form)
        if made == text:
            break
        text = made
    return text


def _formed(text: str, form: TextForm) -> str:
    try:
        made = form(text)
    except Exception:  # noqa: BLE001 (total: a function of the user's may raise anything)
        return text
    return made if isinstance(made, str) and made.strip() else text
