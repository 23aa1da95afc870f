"""Tell a store's mangled copy of what we sent from somebody's edit, where the store cannot say it itself."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal


def is_lossy_image(sent: object, stored: object) -> bool:
    """Whether a store that cuts, trims, re-cases, re-punctuates, rounds or reorders could make ``stored`` of ``sent``.

    Both are normal forms. Used only where the last writer is known to be us: alone it would mistake a person's
    shortening of a value for an echo.
    """
    if sent == stored:
        return True
    match sent, stored:
        case str(), str():
            return _text_image(sent, stored)
        case (frozenset(), frozenset()):
            return {_folded(e) for e in sent} == {_folded(e) for e in stored}
        case dt.datetime(), dt.datetime():
            return bool(dt.timedelta(0) <= sent - stored < dt.timedelta(minutes=1))
        case dt.datetime(), dt.date():
            return sent.date() == stored
        case (bool(), _) | (_, bool()):
            return False
        case ((int() | float() | Decimal()), (int() | float() | Decimal())):
            return _rounded_image(Decimal(str(sent)), Decimal(str(stored)))
    return False


def _text_image(sent: str, stored: str) -> bool:
    if stored and sent.startswith(stored):
        return True
    folded, image = _folded(sent), _folded(stored)
    return bool(image) and (folded == image or folded.startswith(image))


def _folded(value: object) -> str:
    """Letters and digits only, without case."""
    return "".join(ch for ch in str(value).casefold() if ch.isalnum())


def _rounded_image(sent: Decimal, stored: Decimal) -> bool:
    """Whether ``stored`` is ``sent`` rounded or cut to the decimals that ``stored`` has."""
    if not (sent.is_finite() and stored.is_finite()):
        return False
    exponent = stored.normalize().as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    return abs(sent - stored) < Decimal(1).scaleb(-decimals)
