"""What names an org, so that all who work with it wait for each other and for nobody else."""

from __future__ import annotations

import pytest

from crmsync.providers.salesforce.orgs import exclusive, org_of
from crmsync.providers.salesforce.settings import KNOWN_TO_THE_CLI
from crmsync.testing.salesforce import DEFAULT_TOKEN, ORG_ID
from tests.unit.providers.salesforce.conftest import Connect, answer, error

pytestmark = pytest.mark.anyio

FOUND = {"totalSize": 1, "done": True, "records": [{"Id": ORG_ID}]}


@pytest.mark.parametrize(
    "host", ["acme.my.salesforce.com", "acme--test.sandbox.my.salesforce.com", "na1.salesforce.com"]
)
@pytest.mark.parametrize("token", [DEFAULT_TOKEN, DEFAULT_TOKEN.replace(ORG_ID, ORG_ID[:15])])
async def test_an_org_is_one_under_all_of_its_domains(connect: Connect, host: str, token: str) -> None:
    async with connect([], token=token, instance_url=f"https://{host}") as line:
        assert await org_of(line.client) == f"salesforce {ORG_ID}"


async def test_an_org_whose_token_does_not_say_is_asked_once_for_all_connections(connect: Connect) -> None:
    async with connect([answer(body=FOUND)]) as line:
        assert await org_of(line.client) == f"salesforce {ORG_ID}"
        memory = line.memory
    async with connect([], memory=memory) as line:
        assert await org_of(line.client) == f"salesforce {ORG_ID}"


async def test_an_org_whose_address_the_cli_alone_knows_is_asked(connect: Connect) -> None:
    async with connect([answer(body=FOUND)], instance_url=KNOWN_TO_THE_CLI, allowed_hosts=["sf.invalid"]) as line:
        assert await org_of(line.client) == f"salesforce {ORG_ID}"


async def test_an_org_that_hides_its_id_goes_by_its_host(connect: Connect) -> None:
    async with connect([error(403, "INSUFFICIENT_ACCESS")]) as line:
        assert await org_of(line.client) == "salesforce https://acme.my.salesforce.com"


async def test_a_host_that_salesforce_does_not_run_is_no_other_org_whatever_it_says(connect: Connect) -> None:
    """Emulators all have one id, and somebody's own host may claim to be any org."""
    settings = {"allow_insecure_loopback": True, "allowed_hosts": ["crm.example.org"]}
    for url in ("http://127.0.0.1:8080", "https://crm.example.org"):
        async with connect([], token=DEFAULT_TOKEN, instance_url=url, **settings) as line:
            assert await org_of(line.client) == f"salesforce {url}"


async def test_a_connection_that_shares_nothing_still_takes_its_own_turns(connect: Connect) -> None:
    async with connect([], token=DEFAULT_TOKEN) as line, exclusive(line.client, "accounts"):
        assert line.paths == []
