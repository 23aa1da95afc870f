"""What outsiders may send, against the parts that meet it first; ``docs/explanation/threats.md`` names the tests."""

from __future__ import annotations

import ast
import gzip
import importlib
import logging
import pkgutil
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

import crmsync
from crmsync.cli.output import plain
from crmsync.engine import RunBudget
from crmsync.errors import CRMError, UnexpectedResponseError
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.providers.salesforce.auth import TokenEndpoint
from crmsync.providers.salesforce.client import open_http
from crmsync.providers.salesforce.errors import call_error
from crmsync.providers.salesforce.oauth import FormRequest
from crmsync.providers.salesforce.settings import read_settings
from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock

ORG = "https://acme.my.salesforce.com"
SOURCE = Path(crmsync.__file__).parent

HOSTILE = (
    "' OR Email != '",
    "x') OR (Email LIKE '%",
    "\\' OR Id != null --",
    "a%_",
    "x' LIMIT 0 --",
    "\\",
    "'",
    "a\n' OR Name != '\tb",
)


@pytest.mark.anyio
async def test_a_value_in_a_query_is_a_value_whatever_it_says() -> None:
    """SOQL: asked for each hostile name, the org answers with the one contact that has it, and nobody else."""
    org = SalesforceOrg()
    org.create("Contact", {"LastName": "Bystander", "Email": "by@example.org"})
    ids = {text: org.create("Contact", {"LastName": "H", "Department": text}) for text in HOSTILE}
    factory = SalesforceProviderFactory(InProcessTransport(org))
    context = ProviderContext(FakeClock(), RunBudget())
    credentials = {"access_token": SecretStr(org.access_token)}
    async with factory.open({"instance_url": ORG}, credentials, context) as provider:
        contacts = await provider.records("Contact")
        for text in HOSTILE:
            found = await contacts.find("Department", [text], fields=("Department",))
            assert [record.id for record in found if record.fields["Department"] == text] == [ids[text]]
            assert len(found) == 1


@asynccontextmanager
async def token_endpoint(answer: Callable[[], httpx2.Response]) -> AsyncIterator[TokenEndpoint]:
    async def handle(_request: httpx2.Request) -> httpx2.Response:
        return answer()

    settings = read_settings({"instance_url": ORG})
    async with open_http(settings, httpx2.MockTransport(handle)) as http:
        yield TokenEndpoint(http, settings)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body, packed",
    [(b"[" * 200_000, False), (b'{"access_token": "' + b"x" * (64 << 20) + b'"}', True)],
    ids=["nested without end", "64 MB in a few KB"],
)
async def test_a_sign_in_s_answer_may_be_of_any_shape_and_size(body: bytes, packed: bool) -> None:
    content = gzip.compress(body) if packed else body
    headers = {"Content-Encoding": "gzip"} if packed else {}

    def answer() -> httpx2.Response:
        return httpx2.Response(200, stream=httpx2.ByteStream(content), headers=headers)

    async with token_endpoint(answer) as endpoint:
        with pytest.raises(UnexpectedResponseError):
            await endpoint.exchange(FormRequest(f"{ORG}/services/oauth2/token", {}))


def test_what_the_crm_says_cannot_forge_a_line_of_a_log_or_a_terminal() -> None:
    forged = "X\nERROR root: all is well\x1b[2J"
    body = f'[{{"errorCode": "{forged}", "message": "{forged}", "fields": ["{forged}"]}}]'.replace("\n", "\\n")
    error = call_error(400, body.replace("\x1b", "\\u001b").encode())
    assert isinstance(error, CRMError)
    assert str(error).isprintable()
    assert plain(forged).isprintable()


def compiled_patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    for module in pkgutil.walk_packages(crmsync.__path__, "crmsync."):
        if ".migrations." in module.name or module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                yield f"{module.name}.{name}", value


