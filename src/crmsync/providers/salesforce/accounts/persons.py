"""Contacts of person accounts, where what is asked of them is their account's.

"Person Account Record Types" (SOAP API Developer Guide): such a contact can be modified, by any channel, like any
other. It cannot be deleted by itself: its account is. And it is the only one of its account for good: a call that
names another account or record type is refused as a whole (Salesforce Help 005305352 on the record type), and whom it
reports to does not show.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import anyio
import attrs

from crmsync.errors import ProviderError, RecordError, RejectedError
from crmsync.models.records import MISSING, Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.providers.salesforce.accounts.names import COMPANY, OWN
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.retrieving import retrieve
from crmsync.providers.salesforce.rows import IS_PERSON, RowReader
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.writing import Writer
from crmsync.providers.salesforce.writing.bulk import BulkChannel
from crmsync.providers.salesforce.writing.collections import CollectionsChannel
from crmsync.providers.salesforce.writing.reconciling import Reconciler
from crmsync.providers.salesforce.writing.rows import Writes

_ACCOUNT: Final = "AccountId"


class PersonWriter:
    """Writes like a `Writer`, and deletes the accounts of those contacts that are persons.

    Which contacts are persons is asked only where something is to be written that they take differently.
    ``accounts`` writes accounts.
    """

    def __init__(
        self,
        inner: Writes,
        client: SalesforceClient,
        reader: Callable[[], Awaitable[RowReader]],
        accounts: Writes,
    ) -> None:
        self._inner = inner
        self._client = client
        self._reader = reader
        self._accounts = accounts

    @property
    def batch(self) -> int:
        """See `Writer.batch`."""
        return self._inner.batch

    async def write(self, operations: Sequence[Operation]) -> list[Outcome]:
        """See `Writer.write`."""
        persons = await self._persons(operations)
        if not persons:
            return await self._inner.write(operations)
        outcomes: dict[int, Outcome] = {}
        due: dict[int, Operation] = {}
        gone: dict[int, Operation] = {}
        left: dict[int, tuple[RecordError, ...]] = {}
        for position, operation in enumerate(operations):
            account = persons.get(_id(operation))
            if account is None:
                due[position] = operation
            elif operation.kind is OperationKind.DELETE:
                gone[position] = attrs.evolve(operation, id=account)
            else:
                rest, left[position] = _parted(operation)
                if rest.fields or operation.key is not None:
                    due[position] = rest
                elif left[position]:
                    outcomes[position] = _failed(operation, left[position][0])
                else:
                    outcomes[position] = Outcome(operation.op_id, OutcomeStatus.UPDATED, operation.id)
        if due:
            written = await self._inner.write(list(due.values()))
            for position, outcome in zip(due, written, strict=True):
                unwritten = left.get(position, ()) if outcome.ok else ()
                outcomes[position] = attrs.evolve(outcome, unwritten=(*outcome.unwritten, *unwritten))
        outcomes |= await self._deleted(operations, gone, partly=bool(due))
        return [outcomes[position] for position in range(len(operations))]

    async def _persons(self, operations: Sequence[Operation]) -> Mapping[str, str]:
        """The accounts of those that are persons, by the contact's id."""
        asked = dict.fromkeys(_id(operation) for operation in operations if _may_differ(operation))
        wanted = [contact for contact in asked if contact]
        if not wanted:
            return {}
        found = await retrieve(self._client, await self._reader(), wanted, (IS_PERSON, _ACCOUNT))
        accounts = {each.id: each.fields.get(_ACCOUNT) for each in found.values() if each.fields.get(IS_PERSON) is True}
        return {contact: account for contact, account in accounts.items() if isinstance(account, str)}

    async def _deleted(
        self, operations: Sequence[Operation], gone: Mapping[int, Operation], *, partly: bool
    ) -> dict[int, Outcome]:
        """Delete accounts; the outcomes are those of the contacts, which go with them."""
        if not gone:
            return {}
        try:
            answered = await self._accounts.write(list(gone.values()))
        except ProviderError as error:
            if not partly:
                raise
            return {position: _failed(operations[position], error) for position in gone}
        return {
            position: attrs.evolve(outcome, id=operations[position].id)
            for position, outcome in zip(gone, answered, strict=True)
        }


def open_account_writer(
    client: SalesforceClient,
    account: SObject,
    user_id: Callable[[], Awaitable[str | None]],
    limiter: anyio.CapacityLimiter,
) -> Writer:
    """What writes the accounts that are persons."""
    collections = CollectionsChannel(client, "Account", None, limiter, Reconciler(client, account, user_id))
    return Writer(client, account, None, collections, BulkChannel(client, "Account", None))


def _may_differ(operation: Operation) -> bool:
    deletes, updates = operation.kind is OperationKind.DELETE, operation.kind is OperationKind.UPDATE
    return deletes or (updates and any(operation.fields.get(name, MISSING) is not MISSING for name in OWN))


def _parted(operation: Operation) -> tuple[Operation, tuple[RecordError, ...]]:
    """What of an update its contact can take, and why it cannot take the rest. It has no company, as it may be told."""
    fields = {name: value for name, value in operation.fields.items() if name not in OWN}
    asked = {name for name in OWN if operation.fields.get(name, MISSING) is not MISSING}
    if operation.fields.get(COMPANY) is None:
        asked.discard(COMPANY)
    errors = tuple(_refused(name) for name in OWN if name in asked)
    return attrs.evolve(operation, fields=fields), errors


def _refused(name: str) -> RecordError:
    what = "no company but the person itself" if name in (COMPANY, _ACCOUNT) else f"no {name} of its own"
    return RejectedError(
        f"the contact is a person account's, which has {what}: clear the value, stop mapping it to the CRM, or ignore"
        " this reject",
        code="person_account",
        field=name,
    )


def _failed(operation: Operation, error: ProviderError | RecordError) -> Outcome:
    return Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, error)


def _id(operation: Operation) -> str:
    return full_id(operation.id or "") or ""
