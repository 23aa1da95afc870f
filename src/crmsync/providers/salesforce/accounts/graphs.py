"""Accounts with their contacts in one call: a graph for each company, which takes effect as a whole or not at all.

"Composite Graph" and "Composite Graph Limits", REST API Developer Guide. A contact that is refused takes its account
and the other contacts of the company with it. So nobody's account is made for the sake of a contact that does not come;
the company is sent again without that one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import attrs

from crmsync.errors import CRMError, RecordError
from crmsync.models.records import Outcome
from crmsync.providers.salesforce.accounts.directory import Accounts
from crmsync.providers.salesforce.accounts.names import collapsed, key_of
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.errors import row_error
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.values import encode_object
from crmsync.providers.salesforce.writing.outcomes import refused, saved
from crmsync.providers.salesforce.writing.pages import MAX_ROWS
from crmsync.providers.salesforce.writing.rows import Row, Verb

MAX_NODES: Final = 200
"""Nodes that we put into a call. Salesforce takes 500, but does not say that it saves nodes together, as it does the
rows of a collection: one by one, so many may take longer than a call is waited for."""
MAX_GRAPHS: Final = 75
GRAPH_ROUNDS: Final = 3
"""How often a company is sent as a graph, each time without a contact that was refused: one is told at a time."""
FIRST_VERSION: Final = 50.0
_HALTED: Final = "PROCESSING_HALTED"
ACCOUNT: Final = "@{account.id}"
"""What stands for the account's id in the rows of its contacts."""


@attrs.frozen(slots=True)
class Company:
    """An account to make, and the rows of its contacts."""

    folded: str
    name: str = attrs.field(repr=False)
    rows: Sequence[Row]

    @property
    def nodes(self) -> int:
        return len(self.rows) + 1


@attrs.frozen(slots=True)
class Made:
    """What took effect: accounts by folded name, and the outcomes of their contacts by position.

    Of companies that failed there are the outcomes of the contacts for whose sake they did. ``again`` are those that
    may do without them, or were not looked at; the others are to be done another way.
    """

    accounts: dict[str, str] = attrs.field(factory=dict)
    outcomes: dict[int, Outcome] = attrs.field(factory=dict)
    again: list[Company] = attrs.field(factory=list)


def fits(company: Company) -> bool:
    """Whether a company can be a graph.

    Its rows can be told apart when they are sent again (else a lost answer would make records twice), and no value of
    theirs reads as a reference to another node: there is no way to quote one.
    """
    texts = [company.name, *(value for row in company.rows for value in _own(row) if isinstance(value, str))]
    return (
        company.nodes <= MAX_NODES
        and all(row.verb in (Verb.UPSERT, Verb.UPDATE) for row in company.rows)
        and not any("@{" in text for text in texts)
    )


def _own(row: Row) -> Iterator[object]:
    return (value for name, value in row.values.items() if name != "AccountId")


def packed(companies: Sequence[Company]) -> list[list[Company]]:
    """The companies in as many calls as the limits of a payload ask for, in order."""
    calls: list[list[Company]] = []
    nodes = MAX_NODES
    for company in companies:
        if nodes + company.nodes > MAX_NODES or len(calls[-1]) == MAX_GRAPHS:
            calls.append([])
            nodes = 0
        calls[-1].append(company)
        nodes += company.nodes
    return calls


def worthwhile(companies: Sequence[Company], *, accounts: int, rows: int, together: int) -> bool:
    """Whether graphs take fewer calls than collections of so many accounts and rows in all; a single one, as many.

    ``together`` is how many collections go in a call.
    """

    def calls(count: int) -> int:
        return math.ceil(count / MAX_ROWS / together)

    in_graphs = sum(len(company.rows) for company in companies)
    without = calls(accounts) + calls(rows)
    graphs = len(packed(companies))
    with_graphs = graphs + calls(accounts - len(companies)) + calls(rows - in_graphs)
    return bool(companies) and (with_graphs < without or (graphs == 1 and with_graphs == without))


