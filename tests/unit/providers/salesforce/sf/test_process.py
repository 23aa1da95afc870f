from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import anyio
import pytest

from crmsync.errors import (
    AuthenticationError,
    ConfigurationError,
    CRMError,
    RateLimitedError,
    SchemaChangedError,
    UnavailableError,
    UnexpectedResponseError,
)
from crmsync.providers.salesforce.errors import is_used_up
from crmsync.providers.salesforce.sf.options import SfOptions
from crmsync.providers.salesforce.sf.process import SfReport, open_sf

pytestmark = pytest.mark.anyio


def program(directory: Path, source: str) -> SfOptions:
    """A stand-in for ``sf``: any program that prints JSON."""
    path = directory / "fake_sf.py"
    path.write_text(f"import json, os, subprocess, sys, time\n{source}", encoding="utf-8")
    return SfOptions(command=(sys.executable, str(path)))


ECHO = """
result = {
    "arguments": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd(), "input": sys.stdin.read(),
    "home": os.listdir(os.environ["HOME"]),
}
print(json.dumps({"status": 0, "result": result, "warnings": []}))
"""


async def test_a_command_gets_its_arguments_its_input_and_a_request_for_json(tmp_path: Path) -> None:
    async with open_sf(program(tmp_path, ECHO)) as sf:
        result = await sf.call("data", "query", "--query", "SELECT '$HOME'; exit", stdin=b"typed")
    assert result["arguments"] == ["data", "query", "--query", "SELECT '$HOME'; exit", "--json"]
    assert result["input"] == "typed"


async def test_a_token_goes_by_the_environment_and_is_in_no_repr(tmp_path: Path) -> None:
    async with open_sf(program(tmp_path, ECHO), {"SF_TARGET_ORG": "00Dsecret!token"}) as sf:
        result = await sf.call("org", "display")
        assert "secret" not in repr(sf)
    assert result["environment"]["SF_TARGET_ORG"] == "00Dsecret!token"
    assert "secret" not in json.dumps(result["arguments"])


async def test_the_programs_environment_is_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SF_TARGET_ORG", "another-org")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", "ca.pem")
    async with open_sf(program(tmp_path, ECHO)) as sf:
        environment = (await sf.call("org", "display"))["environment"]
    assert not {"SF_TARGET_ORG", "AWS_SECRET_ACCESS_KEY"} & set(environment)
    assert environment["NODE_EXTRA_CA_CERTS"] == "ca.pem"
    assert environment["SF_DISABLE_TELEMETRY"] == "true"


async def test_without_a_login_the_home_is_empty_and_goes_with_the_connection(tmp_path: Path) -> None:
    async with open_sf(program(tmp_path, ECHO)) as sf:
        result = await sf.call("org", "display")
    assert result["home"] == []
    assert result["environment"]["HOME"] != os.environ.get("HOME")
    assert not Path(result["environment"]["HOME"]).exists()
    assert not Path(result["directory"]).exists()


async def test_a_login_is_looked_for_in_the_configured_home_else_in_the_users(tmp_path: Path) -> None:
    options = program(tmp_path, ECHO)
    async with open_sf(options.model_copy(update={"home": tmp_path, "org": "mine"})) as sf:
        assert (await sf.call("org", "display"))["environment"]["HOME"] == str(tmp_path)
    async with open_sf(options.model_copy(update={"org": "mine"})) as sf:
        assert (await sf.call("org", "display"))["environment"]["HOME"] == str(Path.home())


async def test_a_home_that_cannot_be_written_to_is_refused_before_the_program_hangs(tmp_path: Path) -> None:
    options = program(tmp_path, ECHO).model_copy(update={"home": tmp_path / "absent"})
    with pytest.raises(ConfigurationError, match=r"sf\.home"):
        async with open_sf(options):
            pytest.fail("opened")


async def test_a_missing_program_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigurationError, match=r"install sf v2.*sf\.command"):
        async with open_sf(SfOptions(command=("no-such-sf",))):
            pytest.fail("opened")


