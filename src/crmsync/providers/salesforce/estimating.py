"""What a use of a record store costs in calls, by the sizes that Salesforce documents. Pure."""

from __future__ import annotations

import math
from typing import Final

from crmsync.models.calls import CallEstimate, StoreUse, StoreVerb
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.accounts.graphs import GRAPH_ROUNDS
from crmsync.providers.salesforce.accounts.names import OWN
from crmsync.providers.salesforce.bulk.polling import most_polls
from crmsync.providers.salesforce.objects.options import AccountMode, ActivityMode, PersonMode
from crmsync.providers.salesforce.retrieving import MAX_RETRIEVE
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.settings import ChannelName, SalesforceSettings
from crmsync.providers.salesforce.writing.choice import COLLECTION_ROWS, Choice, may_be_bulk
from crmsync.providers.salesforce.writing.writer import MODERATE

_VERBS: Final = 2
"""Creates and updates go in different calls."""
_JOB_ENDS: Final = 9
"""Create, upload, close, the question that follows a close whose answer was lost, an abort, results that are asked for
too early, three results."""
_LONGEST_CHARACTER: Final = 12
"""Four bytes, each as %XX."""
_USUAL_LENGTH: Final = 32
_ID_LENGTH: Final = 18
_QUOTES: Final = 9
"""Two quotes and a comma, encoded."""
_EMAIL_LENGTH: Final = 80
"""Characters of a field of the type Email ("Field Types", Object Reference); longer addresses are not looked for."""
_KEY_LENGTH: Final = 64
_DESCRIBES: Final = 5
"""Contact, Lead, Task, CampaignMember, Account."""
_FEW_DESCRIBES: Final = 2


def estimate(
    use: StoreUse, sobject: SObject, key_field: str | None, choice: Choice, settings: SalesforceSettings
) -> CallEstimate:
    """The calls of one use; ``choice`` is how so many rows would be written now."""
    if not use.items:
        return CallEstimate()
    match use.verb:
        case StoreVerb.WRITE:
            back = _retrieving(use, use.fields, settings) if settings.read_back else CallEstimate()
            return _writing(use, choice, settings) + back
        case StoreVerb.GET:
            return _retrieving(use, use.fields, settings)
        case StoreVerb.FIND:
            return _finding(use, sobject, use.field)
        case StoreVerb.FIND_BY_KEY:
            return _finding(use, sobject, key_field) if key_field else CallEstimate()


def company_calls(items: int, account: SObject, key_field: str | None, settings: SalesforceSettings) -> CallEstimate:
    """What it takes besides to write so many names of companies.

    At the most all of them are new, one more look is needed after a graph whose answer was lost, and one at the end
    for those whose account is gone meanwhile. Graphs are only sent where they are no more than collections of the
    accounts and of the contacts, and some of them again without contacts that were refused.
    """
    if not items:
        return CallEstimate()
    columns = ("Id", "Name", key_field or "", "IsPersonAccount")
    name = account.fields.get("Name")
    look = _querying(items, _longest(name.length if name else None), _USUAL_LENGTH + _QUOTES, columns)
    if key_field:
        look += _querying(items, _USUAL_LENGTH + _QUOTES, _USUAL_LENGTH + _QUOTES, columns)
    if settings.accounts is not AccountMode.CREATE:
        return CallEstimate(2 * look.most, look.likely)
    calls = math.ceil(items / COLLECTION_ROWS)
    return CallEstimate(3 * look.most + (1 + 2 * GRAPH_ROUNDS) * calls, look.likely + calls)


def person_calls(use: StoreUse, settings: SalesforceSettings) -> CallEstimate:
    """What it takes besides where contacts may be persons: a look at those that are deleted or whose account is
    written, another for the contacts of new persons, and one page or job more for each of the two.
    """
    if not use.items:
        return CallEstimate()
    look, creates = _retrieving(use, (), settings), settings.person_accounts is PersonMode.CREATE
    job = _JOB_ENDS + most_polls(settings.bulk_wait_seconds) if may_be_bulk(use.items, settings.channel) else 0
    most = look.most + _also_apart(2, settings) + job
    likely = look.likely * (bool(set(OWN) & set(use.fields)) + creates)
    return CallEstimate(most * (1 + creates), likely)