class GraphChannel:
    """Sends companies as graphs. Only while holding the ``making`` of the accounts."""

    def __init__(self, client: SalesforceClient, accounts: Accounts, object_name: str, contact_key: str | None) -> None:
        self._client = client
        self._accounts = accounts
        self._object = object_name
        self._contact_key = contact_key

    async def works(self) -> bool:
        """Whether the API version in use has graphs."""
        return float(await self._client.version()) >= FIRST_VERSION

    async def send(self, companies: Sequence[Company]) -> Made:
        """Send them, and tell what took effect. What did not is not in the answer, and may be sent another way.

        :raises LostAnswerError: a call's answer was lost, and its accounts have no key to make them again by.
        """
        made = Made()
        for call in packed(companies):
            answer = await self._client.call(
                "POST",
                "/composite/graph",
                content=await self._payload(call),
                repeatable=self._accounts.key_field is not None,
            )
            self._read(answer.body, call, made)
            await self._client.back_off.heed_parts(_refusals(answer.body))
        self._accounts.note(made.accounts)
        return made

    async def _payload(self, companies: Sequence[Company]) -> bytes:
        base = f"/services/data/v{await self._client.version()}/sobjects"
        graphs = []
        for number, company in enumerate(companies):
            nodes = [self._account(base, company), *(self._contact(base, row) for row in company.rows)]
            graphs.append(f'{{"graphId":"g{number}","compositeRequest":[{",".join(nodes)}]}}')
        return f'{{"graphs":[{",".join(graphs)}]}}'.encode()

    def _account(self, base: str, company: Company) -> str:
        values = {"Name": collapsed(company.name)}
        key = self._accounts.key_field
        if key is None:
            return self._node("POST", f"{base}/Account/", "account", values)
        return self._node("PATCH", f"{base}/Account/{key}/{key_of(company.folded)}", "account", values)

    def _contact(self, base: str, row: Row) -> str:
        key = self._contact_key if row.verb is Verb.UPSERT else "Id"
        values = {name: value for name, value in row.values.items() if name != key}
        target = f"{base}/{self._object}"
        if row.verb is Verb.UPSERT:
            url = f"{target}/{key}/{quote(str(row.values[key or '']), safe='')}"
        else:
            url = f"{target}/{row.target}"
        return self._node("PATCH", url, f"r{row.position}", values)

    def _node(self, method: str, url: str, reference: str, values: Mapping[str, object]) -> str:
        head = {"method": method, "url": url, "referenceId": reference}
        if self._client.settings.saving_headers:
            head["httpHeaders"] = dict(self._client.settings.saving_headers)  # type: ignore[assignment]
        return f'{json.dumps(head)[:-1]},"body":{encode_object(values)}}}'

    def _read(self, body: Any, companies: Sequence[Company], made: Made) -> None:
        answers = {graph.get("graphId"): graph for graph in _graphs(body)}
        for number, company in enumerate(companies):
            graph = answers.get(f"g{number}", {})
            results = _results(graph)
            account = _body(results.get("account")).get("id")
            account_id = full_id(account) if isinstance(account, str) else None
            if graph.get("isSuccessful") is not True or account_id is None:
                _note_failed(company, results, made)
                continue
            made.accounts[company.folded] = account_id
            for row in company.rows:
                answer = _body(results.get(f"r{row.position}"))
                made.outcomes[row.position] = saved(row, answer.get("id"), created=answer.get("created") is True)


def _note_failed(company: Company, results: Mapping[str, Any], made: Made) -> None:
    told = {row.position: _errors(results.get(f"r{row.position}")) for row in company.rows}
    answers = {row.position: refused(row, told[row.position]) for row in company.rows if told[row.position]}
    # Whatever may be about the account, or pass, is said of the row alone when it is sent by itself.
    final = {
        position: outcome
        for position, outcome in answers.items()
        if outcome.error is None or (isinstance(outcome.error, RecordError) and outcome.error.field != "AccountId")
    }
    made.outcomes.update(final)
    rest = [row for row in company.rows if row.position not in final]
    unseen = not answers and not _errors(results.get("account"))
    if rest and (unseen or len(final) == len(answers) > 0):
        made.again.append(attrs.evolve(company, rows=rest))


def _errors(result: Any) -> list[Any]:
    """What was wrong with a node itself; nothing where it only shared the fate of the others."""
    body = result.get("body") if isinstance(result, Mapping) else None
    errors = [each for each in body if isinstance(each, Mapping)] if isinstance(body, list) else []
    return [each for each in errors if each.get("errorCode", _HALTED) != _HALTED]


def _refusals(body: Any) -> Iterator[CRMError]:
    """What was wrong with nodes, in all graphs of an answer."""
    for graph in _graphs(body):
        yield from (row_error(errors) for result in _results(graph).values() if (errors := _errors(result)))


def _graphs(body: Any) -> Sequence[Mapping[str, Any]]:
    graphs = body.get("graphs") if isinstance(body, Mapping) else None
    return [graph for graph in graphs or () if isinstance(graph, Mapping)]


def _results(graph: Mapping[str, Any]) -> Mapping[str, Any]:
    response = graph.get("graphResponse")
    results = response.get("compositeResponse") if isinstance(response, Mapping) else None
    return {str(each.get("referenceId")): each for each in results or () if isinstance(each, Mapping)}


def _body(result: Any) -> Mapping[str, Any]:
    body = result.get("body") if isinstance(result, Mapping) else None
    return body if isinstance(body, Mapping) else {}
