"""However the results of bulk jobs arrive, each row gets the outcome that is its own."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import attrs
import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.errors import RejectedError, UnavailableError
from crmsync.models.records import Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.providers.salesforce.auth import AccessToken, TokenEndpoint
from crmsync.providers.salesforce.client import SalesforceClient, open_http
from crmsync.providers.salesforce.settings import read_settings
from crmsync.providers.salesforce.writing.bulk import BulkChannel
from crmsync.providers.salesforce.writing.outcomes import Sent
from crmsync.providers.salesforce.writing.rows import Row, Verb
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock

KEY = "MarkMail_Id__c"
URL = "https://acme.my.salesforce.com"
SETTINGS = {"instance_url": URL, "retry_wait": 0, "channel": "bulk"}
FILES = ("successfulresults", "failedresults", "unprocessedrecords")
# Keys that differ in little, and in what CSV has to quote. Salesforce trims them.
KEYS = st.lists(
    st.text('aA",;é漢-', min_size=1, max_size=4).filter(lambda key: key == key.strip()),
    min_size=1,
    max_size=24,
    unique=True,
)


class Pieces(httpx2.AsyncByteStream):
    """A body that arrives in pieces."""

    def __init__(self, body: bytes, size: int) -> None:
        self._pieces = [body[start : start + size] for start in range(0, len(body), size)]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


@attrs.define
class Meddler(httpx2.AsyncBaseTransport):
    """Passes requests on to an org. Results come shuffled and cut anywhere, some rows twice, some not at all.

    ``told`` are the file and the row's key (or id) of all that arrived, ``lost`` of what did not.
    """

    inner: InProcessTransport
    chance: random.Random
    piece: int
    loses: float
    told: dict[str, str] = attrs.field(factory=dict)
    lost: set[str] = attrs.field(factory=set)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = await self.inner.handle_async_request(request)
        file = request.url.path.rpartition("/")[2].lower()
        if file not in FILES:
            return answer
        text = (await answer.aread()).decode()
        header, *rows = csv.reader(io.StringIO(text, newline=""))
        place = header.index(KEY if KEY in header else "Id")
        kept = []
        for row in rows:
            if row[place] in self.lost or (row[place] not in self.told and self.chance.random() < self.loses):
                self.lost.add(row[place])
            else:
                self.told[row[place]] = file
                kept += [row] * self.chance.choice([1, 1, 2])
        self.chance.shuffle(kept)
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([header, *kept])
        return httpx2.Response(
            200, headers={"Content-Type": "text/csv"}, stream=Pieces(out.getvalue().encode(), self.piece)
        )


@attrs.frozen
class Trouble:
    """How the results arrive, after how many records the first job fails, how large a job may be, and whether the
    first one was created before.
    """

    seed: int
    piece: int
    loses: float
    stops: int | None
    job_bytes: int
    begins: bool
    backend: str

    def meddler(self, org: SalesforceOrg) -> Meddler:
        """What stands before the org."""
        if self.stops is not None:
            org.faults.bulk.fail_next(after_records=self.stops)
        return Meddler(InProcessTransport(org), random.Random(self.seed), self.piece, self.loses)


TROUBLES = st.builds(
    Trouble,
    seed=st.integers(0, 2**16),
    piece=st.integers(1, 40),
    loses=st.sampled_from([0.0, 0.3, 1.0]),
    stops=st.none() | st.integers(0, 24),
    job_bytes=st.sampled_from([60, 200, 1_000_000]),
    begins=st.booleans(),
    backend=st.sampled_from(["asyncio", "trio"]),
)


def a_row(verb: Verb, position: int, target: str, values: dict[str, object]) -> Row:
    """A row of a key for an upsert, of an id for others."""
    record_id = None if verb is Verb.UPSERT else target
    own = {KEY: target} if verb is Verb.UPSERT else {"Id": target}
    name = f"key {target}" if verb is Verb.UPSERT else target
    return Row(position, f"op {position}", verb, name, "", record_id, {**own, **values})


async def through_jobs(verb: Verb, rows: Sequence[Row], trouble: Trouble, meddler: Meddler) -> Sent:
    """Send rows through a channel of jobs."""
    checked = read_settings(SETTINGS)
    context = ProviderContext(FakeClock(), RunBudget(), memory={})
    async with open_http(checked, meddler) as http:
        auth = AccessToken(SecretStr(DEFAULT_TOKEN), URL, TokenEndpoint(http, checked))
        client = SalesforceClient(checked, auth, context, http)
        channel = BulkChannel(client, "Contact", KEY, max_bytes=trouble.job_bytes)
        return await channel.send(verb, rows, await channel.begin(verb) if trouble.begins else None)


def check(org: SalesforceOrg, row: Row, outcome: Outcome, file: str, done: OutcomeStatus) -> None:
    """An outcome is the row's own, and that of the file which told it."""
    assert outcome.op_id == row.op_id
    if file == "unprocessedrecords":
        assert isinstance(outcome.error, UnavailableError)
    elif file == "failedresults":
        assert isinstance(outcome.error, RejectedError)
        assert outcome.error.code == "INVALID_EMAIL_ADDRESS"
        assert row.values["Email"] == "none"
    else:
        assert outcome.status is done
        assert outcome.id is not None
        stored = org.get("Contact", outcome.id)
        assert stored is not None
        assert row.target in (f"key {stored[KEY]}", stored["Id"])


