"""Immutable values that are made by the million: a type checker guards them, and making one costs no guard.

An attrs class that guards itself as it runs takes two to three times as long to make.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attrs import frozen as frozen_value
else:
    from attrs import define

    frozen_value = partial(define, unsafe_hash=True)

__all__ = ["frozen_value"]