@pytest.mark.parametrize(
    "body,expected",
    [
        ({"name": "INVALID_FIELD", "message": "No such column 'Foo' on entity 'Contact'"}, SchemaChangedError),
        ({"name": "INVALID_SESSION_ID", "message": "Session expired or invalid"}, AuthenticationError),
        ({"name": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}, RateLimitedError),
        ({"name": "AuthCodeUsernameRetrievalError", "message": ""}, AuthenticationError),
        ({"name": "NoDefaultEnvError", "code": "NoDefaultEnvError", "message": ""}, ConfigurationError),
        ({"name": "RequestError", "code": "ECONNRESET", "message": "socket hang up"}, UnavailableError),
        ({"name": "TypeError", "code": "10", "message": "fetch failed"}, UnavailableError),
        ({"name": "ERROR_HTTP_502", "message": ""}, UnavailableError),
        ({"name": "TypeError", "code": "10", "message": "x is undefined"}, UnexpectedResponseError),
        ({}, UnexpectedResponseError),
    ],
)
async def test_a_failure_has_the_type_that_it_has_over_http(
    tmp_path: Path, body: dict[str, str], expected: type[CRMError]
) -> None:
    source = f"print(json.dumps({body!r} | {{'status': 1, 'exitCode': 1}})); sys.exit(1)"
    async with open_sf(program(tmp_path, source)) as sf:
        with pytest.raises(expected) as caught:
            await sf.call("data", "query")
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    "message,used_up", [("TotalRequests Limit exceeded.", True), ("ConcurrentRequests Limit exceeded.", False)]
)
async def test_the_two_kinds_of_limits_are_told_apart(tmp_path: Path, message: str, used_up: bool) -> None:
    source = f"print(json.dumps({{'name': 'REQUEST_LIMIT_EXCEEDED', 'message': {message!r}}})); sys.exit(1)"
    async with open_sf(program(tmp_path, source)) as sf:
        with pytest.raises(RateLimitedError) as caught:
            await sf.call("data", "query")
    assert is_used_up(caught.value) == used_up
    assert caught.value.retry_after == (3600 if used_up else None)


async def test_a_failure_can_be_looked_at(tmp_path: Path) -> None:
    source = "print(json.dumps({'name': 'FailedRecordDetailsError', 'data': {'jobId': '750'}})); sys.exit(1)"
    async with open_sf(program(tmp_path, source)) as sf:
        report = await sf.run("data", "upsert", "bulk")
    assert (report.ok, report.name, report.body["data"]) == (False, "FailedRecordDetailsError", {"jobId": "750"})


def test_a_message_of_a_failure_quotes_nothing_of_what_was_sent() -> None:
    report = SfReport(1, {"name": "STRING_TOO_LONG", "message": "Last Name: data value too large: Hansen"})
    assert "Hansen" not in str(report.error())
    assert "Hansen" not in repr(report)


async def test_output_that_is_no_json_is_reported_without_being_quoted(tmp_path: Path) -> None:
    async with open_sf(program(tmp_path, "print('secret'); sys.exit(3)")) as sf:
        with pytest.raises(UnexpectedResponseError, match="ended with 3 and printed no JSON") as caught:
            await sf.call("org", "display")
    assert "secret" not in str(caught.value)


async def test_an_interpreter_that_the_program_misses_is_named_as_such(tmp_path: Path) -> None:
    async with open_sf(program(tmp_path, "sys.exit(127)")) as sf:
        with pytest.raises(ConfigurationError, match=r"Node\.js"):
            await sf.call("org", "display")


LINGER = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open("pids", "w") as out:
    out.write(f"{os.getpid()} {child.pid}")
os.rename("pids", sys.argv[1])
time.sleep(600)
"""


async def test_a_time_limit_ends_the_program_and_what_it_started(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    async with open_sf(program(tmp_path, LINGER)) as sf:
        with pytest.raises(UnavailableError, match="did not end within 1"):
            await sf.call(str(noted), time_limit=1)
    await ended(noted)


async def test_cancelling_ends_the_program_and_what_it_started(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    async with open_sf(program(tmp_path, LINGER)) as sf, anyio.create_task_group() as group:
        group.start_soon(sf.call, str(noted))
        while not noted.exists():  # noqa: ASYNC110 - another process makes it
            await anyio.sleep(0.02)
        group.cancel_scope.cancel()
    await ended(noted)


async def ended(noted: Path) -> None:
    """Wait until the noted processes are gone (a grandchild is init's to collect, so it may be a zombie for a time)."""
    deadline = time.monotonic() + 20
    for pid in noted.read_text().split():
        while alive(int(pid)):
            assert time.monotonic() < deadline, f"process {pid} goes on"
            await anyio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
