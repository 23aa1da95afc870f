"""Whatever becomes of the pages of a call, each row gets one outcome, and nothing is created twice."""

from __future__ import annotations

import json
import random
from typing import Any

import anyio
import attrs
import httpx2
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.errors import RejectedError, TransientError
from crmsync.models.records import OutcomeStatus
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce.auth import AccessToken, TokenEndpoint
from crmsync.providers.salesforce.client import SalesforceClient, open_http
from crmsync.providers.salesforce.schema import read_describe
from crmsync.providers.salesforce.settings import read_settings
from crmsync.providers.salesforce.writing.collections import CollectionsChannel
from crmsync.providers.salesforce.writing.outcomes import Sent
from crmsync.providers.salesforce.writing.reconciling import Reconciler
from crmsync.providers.salesforce.writing.rows import Row, Verb
from crmsync.testing.salesforce import API_USER_ID, DEFAULT_TOKEN, SalesforceOrg, row_lock
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock

KEY = "MarkMail_Id__c"
URL = "https://acme.my.salesforce.com"
PAGE = 3
CALLS = ("answered", "dropped", "dropped after its effect", "refused", "odd")
PAGES = ("answered", "halted", "refused", "failed", "failed after its effect", "left out", "odd")


@attrs.define
class Meddler(httpx2.AsyncBaseTransport):
    """Passes requests on to an org, but for some pages of calls that hold several, or all of such a call."""

    inner: InProcessTransport
    chance: random.Random
    fates: tuple[str, ...]
    joined: int = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/composite"):
            return await self.inner.handle_async_request(request)
        self.joined += 1
        body = json.loads(await request.aread())
        fate = self.chance.choice(CALLS) if "call" in self.fates else "answered"
        if fate == "dropped":
            raise httpx2.ReadError("cut", request=request)
        if fate == "refused":
            return httpx2.Response(400, json=[{"errorCode": "JSON_PARSER_ERROR", "message": "no"}])
        answers = await self._answers(request, body)
        if fate == "dropped after its effect":
            raise httpx2.ReadError("cut", request=request)
        return httpx2.Response(200, json=[] if fate == "odd" else {"compositeResponse": answers})

    async def _answers(self, request: httpx2.Request, body: Any) -> list[Any]:
        """The answers to the subrequests; those that are held back are never passed on."""
        fates = {
            each["referenceId"]: self.chance.choice(PAGES) if "page" in self.fates else "answered"
            for each in body["compositeRequest"]
        }
        kept = [each for each in body["compositeRequest"] if fates[each["referenceId"]] not in _HELD_BACK]
        found: dict[str, Any] = {}
        if kept:
            content = json.dumps({**body, "compositeRequest": kept}).encode()
            headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
            passed = httpx2.Request(request.method, request.url, headers=headers, content=content)
            answer = await self.inner.handle_async_request(passed)
            found = {each["referenceId"]: each for each in json.loads(await answer.aread())["compositeResponse"]}
        told = [_told(fate, name, found.get(name)) for name, fate in fates.items()]
        return [answer for answer in told if answer is not None]


_HELD_BACK = {
    "halted": (400, "PROCESSING_HALTED"),
    "refused": (404, "NOT_FOUND"),
    "failed": (503, "SERVER_UNAVAILABLE"),
}


def _told(fate: str, name: str, answer: Any) -> Any:
    if fate in _HELD_BACK:
        status, code = _HELD_BACK[fate]
        return {"body": [{"errorCode": code, "message": "m"}], "httpStatusCode": status, "referenceId": name}
    if fate == "failed after its effect":
        return {"body": None, "httpStatusCode": 500, "referenceId": name}
    if fate == "left out":
        return None
    return {**answer, "body": answer["body"][:-1]} if fate == "odd" else answer


@attrs.frozen
class Trouble:
    """What goes wrong, and how many rows meet a lock."""

    seed: int
    fates: tuple[str, ...]
    locked: int
    pace: str
    backend: str


TROUBLES = st.builds(
    Trouble,
    seed=st.integers(0, 2**16),
    fates=st.sampled_from([("call",), ("page",), ("call", "page"), ()]),
    locked=st.sampled_from([0, 1, 5, 12]),
    pace=st.sampled_from(['{"call": 0, "collection": 0}', '{"call": 0.1, "collection": 1.5}']),
    backend=st.sampled_from(["asyncio", "trio"]),
)
COUNTS = st.sampled_from([24, 11, 7, 1])
PLACES = st.sets(st.integers(0, 23))


