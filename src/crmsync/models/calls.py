"""What a use of a record store costs in API calls, told in advance."""

from __future__ import annotations

import enum

import attrs


class StoreVerb(enum.StrEnum):
    """The methods of a `RecordStore` that take many items at once."""

    GET = "get"
    FIND = "find"
    FIND_BY_KEY = "find_by_key"
    WRITE = "write"


@attrs.frozen(slots=True)
class StoreUse:
    """One call of a method: how many ids, values, keys or operations it is given.

    ``fields`` are those asked for or written, ``field`` is the one that `find` compares.
    """

    verb: StoreVerb
    items: int
    fields: tuple[str, ...] = ()
    field: str = ""


@attrs.frozen(slots=True)
class CallEstimate:
    """API calls: ``likely`` so many, and never more than ``most`` unless the CRM forces some to be made again."""

    most: int = 0
    likely: int = 0

    def __add__(self, other: CallEstimate) -> CallEstimate:
        return CallEstimate(self.most + other.most, self.likely + other.likely)
