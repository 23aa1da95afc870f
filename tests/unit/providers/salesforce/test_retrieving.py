"""Records by their ids: 2,000 a page, several pages a call, and a call each where that does not work."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.errors import UnexpectedResponseError
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProviderFactory, retrieving
from crmsync.testing.salesforce import DEFAULT_TOKEN, SalesforceOrg
from crmsync.testing.salesforce.faults import Faults
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.conftest import URL, Connect, answer
from tests.unit.providers.salesforce.writing.conftest import RecordingTransport

pytestmark = pytest.mark.anyio

PAGE = "/composite/sobjects/Contact"
TOGETHER = "/composite"


def is_joined(_method: str, path: str) -> bool:
    return path.endswith(TOGETHER)


def refused(faults: Faults) -> None:
    error = {"errorCode": "LIMIT_EXCEEDED", "message": "no"}
    answer = {"compositeResponse": [{"body": [error], "httpStatusCode": 400, "referenceId": None}]}
    faults.fail_next(status=400, body=answer, path=is_joined)


def failed_in_part(faults: Faults) -> None:
    error = {"errorCode": "UNKNOWN_EXCEPTION", "message": "no"}
    answers = [
        {"body": [], "httpStatusCode": 200, "referenceId": "page0"},
        {"body": [error], "httpStatusCode": 500, "referenceId": "page1"},
    ]
    faults.fail_next(status=200, body={"compositeResponse": answers}, path=is_joined)


TROUBLES: dict[str, Callable[[Faults], None]] = {
    "none": Faults.clear,
    "lost": lambda faults: faults.drop_next(path=is_joined),
    "refused": refused,
    "failed in part": failed_in_part,
}


async def test_pages_share_a_call_and_have_their_own_where_that_fails() -> None:
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now)
    ids = [org.create("Contact", {"LastName": f"Last {number}"}) for number in range(2_100)]
    org.delete("Contact", ids[7])
    sent = RecordingTransport(InProcessTransport(org))
    settings = {"instance_url": URL, "retry_wait": 0.0}
    token = {"access_token": SecretStr(DEFAULT_TOKEN)}
    taken: dict[str, list[str]] = {}
    async with SalesforceProviderFactory(sent).open(settings, token, ProviderContext(clock, RunBudget())) as provider:
        store = await provider.records("Contact")
        await store.get(ids[:1], fields=["LastName"])
        for name, trouble in TROUBLES.items():
            trouble(org.faults)
            sent.calls.clear()
            found = await store.get(ids, fields=["LastName"])
            taken[name] = [call.path for call in sent.calls]
            assert set(found) == {*ids} - {ids[7]}, name
            assert all(found[record_id].fields["LastName"] == f"Last {n}" for n, record_id in enumerate(ids) if n != 7)
    assert taken.pop("none") == [TOGETHER]
    assert taken == {name: [TOGETHER, PAGE, PAGE] for name in ("lost", "refused", "failed in part")}


@pytest.mark.parametrize(
    "elsewhere",
    [
        "@evil.example/services/data/v68.0/query/x",
        ".evil.example/query/x",
        "https://evil.example/services/data/x",
        None,
        7,
    ],
)
async def test_a_query_that_goes_on_at_another_host_is_not_followed(connect: Connect, elsewhere: object) -> None:
    """The path is put behind the org's address, which "@" and "." would make a part of another one."""
    first = {"totalSize": 2, "done": False, "records": [{"Id": "1"}], "nextRecordsUrl": elsewhere}
    async with connect([answer(body=first)]) as line:
        with pytest.raises(UnexpectedResponseError, match="does not say where"):
            await retrieving.query_all(line.client, "SELECT Id FROM Contact")
        assert len(line.script.requests) == 1
