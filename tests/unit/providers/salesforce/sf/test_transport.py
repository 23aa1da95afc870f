from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from pydantic import SecretStr

from crmsync.engine.budget import RunBudget
from crmsync.engine.clock import SystemClock
from crmsync.errors import AuthenticationError, BudgetExceededError, ConfigurationError, ProviderError
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.providers.salesforce.credentials import SignIn, read_connection
from crmsync.providers.salesforce.settings import SalesforceSettings
from crmsync.providers.salesforce.sf.transport import counting, open_transport

pytestmark = pytest.mark.anyio

# Says what it was told to do, as an answer of the org.
ECHO = """
arguments = sys.argv[1:]
def value(flag):
    return arguments[arguments.index(flag) + 1] if flag in arguments else None
file = value("--file")
body = value("--body")
seen = {
    "arguments": arguments, "environment": dict(os.environ),
    "file": json.load(open(file)) if file else None,
    "body": open(body[1:], "rb").read().decode() if body else None,
    "files": len(os.listdir(".")),
}
headers = {"date": "Wed, 25 Nov 2026 02:02:30 GMT", "content-encoding": "gzip", "content-length": "3"}
print(json.dumps({"status": 0, "result": {"statusCode": 200, "headers": headers, "body": seen}}))
"""


@asynccontextmanager
async def http(directory: Path, source: str, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose network is a stand-in for ``sf``."""
    program = directory / "fake_sf.py"
    program.write_text(f"import json, os, sys, time\n{source}", encoding="utf-8")
    sf = {"command": [sys.executable, str(program)], **settings}
    checked = SalesforceSettings(instance_url="https://acme.my.salesforce.com", sf=sf)
    token = None if settings.get("org") else SecretStr("00Dsecret!token")
    async with open_transport(checked, token) as transport, httpx2.AsyncClient(transport=transport) as client:
        yield client


async def test_a_query_goes_through_a_file_since_arguments_are_seen_by_all(tmp_path: Path) -> None:
    async with http(tmp_path, ECHO) as client:
        response = await client.get(
            "https://acme.my.salesforce.com/services/data/v68.0/query",
            params={"q": "SELECT Id FROM Contact WHERE Email = 'ng@example.org'"},
            headers={"Accept": "application/json", "Authorization": "Bearer 00Dsecret!token"},
        )
    seen = response.json()
    assert seen["file"]["method"] == "GET"
    assert seen["file"]["url"] == (
        "/services/data/v68.0/query?q=SELECT+Id+FROM+Contact+WHERE+Email+%3D+%27ng%40example.org%27"
    )
    assert {"key": "accept", "value": "application/json"} in seen["file"]["header"]
    assert "secret" not in json.dumps([seen["file"], seen["arguments"]])
    assert "example" not in " ".join(seen["arguments"])


async def test_a_body_is_sent_byte_for_byte_and_leaves_nothing_behind(tmp_path: Path) -> None:
    body = '{"AnnualRevenue":12345678901234567.89,"LastName":"Zoë"}'
    async with http(tmp_path, ECHO) as client:
        for _ in range(2):
            response = await client.patch(
                "https://acme.my.salesforce.com/services/data/v68.0/composite/sobjects",
                content=body.encode(),
                headers={"Content-Type": "application/json", "Authorization": "Bearer 00Dsecret!token"},
            )
            seen = response.json()
            assert (seen["body"], seen["files"]) == (body, 1)
    assert "--header=content-type:application/json" in seen["arguments"]
    assert "PATCH" in seen["arguments"]
    assert "secret" not in json.dumps(seen["arguments"])


async def test_a_request_without_a_body_has_an_empty_one(tmp_path: Path) -> None:
    async with http(tmp_path, ECHO) as client:
        seen = (await client.delete("https://acme.my.salesforce.com/services/data/v68.0/jobs/query/750")).json()
    assert seen["body"] == ""


async def test_a_token_is_kept_in_the_environment_and_a_login_is_named_there(tmp_path: Path) -> None:
    async with http(tmp_path, ECHO) as client:
        environment = (await client.get("https://acme.my.salesforce.com/services/data")).json()["environment"]
    assert environment["SF_TARGET_ORG"] == "00Dsecret!token"
    assert environment["SF_ORG_INSTANCE_URL"] == "https://acme.my.salesforce.com"
    async with http(tmp_path, ECHO, org="mine", home=str(tmp_path)) as client:
        environment = (await client.get("https://acme.my.salesforce.com/services/data")).json()["environment"]
    assert environment["SF_TARGET_ORG"] == "mine"
    assert "SF_ORG_INSTANCE_URL" not in environment


async def test_an_answer_has_its_status_and_headers_but_not_those_of_the_wire(tmp_path: Path) -> None:
    source = """
headers = {"date": "Wed, 25 Nov 2026 02:02:30 GMT", "content-encoding": "gzip", "set-cookie": ["a", "b"]}
body = [{"errorCode": "INVALID_FIELD", "message": "No such column"}]
print(json.dumps({"status": 1, "result": {"statusCode": 400, "headers": headers, "body": body}}))
sys.exit(1)
"""
    async with http(tmp_path, source) as client:
        response = await client.get("https://acme.my.salesforce.com/services/data")
    assert response.status_code == 400
    assert response.json()[0]["errorCode"] == "INVALID_FIELD"
    assert response.headers["date"] == "Wed, 25 Nov 2026 02:02:30 GMT"
    assert "content-encoding" not in response.headers


async def test_csv_comes_as_it_is(tmp_path: Path) -> None:
    text = '"sf__Id","LastName"\n"003","Wu, ""A"""\n'
    source = f"print(json.dumps({{'status': 0, 'result': {{'statusCode': 200, 'headers': {{}}, 'body': {text!r}}}}}))"
    async with http(tmp_path, source) as client:
        assert (await client.get("https://acme.my.salesforce.com/services/data")).text == text


async def test_a_refused_login_is_told_as_such(tmp_path: Path) -> None:
    source = "print(json.dumps({'name': 'INVALID_SESSION_ID', 'message': '', 'status': 1})); sys.exit(1)"
    async with http(tmp_path, source) as client:
        with pytest.raises(AuthenticationError):
            await client.get("https://acme.my.salesforce.com/services/data")


async def test_an_answer_that_was_lost_is_a_broken_connection(tmp_path: Path) -> None:
    source = "print(json.dumps({'name': 'RequestError', 'code': 'ECONNRESET', 'message': ''})); sys.exit(1)"
    async with http(tmp_path, source) as client:
        with pytest.raises(httpx2.ReadError):
            await client.post("https://acme.my.salesforce.com/services/data", json={})


async def test_the_first_command_runs_alone_then_several_at_once(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    source = f"""
with open({str(noted)!r}, "a") as out:
    out.write(f"begin\\n")
time.sleep(0.2)
with open({str(noted)!r}, "a") as out:
    out.write(f"end\\n")
print(json.dumps({{"status": 0, "result": {{"statusCode": 200, "headers": {{}}, "body": ""}}}}))
"""
    async with http(tmp_path, source) as client, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(client.get, "https://acme.my.salesforce.com/services/data")
    assert noted.read_text().split() == ["begin", "end", "begin", "begin", "end", "end"]


@pytest.mark.parametrize("token, calls", [(SecretStr("t"), 4), (None, 2)], ids=["a token", "a stored login"])
async def test_the_budget_pays_for_the_clis_own_calls_too(token: SecretStr | None, calls: int) -> None:
    budget = RunBudget(2 * calls + 1)
    context = counting(ProviderContext(SystemClock(), budget), token)
    await context.budget.spend(2)
    assert budget.used == context.budget.used == 2 * calls
    assert context.budget.left == 0
    with pytest.raises(BudgetExceededError):
        await context.budget.spend(1)


async def revoked(directory: Path, source: str, credentials: dict[str, SecretStr]) -> bool:
    """Disconnect by a stand-in for ``sf``, with these credentials or by a login that it has stored."""
    program = directory / "fake_sf.py"
    program.write_text(f"import json, os, sys\n{source}", encoding="utf-8")
    sf = {"command": [sys.executable, str(program)], **({} if credentials else {"org": "mine", "home": str(directory)})}
    settings = {"instance_url": "https://acme.my.salesforce.com", "transport": "sf", "sf": sf}
    context = ProviderContext(SystemClock(), RunBudget())
    async with SalesforceProviderFactory().open(settings, credentials, context) as provider:
        return await provider.revoke()


async def test_disconnecting_revokes_a_given_token_through_the_cli(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    source = f"""
arguments = sys.argv[1:]
body = open(arguments[arguments.index("--body") + 1][1:]).read()
json.dump([arguments, body], open({str(noted)!r}, "w"))
print(json.dumps({{"status": 0, "result": {{"statusCode": 200, "headers": {{}}, "body": ""}}}}))
"""
    assert await revoked(tmp_path, source, {"access_token": SecretStr("00Dsecret!token")})
    arguments, body = json.loads(noted.read_text())
    assert body == "token=00Dsecret%21token"
    assert arguments[:6] == ["api", "request", "rest", "/services/oauth2/revoke", "--method", "POST"]
    assert "--header=content-type:application/x-www-form-urlencoded" in arguments
    assert "secret" not in json.dumps(arguments)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 1, "result": {"statusCode": 400, "headers": {}, "body": {"error": "unsupported_token_type"}}},
        {"status": 1, "name": "INVALID_SESSION_ID", "message": ""},
    ],
    ids=["by the org", "before it is asked: whether the token has ended, or is refused from here only, cannot be told"],
)
async def test_a_token_that_is_not_revoked_is_told_of_with_what_to_do(tmp_path: Path, answer: dict[str, Any]) -> None:
    with pytest.raises(ProviderError, match="revoke the app's access there yourself"):
        await revoked(tmp_path, f"print({json.dumps(answer)!r})", {"access_token": SecretStr("00Dsecret!token")})


async def test_disconnecting_leaves_a_stored_login_to_the_cli(tmp_path: Path) -> None:
    assert not await revoked(tmp_path, "sys.exit('it was run')", {})


def test_it_signs_in_by_the_clis_login_or_by_a_token_only() -> None:
    settings = {"instance_url": "https://acme.my.salesforce.com", "transport": "sf"}
    assert read_connection({**settings, "sf": {"org": "mine"}}, {})[2] is SignIn.SF_CLI
    assert read_connection(settings, {"access_token": SecretStr("t")})[2] is SignIn.ACCESS_TOKEN
    with pytest.raises(ConfigurationError, match="not by refresh token"):
        read_connection(settings, {"client_id": SecretStr("c"), "refresh_token": SecretStr("r")})
