"""No secret, no query and no address of a person in what is logged."""

from __future__ import annotations

import logging

import anyio
import httpcore2  # noqa: F401 - makes its loggers
import httpx2
import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.engine.clock import SystemClock
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.log_redaction import HTTP_LOGGERS, RedactSecrets, redacted
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.testing.salesforce import DEFAULT_TOKEN, running_emulator

SESSION = "00D5e000000abcdEAA!AQ4AQFk.x_y"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhIn0.c2ln-bmF0dXJl"
PLANTED = ("hunter2secret", SESSION, JWT, "ada@example.com", "Lovelace")


@pytest.fixture
def logger() -> tuple[logging.Logger, list[str]]:
    """A logger with the filter, and what a handler of it writes."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    made = logging.Logger("planted", logging.DEBUG)  # noqa: LOG001 - one of this test alone
    made.addFilter(RedactSecrets())
    made.addHandler(Handler())
    return made, lines


@pytest.mark.parametrize(
    "message, arguments",
    [
        ("Authorization: Bearer hunter2secret", ()),
        ("Authorization: %s", ("hunter2secret",)),
        ("%s: %s", ("Authorization", "OAuth hunter2secret")),
        ("headers=%r", ({"authorization": "Bearer hunter2secret", "Accept": "x"},)),
        ("headers=%r", ([(b"Authorization", b"Bearer hunter2secret")],)),
        ("%(what)s with %(header)s", ({"what": "sent", "header": "Bearer hunter2secret"},)),
        ("session %s", (SESSION,)),
        (f"session {SESSION.replace('!', '%21')}", ()),
        ("assertion %s", (JWT,)),
        ("grant_type=refresh_token&refresh_token=hunter2secret&client_secret=hunter2secret", ()),
        ('{"access_token": "hunter2secret", "id_token":"hunter2secret"}', ()),
        ("Set-Cookie: sid=hunter2secret; path=/", ()),
        ("GET %s", (httpx2.URL("https://a.my.salesforce.com/services/data/v68.0/query?q=SELECT+Lovelace"),)),
        ("GET /services/data/v68.0/sobjects/Contact?fields=Lovelace", ()),
        ("GET https://a.my.salesforce.com/services/oauth2/authorize?code=hunter2secret#x", ()),
        ("query %s", ("SELECT Id FROM Contact WHERE LastName = 'Lovelace'\nLIMIT 1",)),
        ("no contact has %s", ("ada@example.com",)),
        ("mailto:ada@example.com and ada%40example.com.", ()),
        (ValueError("ada@example.com"), ()),
    ],
)
def test_planted_secrets_do_not_reach_the_handler(
    logger: tuple[logging.Logger, list[str]], message: object, arguments: tuple[object, ...]
) -> None:
    log, lines = logger
    log.info(message, *arguments)
    [line] = lines
    assert not [secret for secret in PLANTED if secret in line]
    assert "hidden" in line


def test_the_traceback_of_a_logged_error_hides_them_too(logger: tuple[logging.Logger, list[str]]) -> None:
    log, lines = logger
    try:
        raise ValueError("refused: Bearer hunter2secret for ada@example.com")
    except ValueError:
        log.exception("it failed")
    assert "Traceback" in lines[0]
    assert "ValueError: refused: Bearer [hidden] for [hidden]" in lines[0]


@pytest.mark.parametrize(
    "text",
    [
        "connect_tcp.started host='acme.my.salesforce.com' port=443 timeout=60.0",
        "GET https://example.com/page?q=1 200 OK",
        "GET https://acme.my.salesforce.com/services/data/v68.0/limits 200 OK",
        "select a channel: 50 calls weigh 1.2 s",
        "the authorization server answered in time",
        "basic checks passed",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert redacted(text) == text


def test_numbers_still_fit_their_places_and_a_message_that_does_not_fit_is_left_to_the_handler(
    logger: tuple[logging.Logger, list[str]],
) -> None:
    log, lines = logger
    log.info("%s took %d calls and %.1f s", "ada@example.com", 3, 1.25)
    assert lines == ["[hidden] took 3 calls and 1.2 s"]
    record = logging.LogRecord("x", logging.INFO, "", 0, "%d of %d", (1,), None)
    assert RedactSecrets().filter(record)
    assert record.args == (1,)


def test_everything_that_the_http_client_logs_about_a_connection_is_clean(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def look(url: str) -> None:
        settings = {"instance_url": url, "allow_insecure_loopback": True}
        context = ProviderContext(SystemClock(), RunBudget())
        credentials = {"access_token": SecretStr(DEFAULT_TOKEN)}
        async with SalesforceProviderFactory().open(settings, credentials, context) as provider:
            store = await provider.records("Contact")
            assert await store.find("Email", ["ada@example.com"], fields=("LastName",))

    with running_emulator() as emulator:
        emulator.org.create("Contact", {"LastName": "Lovelace", "Email": "ada@example.com"})
        anyio.run(look, emulator.url)
    logged = [record for record in caplog.records if record.name in HTTP_LOGGERS]
    assert {record.name for record in logged} >= {"httpx2", "httpcore2.http11", "httpcore2.connection"}
    text = "\n".join(record.getMessage() for record in logged)
    assert "/query?[hidden]" in text
    assert not [secret for secret in (DEFAULT_TOKEN, "ada", "example.com", "LastName") if secret in text]


class Broken:
    def __str__(self) -> str:
        raise ValueError("no")


def test_an_argument_that_cannot_be_shown_is_left_to_the_handler() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "of %d", (Broken(),), None)
    assert RedactSecrets().filter(record)


def test_a_long_text_is_no_long_search() -> None:
    text = "x" * 200_000
    assert redacted(text) == text


def test_every_logger_of_the_http_client_is_known() -> None:
    """A logger that a new version of the client adds would not be filtered."""
    made = {name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ("httpx2", "httpcore2")}
    loggers = {name for name in made if isinstance(logging.root.manager.loggerDict[name], logging.Logger)}
    assert loggers <= set(HTTP_LOGGERS)
