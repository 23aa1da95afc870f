"""Every function that is called with values, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crmsync.mapping.expressions.catalogue import Function
from crmsync.mapping.expressions.date_functions import DATE_FUNCTIONS
from crmsync.mapping.expressions.number_functions import NUMBER_FUNCTIONS
from crmsync.mapping.expressions.patterns import PATTERN_FUNCTIONS
from crmsync.mapping.expressions.text_functions import TEXT_FUNCTIONS

FUNCTIONS: Final[Mapping[str, Function]] = {
    each.name: each for each in (*TEXT_FUNCTIONS, *NUMBER_FUNCTIONS, *DATE_FUNCTIONS, *PATTERN_FUNCTIONS)
}
