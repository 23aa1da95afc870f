"""What a shell says when a sign-in is refused: what is wrong and what to do, with a sane exit code and no secret."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator

import pytest

from crmsync.testing.salesforce import API_USERNAME, OAuthApp
from tests.integration.browser import variables
from tests.integration.shell import Done, Shell, shell

SECRET = "the-secret-of-the-app"
TEXT = "quoted-in-a-description"


@pytest.fixture(scope="module")
def sh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with shell(tmp_path_factory.mktemp("refused")) as made:
        made.emulator.org.oauth.auto_approve_as = API_USERNAME
        yield made


@pytest.fixture(scope="module")
def port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def by_browser(
    sh: Shell, port: int, old: str = "", new: str = "", *, callback: str = "", limit: int = 20, **app: object
) -> Done:
    """Sign in by a browser that may change the address on its way."""
    callbacks = (callback or f"http://localhost:{port}/OauthRedirect",)
    sh.emulator.org.oauth.add_app(OAuthApp(client_id="web", callback_urls=callbacks, **app))  # type: ignore[arg-type]
    arguments = ("connect", "salesforce", "--client-id", "web", "--port", str(port), "--time-limit", str(limit))
    return sh.run(*arguments, **variables(sh.directory / "page", old, new))


def assert_says(done: Done, said: str, code: int = 1) -> None:
    assert done.code == code, done.out + done.err
    assert said in done.err
    assert not [secret for secret in (SECRET, TEXT) if secret in done.out + done.err]


@pytest.mark.parametrize(
    "refusal,said,code",
    [
        ("invalid_grant: ip restricted or invalid login hours", "does not let in this machine's address", 1),
        ("invalid_grant: authentication failure", "password changed or expired, or the user is not active", 1),
        ("invalid_grant: password expired", "change it in the browser, then sign in again", 1),
        ("invalid_grant: user is inactive", "the user is not active", 1),
        ("invalid_grant: user hasn't approved this consumer", "pre-authorize the user", 1),
        ("invalid_grant: no client credentials user enabled", "Client Credentials Flow, Run As", 1),
        ("inactive_user: " + TEXT, "the user is not active", 1),
        ("inactive_org: " + TEXT, "locked, closed or suspended", 1),
        ("unauthorized_client: " + TEXT, "the flow is not enabled for the app", 2),
        ("no_such_code: " + TEXT, "Salesforce refused the sign-in (no_such_code)", 1),
    ],
)
def test_what_the_org_refuses_without_a_browser(sh: Shell, refusal: str, said: str, code: int) -> None:
    app = OAuthApp(client_id="app", client_secret=SECRET, run_as=API_USERNAME, refusal=tuple(refusal.split(": ", 1)))
    sh.emulator.org.oauth.add_app(app)
    arguments = ("connect", "salesforce", "--client-credentials", "--client-id", "app")
    assert_says(sh.run(*arguments, "--from-env", "client_secret=APP", APP=SECRET), said, code)


@pytest.mark.parametrize(
    "refusal,said,code",
    [
        (("access_denied", "end-user denied authorization"), "did not allow it", 1),
        (("OAUTH_APP_BLOCKED", "this app is blocked by admin"), "an administrator must unblock the app", 1),
        (("invalid_scope", TEXT), "does not offer the scopes", 2),
    ],
)
def test_what_the_org_refuses_in_the_browser(
    sh: Shell, port: int, refusal: tuple[str, str], said: str, code: int
) -> None:
    assert_says(by_browser(sh, port, refusal=refusal), said, code)


def test_a_challenge_that_was_changed_on_the_way_is_told(sh: Shell, port: int) -> None:
    done = by_browser(sh, port, "code_challenge_method=S256", f"code_challenge={'a' * 43}&code_challenge_method=S256")
    assert_says(done, "not finished by the one who began it")


def test_a_code_that_is_too_old_is_told(sh: Shell, port: int) -> None:
    refusal = {"error": "invalid_grant", "error_description": "expired authorization code"}
    sh.emulator.org.faults.fail_next(times=1, status=400, body=refusal, path="oauth2/token")
    assert_says(by_browser(sh, port), "older than 15 minutes; begin the sign-in again")


def test_a_page_of_another_sign_in_is_not_taken_and_told_of(sh: Shell, port: int) -> None:
    assert_says(by_browser(sh, port, "&state=", "&state=another", limit=1), "A page of another sign-in came back")


def test_where_the_browser_shows_the_error_the_redirect_address_is_named(sh: Shell, port: int) -> None:
    done = by_browser(sh, port, callback="http://localhost:1/elsewhere", limit=1)
    assert_says(done, f"the app's callback URL has to be http://localhost:{port}/OauthRedirect")


def test_a_port_that_is_taken_is_told_before_a_browser_opens(sh: Shell, port: int) -> None:
    with contextlib.closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        assert_says(by_browser(sh, port), "name another with --port, and in the app", 2)


@pytest.mark.parametrize(
    "code,said",
    [
        ("API_DISABLED_FOR_ORG", "enable API Enabled for the user"),
        ("INVALID_OPERATION_WITH_EXPIRED_PASSWORD", "password expired or is locked; reset it"),
        ("LOGIN_DURING_RESTRICTED_DOMAIN", "Login IP Ranges"),
    ],
)
def test_what_the_org_refuses_a_connection_that_signed_in(sh: Shell, code: str, said: str) -> None:
    body = [{"errorCode": code, "message": TEXT}]
    sh.emulator.org.faults.fail_next(times=3, status=403, body=body, path="/services/data")
    done = sh.run("connect", "--test", "--format", "json")
    sh.emulator.org.faults.clear()
    assert done.code == 1
    assert said in done.json["error"]["message"]
    assert TEXT not in json.dumps(done.json) + done.err