@settings(max_examples=50)
@given(keys=KEYS, bad=st.sets(st.integers(0, 23)), trouble=TROUBLES)
def test_an_upsert_is_told_by_its_key(keys: list[str], bad: set[int], trouble: Trouble) -> None:
    org = SalesforceOrg()
    meddler = trouble.meddler(org)
    rows = [
        a_row(Verb.UPSERT, place, key, {"LastName": "Ng", "Email": "none" if place in bad else "a@example.org"})
        for place, key in enumerate(keys)
    ]
    sent = anyio.run(through_jobs, Verb.UPSERT, rows, trouble, meddler, backend=trouble.backend)
    assert set(sent.outcomes) == {row.position for row in rows if keys[row.position] in meddler.told}
    assert set(keys) == set(meddler.told) | meddler.lost
    for place, outcome in sent.outcomes.items():
        check(org, rows[place], outcome, meddler.told[keys[place]], OutcomeStatus.CREATED)


@pytest.mark.parametrize("verb,done", [(Verb.UPDATE, OutcomeStatus.UPDATED), (Verb.DELETE, OutcomeStatus.DELETED)])
@settings(max_examples=30)
@given(count=st.integers(1, 24), bad=st.sets(st.integers(0, 23)), trouble=TROUBLES)
def test_an_update_or_delete_is_told_by_its_id(
    verb: Verb, done: OutcomeStatus, count: int, bad: set[int], trouble: Trouble
) -> None:
    org = SalesforceOrg()
    ids = [org.create("Contact", {"LastName": f"Name {number}"}) for number in range(count)]
    meddler = trouble.meddler(org)
    rows = []
    for place, record_id in enumerate(ids):
        values: dict[str, object] = {"Email": "none" if place in bad else "a@example.org"}
        rows.append(a_row(verb, place, record_id, values if verb is Verb.UPDATE else {}))
    sent = anyio.run(through_jobs, verb, rows, trouble, meddler, backend=trouble.backend)
    assert set(sent.outcomes) == {row.position for row in rows if ids[row.position] in meddler.told}
    assert set(ids) == set(meddler.told) | meddler.lost
    for place, outcome in sent.outcomes.items():
        check(org, rows[place], outcome, meddler.told[ids[place]], done)


@settings(max_examples=50)
@given(keys=KEYS, bad=st.sets(st.integers(0, 23)), trouble=TROUBLES)
def test_a_store_answers_for_every_row_also_those_that_no_file_tells_of(
    keys: list[str], bad: set[int], trouble: Trouble
) -> None:
    org = SalesforceOrg()
    meddler = trouble.meddler(org)
    operations = [
        Operation(f"op {place}", OperationKind.CREATE, None, key=key, fields={"LastName": "Ng", "Email": address})
        for place, key in enumerate(keys)
        for address in ["none" if place in bad else "a@example.org"]
    ]

    async def write() -> Sequence[Outcome]:
        credentials = {"access_token": SecretStr(DEFAULT_TOKEN)}
        context = ProviderContext(FakeClock(), RunBudget(), memory={})
        async with SalesforceProviderFactory(meddler).open(SETTINGS, credentials, context) as provider:
            store = await provider.records("Contact")
            return await store.write(operations)

    outcomes = anyio.run(write, backend=trouble.backend)
    assert [outcome.op_id for outcome in outcomes] == [operation.op_id for operation in operations]
    stored: dict[str, Any] = {contact[KEY]: contact["Id"] for contact in org.records("Contact")}
    assert len(stored) == len(org.records("Contact"))
    for place, (key, outcome) in enumerate(zip(keys, outcomes, strict=True)):
        if isinstance(outcome.error, UnavailableError):
            assert key not in stored
        elif place in bad:
            assert isinstance(outcome.error, RejectedError)
            assert key not in stored
        else:
            assert outcome.id == stored[key]
