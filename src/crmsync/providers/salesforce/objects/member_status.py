"""The status of a campaign's member, which Salesforce may replace without a word.

A status that the campaign lacks becomes the campaign's default, and the save succeeds ("CampaignMember", Object
Reference). What is read back tells.
"""

from __future__ import annotations

from typing import Final

from crmsync.errors import RecordError, RejectedError
from crmsync.models.records import Operation, Record

_OBJECT: Final = "CampaignMember"
_STATUS: Final = "Status"
UNKNOWN: Final = "unknown_status"


def replaced_status(object_name: str, operation: Operation, stored: Record) -> tuple[RecordError, ...]:
    """What is to be said of a status that was written and is not the one that is stored. Case does not count."""
    wanted, held = operation.fields.get(_STATUS), stored.fields.get(_STATUS)
    if object_name != _OBJECT or not isinstance(wanted, str) or not wanted.strip() or not isinstance(held, str):
        return ()
    if wanted.strip().casefold() == held.casefold():
        return ()
    message = "the campaign has no such member status, and Salesforce gave the member its default: add it there"
    return (RejectedError(message, code=UNKNOWN, field=_STATUS),)
