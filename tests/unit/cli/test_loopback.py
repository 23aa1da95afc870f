from __future__ import annotations

import contextlib
import socket
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest

from crmsync.cli.exits import UsageProblemError
from crmsync.cli.loopback import Loopback, listening
from crmsync.errors import AuthenticationError

pytestmark = pytest.mark.anyio

STATE = "the-state-of-this-sign-in"


async def visit(loopback: Loopback, path: str) -> httpx2.Response:
    port = urlsplit(loopback.redirect_uri).port
    async with httpx2.AsyncClient() as browser:
        return await browser.get(f"http://127.0.0.1:{port}{path}")


async def test_the_browser_that_comes_back_is_thanked_and_its_url_is_the_callback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    came: list[str] = []
    with listening(0) as loopback:

        async def wait() -> None:
            came.append(await loopback.callback(STATE, time_limit=10))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            page = await visit(loopback, f"/OauthRedirect?code=SECRET&state={STATE}")
    assert page.status_code == 200
    assert "close this page" in page.text
    assert "SECRET" not in page.text
    assert came == [f"{loopback.redirect_uri}?code=SECRET&state={STATE}"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "path",
    ["/", "/favicon.ico", "/OauthRedirect", "/OauthRedirect?code=x&state=other", f"/else?state={STATE}"],
)
async def test_whoever_does_not_know_the_state_is_sent_away(path: str) -> None:
    with listening(0) as loopback:

        async def wait() -> None:
            with pytest.raises(AuthenticationError, match="nobody signed in"):
                await loopback.callback(STATE, time_limit=0.5)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            assert (await visit(loopback, path)).status_code == 404


async def test_waiting_ends_with_the_time_limit_and_when_it_is_cancelled() -> None:
    with listening(0) as loopback:
        with pytest.raises(AuthenticationError, match="within 0 seconds"):
            await loopback.callback(STATE, time_limit=0.05)
        with anyio.fail_after(5), anyio.move_on_after(0.05) as scope:
            await loopback.callback(STATE, time_limit=60)
        assert scope.cancelled_caught


async def test_a_port_that_is_taken_is_named() -> None:
    with contextlib.closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageProblemError, match=f"port {port} cannot be listened on"), listening(port):
            pass


async def test_it_listens_on_this_machine_only() -> None:
    with listening(0) as loopback:
        assert loopback._server.server_address[0] == "127.0.0.1"
        assert urlsplit(loopback.redirect_uri).hostname == "localhost"
