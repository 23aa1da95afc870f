from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from pydantic import SecretStr

from crmsync.engine import RunBudget, SystemClock
from crmsync.errors import AuthenticationError, ConfigurationError, UnexpectedResponseError
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.providers.salesforce.settings import SalesforceSettings
from crmsync.providers.salesforce.sf.login import SfLogin
from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport

pytestmark = pytest.mark.anyio

ADDRESS = "https://acme.my.salesforce.com"


class FakeSf:
    """An ``sf`` on the PATH that notes how it was called, and answers what it is told."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "calls"
        self.answers = directory / "answers.json"
        script = directory / "sf"
        script.write_text(
            textwrap.dedent(f"""\
            #!/bin/sh
            echo "$*" >> {self.log}
            case "$*" in
              *show-access-token*) answer={self.answers}.token ;;
              *) answer={self.answers}.display ;;
            esac
            cat "$answer"
            grep -q '"status": 0' "$answer"
            """)
        )
        script.chmod(0o755)
        self.answer()

    def answer(self, *, token: object = "00D!borrowed", address: object = ADDRESS) -> None:
        self.tell("token", {"status": 0, "result": {"accessToken": token}, "warnings": []})
        self.tell("display", {"status": 0, "result": {"instanceUrl": address, "accessToken": "[REDACTED]"}})

    def tell(self, command: str, answer: object) -> None:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        self.answers.with_name(f"{self.answers.name}.{command}").write_text(text)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def sf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSf:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return FakeSf(tmp_path)


def login(**settings: object) -> SfLogin:
    return SfLogin(SalesforceSettings.model_validate({"sf": {"org": "my-alias"}, **settings}))


async def test_the_token_and_the_address_are_asked_of_the_command(sf: FakeSf) -> None:
    borrowed = login()
    access = await borrowed.access()
    assert (access.header, access.instance_url) == ("Bearer 00D!borrowed", ADDRESS)
    assert await borrowed.access() is access
    assert sf.calls() == [
        "org display --target-org my-alias --json",
        "org auth show-access-token --target-org my-alias --json",
    ]


async def test_a_refused_token_is_asked_for_again(sf: FakeSf) -> None:
    borrowed = login()
    refused = await borrowed.access()
    sf.answer(token="00D!renewed")
    assert await borrowed.renew(refused)
    assert (await borrowed.access()).header == "Bearer 00D!renewed"
    assert await borrowed.renew(refused)
    assert len(sf.calls()) == 4


@pytest.mark.usefixtures("sf")
async def test_a_command_that_has_no_other_token_cannot_renew() -> None:
    borrowed = login()
    assert not await borrowed.renew(await borrowed.access())


async def test_disconnecting_leaves_the_login_to_the_command(sf: FakeSf) -> None:
    assert not await login().revoke()
    assert sf.calls() == []


@pytest.mark.parametrize("address", ["https://evil.example", "http://acme.my.salesforce.com"])
async def test_the_org_of_the_command_is_checked_like_any_other(sf: FakeSf, address: str) -> None:
    sf.answer(address=address)
    with pytest.raises(ConfigurationError, match="org's address"):
        await login().access()


@pytest.mark.usefixtures("sf")
async def test_another_org_than_the_settings_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="another org"):
        await login(instance_url="https://other.my.salesforce.com").access()


@pytest.mark.parametrize(
    "answer,kind,advice",
    [
        (
            {"status": 1, "name": "NamedOrgNotFoundError", "message": "No auth"},
            ConfigurationError,
            "NamedOrgNotFoundError",
        ),
        (
            {"status": 1, "name": "RefreshTokenAuthError", "message": "SECRET"},
            AuthenticationError,
            "log in to the org again",
        ),
        ("Warning: not JSON", UnexpectedResponseError, "no JSON"),
        ({"status": 0, "result": {}}, UnexpectedResponseError, "address"),
    ],
)
async def test_a_failed_command_says_what_to_do(sf: FakeSf, answer: object, kind: type[Exception], advice: str) -> None:
    sf.tell("display", answer)
    with pytest.raises(kind, match=advice) as caught:
        await login().access()
    assert "SECRET" not in str(caught.value)


async def test_without_the_command_the_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="install sf v2"):
        await login().access()


async def test_a_provider_works_with_a_borrowed_login(sf: FakeSf) -> None:
    org = SalesforceOrg()
    sf.answer(token=org.access_token)
    factory = SalesforceProviderFactory(InProcessTransport(org))
    nothing: dict[str, SecretStr] = {}
    async with factory.open({"sf": {"org": "acme"}}, nothing, ProviderContext(SystemClock(), RunBudget())) as provider:
        assert (await provider.test_connection()).ok