async def through_collections(verb: Verb, rows: list[Row], org: SalesforceOrg, clock: FakeClock, it: Trouble) -> Sent:
    """Send rows, three a page, while some of it goes wrong."""
    org.faults.reject(row_lock("Contact", lambda row: row.get("Title") != "none", times=it.locked))
    meddler = Meddler(InProcessTransport(org), random.Random(it.seed), it.fates)
    checked = read_settings({"instance_url": URL, "retry_wait": 0})
    context = ProviderContext(clock, RunBudget(), memory={"pace": it.pace})

    async def user() -> str | None:
        return API_USER_ID

    async with open_http(checked, meddler) as http:
        auth = AccessToken(SecretStr(DEFAULT_TOKEN), URL, TokenEndpoint(http, checked))
        client = SalesforceClient(checked, auth, context, http)
        described = await client.call("GET", "/sobjects/Contact/describe")
        sobject = read_describe(described.body)
        channel = CollectionsChannel(
            client,
            "Contact",
            KEY,
            anyio.CapacityLimiter(4),
            Reconciler(client, sobject, user),
            page_rows=PAGE,
        )
        return await channel.send(verb, rows)


def row(verb: Verb, place: int, target: str, **values: object) -> Row:
    """The row at a place: of an id, of a key, or of nothing that another one could share."""
    own = {Verb.UPSERT: {KEY: target}, Verb.INSERT: {}}.get(verb, {"Id": target})
    name = {Verb.UPSERT: f"key {target}", Verb.INSERT: f"new {place}"}.get(verb, target)
    return Row(place, f"op {place}", verb, name, "", own.get("Id"), {**own, **values})


@settings(max_examples=60, deadline=None)
@given(
    verb=st.sampled_from([Verb.UPSERT, Verb.INSERT]),
    count=st.integers(0, 24),
    bad=st.sets(st.integers(0, 23)),
    trouble=TROUBLES,
)
def test_new_records_are_made_once_and_each_row_is_told_what_became_of_it(
    verb: Verb, count: int, bad: set[int], trouble: Trouble
) -> None:
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now)
    emails = ["none" if place in bad else f"p{place}@example.org" for place in range(count)]
    rows = [row(verb, n, f"k{n:02}", LastName=f"L{n}", Email=email, Title=email) for n, email in enumerate(emails)]
    sent = anyio.run(through_collections, verb, rows, org, clock, trouble, backend=trouble.backend)
    held = {record["Email"]: record["Id"] for record in org.records("Contact")}
    assert len(held) == len(org.records("Contact")), "nothing is made twice"
    assert set(sent.outcomes) == set(range(count))
    for place, outcome in sent.outcomes.items():
        assert outcome.op_id == f"op {place}"
        if place in bad:
            assert isinstance(outcome.error, RejectedError)
            assert outcome.error.code == "INVALID_EMAIL_ADDRESS"
        elif outcome.ok:
            assert outcome.id == held[emails[place]]
        else:
            assert isinstance(outcome.error, TransientError)
            assert emails[place] not in held
            assert trouble.locked, "only locks can last"


@settings(max_examples=40, deadline=None)
@given(
    verb=st.sampled_from([Verb.UPDATE, Verb.DELETE]),
    count=st.integers(0, 24),
    gone=st.sets(st.integers(0, 23)),
    trouble=TROUBLES,
)
def test_a_row_of_a_known_record_is_told_what_became_of_that_record(
    verb: Verb, count: int, gone: set[int], trouble: Trouble
) -> None:
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now)
    ids = [org.create("Contact", {"LastName": f"L{number}"}) for number in range(count)]
    for place in gone & set(range(count)):
        org.delete("Contact", ids[place])
    values = {"Title": "new"} if verb is Verb.UPDATE else {}
    rows = [row(verb, place, record_id, **values) for place, record_id in enumerate(ids)]
    sent = anyio.run(through_collections, verb, rows, org, clock, trouble, backend=trouble.backend)
    assert set(sent.outcomes) == set(range(count))
    done = {OutcomeStatus.UPDATED} if verb is Verb.UPDATE else {OutcomeStatus.DELETED, OutcomeStatus.MISSING}
    titles = {record["Id"]: record["Title"] for record in org.records("Contact")}
    for place, outcome in sent.outcomes.items():
        assert outcome.op_id == f"op {place}"
        if place in gone:
            assert outcome.status is OutcomeStatus.MISSING
        elif outcome.status in done:
            assert titles.get(ids[place]) == ("new" if verb is Verb.UPDATE else None)
        else:
            assert isinstance(outcome.error, TransientError)
            assert titles[ids[place]] is None