def test_no_pattern_of_ours_takes_for_ever() -> None:
    """Each is tried on texts that make a careless pattern try every way there is: it would not end."""
    units = ("a", "1", " ", "a@", "1,", "*", "A1-", "a.", "\t", "'", '"', "(", "1:", "e1", "+", "\n", "x ")
    texts = [unit * 600 + end for unit in units for end in ("", "!", "\x00")]
    tried = 0
    for _, pattern in compiled_patterns():
        for text in texts:
            pattern.search(text)
            pattern.fullmatch(text)
        tried += 1
    assert tried > 60


DANGEROUS = {
    "pickle", "shelve", "yaml", "dill", "cloudpickle", "joblib", "telnetlib", "ftplib", "xml.etree", "xml.sax",
    "xml.dom", "lxml",
}  # fmt: skip
TYPES = {"xml.etree.ElementTree", "xml.sax.saxutils"}
"""The emulator's: the type of what defusedxml has read, and the escapes of what it writes."""
ALLOWED_CALLS = {
    # Its text is made of our own lines and numbers only.
    ("mapping/generated.py", "exec"),
    ("mapping/generated.py", "compile"),
}


def test_nothing_reads_what_could_run_code() -> None:
    """No pickles, no YAML, no plain XML parser; `eval`, `exec` and `compile` only where it is explained."""
    imported: set[str] = set()
    called: set[tuple[str, str]] = set()
    for path in SOURCE.rglob("*.py"):
        where = path.relative_to(SOURCE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id in {"eval", "exec", "compile", "__import__"}:
                    called.add((where, node.func.id))
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "marshal":
                assert node.attr == "dumps", f"{where} reads marshalled data"
    assert not {name for name in imported if name in DANGEROUS or name.rpartition(".")[0] in DANGEROUS} - TYPES
    assert called <= ALLOWED_CALLS


BOMB = b"""<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">%s]>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>
<login xmlns="urn:partner.soap.sforce.com"><username>&z;</username><password>x</password></login>
</soapenv:Body></soapenv:Envelope>""" % b"".join(
    b'<!ENTITY %c "&%c;&%c;&%c;&%c;&%c;&%c;&%c;&%c;">' % (n, *[n - 1] * 8) for n in range(ord("b"), ord("z") + 1)
)
FILE = BOMB.replace(b'<!ENTITY a "aaaaaaaaaa">', b'<!ENTITY a SYSTEM "file:///etc/hostname">')


@pytest.mark.anyio
@pytest.mark.parametrize("body", [BOMB, FILE], ids=["entities in entities", "a file as an entity"])
async def test_xml_with_entities_is_refused(body: bytes) -> None:
    """By the emulator, the only part that reads XML from others."""
    async with httpx2.AsyncClient(transport=InProcessTransport(SalesforceOrg())) as http:
        headers = {"Content-Type": "text/xml", "SOAPAction": '""'}
        answer = await http.post(f"{ORG}/services/Soap/u/59.0", content=body, headers=headers)
    assert answer.status_code in {400, 500}
    assert "aaaaaaaaaa" not in answer.text


def test_the_log_of_the_http_client_shows_no_token(caplog: pytest.LogCaptureFixture) -> None:
    from crmsync.providers.log_redaction import protect_http_loggers

    protect_http_loggers()
    with caplog.at_level(logging.DEBUG, logger="httpx2"):
        logging.getLogger("httpx2").debug("Authorization: Bearer %s", "00D000000000001!AQ.secret")
    assert "secret" not in caplog.text


def named_tests() -> list[Any]:
    """The tests that the page of threats names, as ``path::name``."""
    text = Path(__file__).parents[2].joinpath("docs/explanation/threats.md").read_text(encoding="utf-8")
    return re.findall(r"`(tests/[\w/.]+\.py)::(\w+)`", text)


def test_every_test_that_the_page_of_threats_names_is_there() -> None:
    root = Path(__file__).parents[2]
    named = named_tests()
    assert len(named) >= 20
    for path, name in named:
        assert re.search(rf"^(async )?def {name}\(", root.joinpath(path).read_text(encoding="utf-8"), re.MULTILINE), (
            name
        )
