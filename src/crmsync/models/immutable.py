"""Immutable values that are made by the million.

A frozen attrs class sets each of its fields past its own guard, which takes three to five times as long to make. These
are immutable for the type checker, and compare and hash as frozen ones; nothing stops code at run time that is not
checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attrs import frozen as frozen_value
else:
    from functools import partial

    from attrs import define

    frozen_value = partial(define, unsafe_hash=True)

__all__ = ["frozen_value"]
