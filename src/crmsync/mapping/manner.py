"""How the texts and numbers of one side of a field mapping are to be read and written."""

from __future__ import annotations

import datetime as dt
from typing import Final

import attrs

from crmsync.models.schema import Unit


@attrs.frozen(slots=True)
class Manner:
    """What a value does not say of itself.

    ``separator`` joins the elements of a set that is kept as one text. ``zone`` is where times without one were read
    off a clock. ``unit`` is what a bare number counts that stands for a percentage or a duration; None: what its type
    says. ``currency`` is the code that a text may give with an amount.
    """

    separator: str = ";"
    zone: dt.tzinfo | None = None
    unit: Unit | None = None
    currency: str = ""


PLAIN: Final = Manner()
