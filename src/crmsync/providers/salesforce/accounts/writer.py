"""Contacts with their company's name, written with their account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from crmsync.errors import ProviderError, RecordError, RejectedError, SchemaChangedError, UnavailableError
from crmsync.models.records import MISSING, Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.providers.salesforce.accounts.directory import Accounts, missing
from crmsync.providers.salesforce.accounts.graphs import ACCOUNT, GRAPH_ROUNDS, Company, GraphChannel, fits, worthwhile
from crmsync.providers.salesforce.accounts.names import COMPANY, folded
from crmsync.providers.salesforce.backoff import LostAnswerError
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.errors import is_malformed
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.settings import ChannelName
from crmsync.providers.salesforce.writing.rows import Row, plan_writes
from crmsync.providers.salesforce.writing.writer import Writer

_SETTLE_SECONDS: Final = 2.0
"""A call whose connection broke may still be at work; its commit is waited for."""

Resolved = Mapping[str, str | RecordError]


class AccountWriter:
    """Writes like a `Writer`, and takes ``Account.Name`` for the account of that name.

    The account is made first where it is to be made. A name that means no one account stays unwritten while the rest of
    its contact is written.
    """

    def __init__(
        self, inner: Writer, client: SalesforceClient, contact: SObject, key_field: str | None, accounts: Accounts
    ) -> None:
        self._inner = inner
        self._client = client
        self._contact = contact
        self._key_field = key_field
        self._accounts = accounts
        self._graphs = GraphChannel(client, accounts, contact.schema.name, key_field)

    @property
    def batch(self) -> int:
        """See `Writer.batch`."""
        return self._inner.batch

    async def write(self, operations: Sequence[Operation]) -> list[Outcome]:
        """See `Writer.write`."""
        names = {position: name for position, op in enumerate(operations) if (name := _company(op))}
        if not any(COMPANY in operation.fields for operation in operations):
            return await self._inner.write(operations)
        resolved: dict[str, str | RecordError] = dict(self._accounts.known(names.values()))
        outcomes: dict[int, Outcome] = {}
        if not _unknown(names, resolved):
            return await self._save(operations, names, resolved, outcomes)
        if not (self._accounts.creates and self._accounts.may_create):
            resolved |= await self._accounts.find(_unknown(names, resolved))
            return await self._save(operations, names, resolved, outcomes)
        async with self._accounts.making():
            resolved |= await self._accounts.find(_unknown(names, resolved))
            if _unknown(names, resolved):
                outcomes = await self._make(operations, names, resolved)
        return await self._save(operations, names, resolved, outcomes)

    async def _make(
        self, operations: Sequence[Operation], names: Mapping[int, str], resolved: dict[str, str | RecordError]
    ) -> dict[int, Outcome]:
        """Make the accounts that are missing; the outcomes of contacts that were written along with them."""
        outcomes: dict[int, Outcome] = {}
        companies = self._companies(operations, names, resolved)
        graphs = [company for company in companies if company.rows and fits(company)]
        if await self._choose_graphs(graphs, accounts=len(companies), rows=len(operations)):
            try:
                await self._send(graphs, resolved, outcomes)
            except LostAnswerError:
                await self._client.clock.sleep(_SETTLE_SECONDS)
                resolved |= await self._accounts.find(_unknown(names, resolved))
            except ProviderError as error:
                # Refused as a whole, for one of its values or for want of the resource: collections are left.
                if not is_malformed(error) and not isinstance(error, SchemaChangedError):
                    raise
        rest = _unknown({at: name for at, name in names.items() if at not in outcomes}, resolved)
        if rest:
            resolved |= await self._accounts.create(rest)
        return outcomes

    async def _send(
        self, graphs: Sequence[Company], resolved: dict[str, str | RecordError], outcomes: dict[int, Outcome]
    ) -> None:
        """Send companies as graphs, those that failed once more without the contacts for whose sake they did."""
        for _ in range(GRAPH_ROUNDS):
            made = await self._graphs.send(graphs)
            resolved |= made.accounts
            outcomes |= made.outcomes
            graphs = made.again
            if not graphs:
                return

    async def _choose_graphs(self, graphs: Sequence[Company], *, accounts: int, rows: int) -> bool:
        choice = self._inner.choice(rows)
        if choice.channel is ChannelName.BULK:
            return False
        fewer = worthwhile(graphs, accounts=accounts, rows=rows, together=choice.together)
        return fewer and await self._graphs.works()

    def _companies(
        self, operations: Sequence[Operation], names: Mapping[int, str], resolved: Resolved
    ) -> list[Company]:
        """The companies without an account. Without rows: some of their contacts cannot be part of a graph."""
        members: dict[str, list[int]] = {}
        for position, name in names.items():
            if folded(name) not in resolved:
                members.setdefault(folded(name), []).append(position)
        placed = [
            _with_account(operation, ACCOUNT) if position in names else operation
            for position, operation in enumerate(operations)
        ]
        plan = plan_writes(placed, self._contact, self._key_field)
        rows: dict[int, Row] = {}
        if len(plan.rounds) == 1:
            rows = {row.position: row for each in plan.rounds[0].values() for row in each}
        return [
            Company(name, names[positions[0]], [rows[p] for p in positions] if rows.keys() >= set(positions) else ())
            for name, positions in members.items()
        ]

    async def _save(
        self,
        operations: Sequence[Operation],
        names: Mapping[int, str],
        resolved: Resolved,
        outcomes: dict[int, Outcome],
    ) -> list[Outcome]:
        """Write the contacts that are not written yet, each with what is known of its account."""
        due: dict[int, Operation] = {}
        left: dict[int, RecordError] = {}
        for position, operation in enumerate(operations):
            if position in outcomes:
                continue
            account = self._account(operation, names.get(position), resolved)
            due[position] = _with_account(operation, account)
            if isinstance(account, RecordError):
                left[position] = account
                if not due[position].fields and operation.kind is OperationKind.UPDATE and operation.key is None:
                    del due[position]
                    outcomes[position] = Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, account)
        for position, outcome in zip(due, await self._written(list(due.values()), bool(outcomes)), strict=True):
            error = left.get(position)
            outcomes[position] = attrs.evolve(outcome, unwritten=(error,)) if error and outcome.ok else outcome
        await self._look_again(names, resolved, outcomes)
        return [outcomes[position] for position in range(len(operations))]

    async def _written(self, operations: Sequence[Operation], partly: bool) -> list[Outcome]:
        """The inner outcomes; once part of the batch took effect, a failing call is its rows' outcome."""
        if not operations:
            return []
        try:
            return await self._inner.write(operations)
        except ProviderError as error:
            if not partly:
                raise
            return [Outcome(op.op_id, OutcomeStatus.FAILED, op.id, error) for op in operations]

    async def _look_again(self, names: Mapping[int, str], resolved: Resolved, outcomes: dict[int, Outcome]) -> None:
        """Tell a contact that is gone from one whose account went since it was found: that one may be sent again.

        Salesforce says the same of both, and a contact that is taken for deleted may be deleted on the other side.
        """
        doubtful = [position for position in names if _is_doubtful(outcomes[position])]
        if not doubtful:
            return
        now = await self._accounts.find_anew(names[position] for position in doubtful)
        for position in doubtful:
            name, outcome = folded(names[position]), outcomes[position]
            if now.get(name) != resolved.get(name):
                gone = UnavailableError("the contact's account was deleted or merged meanwhile")
                outcomes[position] = Outcome(outcome.op_id, OutcomeStatus.FAILED, outcome.id, gone)

    def _account(self, operation: Operation, name: str | None, resolved: Resolved) -> object:
        """The account's id, None to leave it, MISSING if nothing is asked for, or why it cannot be told."""
        if COMPANY not in operation.fields or operation.fields[COMPANY] is MISSING:
            return MISSING
        if operation.fields.get("AccountId", MISSING) is not MISSING:
            return RejectedError("AccountId is written too: map one of the two", code="account_twice", field=COMPANY)
        if name is None:
            return MISSING if operation.kind is OperationKind.CREATE else None
        return resolved.get(folded(name)) or missing(self._client.settings.accounts)


def _is_doubtful(outcome: Outcome) -> bool:
    at_fault = isinstance(outcome.error, RecordError) and outcome.error.field == "AccountId"
    return outcome.status is OutcomeStatus.MISSING or at_fault


def _company(operation: Operation) -> str | None:
    """The company's name, if the operation writes one."""
    name = operation.fields.get(COMPANY)
    return name if isinstance(name, str) and folded(name) and "AccountId" not in operation.fields else None


def _unknown(names: Mapping[int, str], resolved: Resolved) -> list[str]:
    """Names without an answer, each as it is spelt first."""
    found: dict[str, str] = {}
    for name in names.values():
        if folded(name) not in resolved:
            found.setdefault(folded(name), name)
    return list(found.values())


def _with_account(operation: Operation, account: object) -> Operation:
    fields = {name: value for name, value in operation.fields.items() if name != COMPANY}
    if account is None or isinstance(account, str):
        fields["AccountId"] = account
    return attrs.evolve(operation, fields=fields)
