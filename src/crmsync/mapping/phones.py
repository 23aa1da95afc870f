"""The form in which two phone numbers are compared: E.164, if a mapping says where numbers are at home."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Final

from crmsync.errors import MissingExtraError

EXTENSION: Final = ";ext="


def known_regions() -> frozenset[str]:
    """The regions that have numbers: two capital letters of ISO 3166.

    :raises MissingExtraError: the extra ``phone`` is not installed.
    """
    return frozenset(_library().SUPPORTED_REGIONS)


def e164_of(region: str) -> Callable[[str], str | None]:
    """A function of a text: its number in E.164 (``+493012345``, ``+493012345;ext=12``), or None if it has none.

    Only the length is checked and not whether the number was given out: numbering plans change, and a number that a
    CRM holds is compared all the same.

    :raises MissingExtraError: the extra ``phone`` is not installed.
    """
    library = _library()
    e164 = library.PhoneNumberFormat.E164

    def number_of(text: str) -> str | None:
        try:
            number = library.parse(text, region)
        except library.NumberParseException:
            return None
        if not library.is_possible_number(number):
            return None
        written: str = library.format_number(number, e164)
        return f"{written}{EXTENSION}{number.extension}" if number.extension else written

    return number_of


def _library() -> ModuleType:
    try:
        import phonenumbers  # noqa: PLC0415 (an extra: 8 MB that a mapping without a region does without)
    except ModuleNotFoundError as error:
        if error.name != "phonenumbers":
            raise
        raise MissingExtraError("a field mapping with a region", "phone") from error
    return phonenumbers
