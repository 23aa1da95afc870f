"""What a use of a record store costs in calls, by the sizes that Salesforce documents. Pure."""

from __future__ import annotations

import math
from typing import Final

from crmsync.models.calls import CallEstimate, StoreUse, StoreVerb
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.bulk.polling import most_polls
from crmsync.providers.salesforce.retrieving import MAX_RETRIEVE
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.settings import ChannelName, SalesforceSettings
from crmsync.providers.salesforce.writing.choice import COLLECTION_ROWS, JOB_CALLS, Choice, may_be_bulk

_VERBS: Final = 2
"""Creates and updates go in different calls."""
_JOB_ENDS: Final = 8
"""Create, upload, close, the question that follows a close whose answer was lost, an abort, three results."""
_LONGEST_CHARACTER: Final = 12
"""Four bytes, each as %XX."""
_USUAL_LENGTH: Final = 32
_ID_LENGTH: Final = 18
_QUOTES: Final = 9
"""Two quotes and a comma, encoded."""


def estimate(
    use: StoreUse, sobject: SObject, key_field: str | None, choice: Choice, settings: SalesforceSettings
) -> CallEstimate:
    """The calls of one use; ``choice`` is how so many rows would be written now."""
    if not use.items:
        return CallEstimate()
    match use.verb:
        case StoreVerb.WRITE:
            back = _retrieving(use, use.fields) if settings.read_back else CallEstimate()
            return _writing(use, choice, settings) + back
        case StoreVerb.GET:
            return _retrieving(use, use.fields)
        case StoreVerb.FIND:
            return _finding(use, sobject, use.field)
        case StoreVerb.FIND_BY_KEY:
            return _finding(use, sobject, key_field) if key_field else CallEstimate()


def _writing(use: StoreUse, choice: Choice, settings: SalesforceSettings) -> CallEstimate:
    calls = math.ceil(use.items / COLLECTION_ROWS)
    collections = CallEstimate(min(use.items, calls + _VERBS - 1), calls)
    if not may_be_bulk(use.items, settings.channel):
        return collections
    # What a job loses sight of, or may not carry, goes through collections.
    most = _VERBS * (_JOB_ENDS + most_polls(settings.bulk_wait_seconds)) + collections.most
    return CallEstimate(most, JOB_CALLS if choice.channel is ChannelName.BULK else calls)


def _retrieving(use: StoreUse, fields: tuple[str, ...]) -> CallEstimate:
    if any("." in name for name in fields):
        return _querying(use.items, _ID_LENGTH + _QUOTES, _ID_LENGTH + _QUOTES, fields)
    calls = math.ceil(use.items / MAX_RETRIEVE)
    return CallEstimate(calls, calls)


def _finding(use: StoreUse, sobject: SObject, field: str | None) -> CallEstimate:
    known = sobject.fields.get(field or "")
    longest = (known.length if known else None) or 255
    return _querying(use.items, longest * _LONGEST_CHARACTER + _QUOTES, _USUAL_LENGTH + _QUOTES, use.fields)


def _querying(values: int, longest: int, usual: int, fields: tuple[str, ...]) -> CallEstimate:
    """Queries whose values fit into a URI. Each answers in one piece: see `retrieving` on whole batches."""
    room = soql.MAX_ENCODED - soql.encoded_length(soql.Soql(",".join(fields))) - _AROUND
    return CallEstimate(
        math.ceil(values / max(1, room // longest)),
        math.ceil(values / max(1, room // usual)),
    )


_AROUND: Final = 400
"""The rest of a query: its words, the columns that every reader adds, the object's name."""
