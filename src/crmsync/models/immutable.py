"""Immutable values that are made by the million: what makes and changes them without what only a type checker needs.

An attrs class that guards itself as it runs takes two to three times as long to make, and ``attrs.evolve`` four times
as long to make another one of, as it looks at each field anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attrs import evolve as evolved
    from attrs import frozen as frozen_value
else:
    from attrs import NOTHING, define, fields

    frozen_value = partial(define, unsafe_hash=True)

    def evolved(instance: object, /, **changes: object) -> object:
        """`attrs.evolve`."""
        return _evolver(type(instance))(instance, **changes)

    @cache
    def _evolver(of: type) -> Callable[..., object]:
        # Code of the names of the class's own fields, as attrs itself makes its methods.
        made = [field for field in fields(of) if field.init]
        given = "".join(f", {field.alias}=__nothing" for field in made)
        values = [f"__one.{field.name} if {field.alias} is __nothing else {field.alias}" for field in made]
        named = ", ".join(f"{field.alias}={value}" for field, value in zip(made, values, strict=True))
        source = f"lambda __one, /{', *' if made else ''}{given}: __of({named})"
        return eval(source, {"__nothing": NOTHING, "__of": of})  # noqa: S307 (as the comment above says)


__all__ = ["evolved", "frozen_value"]