def status_calls(items: int, settings: SalesforceSettings) -> CallEstimate:
    """What it takes besides to write the status of so many campaign members: their campaigns, and what these have.

    Where missing ones are made, at the most each is another, and somebody else takes its place in the order: two more
    looks, two creates, a describe, and the org's id.
    """
    ids = _querying(items, _ID_LENGTH + _QUOTES, _ID_LENGTH + _QUOTES, ())
    members = _retrieving(StoreUse(StoreVerb.GET, items), (), settings)
    if not items:
        return CallEstimate()
    told = CallEstimate(ids.most + members.most, members.likely + 1)
    if settings.campaigns.create_member_statuses:
        told += CallEstimate(2 * (ids.most + _saving(items, settings).most) + 2, 0)
    return told


def activity_calls(events: int, settings: SalesforceSettings) -> CallEstimate:
    """What it takes to log so many events: the people looked up and, where an event tells of one, changed; then the
    tasks, messages or members looked up and written.
    """
    if not events:
        return CallEstimate()
    people = _querying(events, _longest(_EMAIL_LENGTH), _USUAL_LENGTH + _QUOTES, ())
    keys = _querying(events, _longest(_KEY_LENGTH), _KEY_LENGTH + _QUOTES, ())
    ids = _querying(events, _ID_LENGTH + _QUOTES, _ID_LENGTH + _QUOTES, ())
    saving = _saving(events, settings)
    rows = math.ceil(events / COLLECTION_ROWS)
    match settings.activity:
        case ActivityMode.CAMPAIGN_MEMBER:
            telling = CallEstimate(3 * ids.most, 2 * ids.likely)
        case ActivityMode.EMAIL_MESSAGE:
            telling = CallEstimate(3 * keys.most + rows, 2 * keys.likely + rows)
        case _:
            telling = keys
    # Contacts and leads: their describes, those of what is written and of accounts, the look, the change.
    most = _DESCRIBES + 2 * people.most + 2 * saving.most + telling.most + saving.most
    return CallEstimate(most, _FEW_DESCRIBES + people.likely + telling.likely + saving.likely)


def _saving(items: int, settings: SalesforceSettings) -> CallEstimate:
    """Writes of whatever object, in the smallest batches that a store asks for, each read back."""
    most = CallEstimate()
    for start in range(0, items, MODERATE):
        use = StoreUse(StoreVerb.WRITE, min(MODERATE, items - start))
        most += _writing(use, _COLLECTIONS, settings) + _retrieving(use, (), settings)
    return most


def _longest(length: int | None) -> int:
    """The room that a text of so many characters takes at the most in a URI."""
    return (length or 255) * _LONGEST_CHARACTER + _QUOTES


def _writing(use: StoreUse, choice: Choice, settings: SalesforceSettings) -> CallEstimate:
    calls = math.ceil(use.items / COLLECTION_ROWS)
    most = _also_apart(min(use.items, calls + _VERBS - 1), settings)
    collections = CallEstimate(most, choice.calls(use.items))
    if not may_be_bulk(use.items, settings.channel):
        return collections
    # What a job loses sight of, or may not carry, goes through collections.
    most = _VERBS * (_JOB_ENDS + most_polls(settings.bulk_wait_seconds)) + collections.most
    return CallEstimate(most, choice.calls(use.items))


def _retrieving(use: StoreUse, fields: tuple[str, ...], settings: SalesforceSettings) -> CallEstimate:
    if any("." in name for name in fields):
        return _querying(use.items, _ID_LENGTH + _QUOTES, _ID_LENGTH + _QUOTES, fields)
    calls = math.ceil(use.items / MAX_RETRIEVE)
    return CallEstimate(_also_apart(calls, settings), math.ceil(calls / settings.collections_per_call))


def _also_apart(pages: int, settings: SalesforceSettings) -> int:
    """The calls of so many pages where each is sent twice: in vain with one other at the least, then by itself."""
    return pages + (pages // 2 if settings.collections_per_call > 1 else 0)


def _finding(use: StoreUse, sobject: SObject, field: str | None) -> CallEstimate:
    known = sobject.fields.get(field or "")
    longest = _longest(known.length if known else None)
    return _querying(use.items, longest, _USUAL_LENGTH + _QUOTES, use.fields)


def _querying(values: int, longest: int, usual: int, fields: tuple[str, ...]) -> CallEstimate:
    """Queries whose values fit into a URI. Each answers in one piece: see `retrieving` on whole batches."""
    room = soql.MAX_ENCODED - soql.encoded_length(soql.Soql(",".join(fields))) - _AROUND
    return CallEstimate(
        math.ceil(values / max(1, room // longest)),
        math.ceil(values / max(1, room // usual)),
    )


_COLLECTIONS: Final = Choice(ChannelName.COLLECTIONS, "the usual way")
_AROUND: Final = 400
"""The rest of a query: its words, the columns that every reader adds, the object's name."""
