from __future__ import annotations

import pytest
from pydantic import SecretStr

from crmsync.errors import ConfigurationError
from crmsync.providers.salesforce.credentials import SignIn, read_connection

SETTINGS = {"instance_url": "https://acme.my.salesforce.com"}


def masked(names: str) -> dict[str, SecretStr]:
    return {name: SecretStr(f"secret-{name}") for name in names.split()}


def fault(names: str, settings: dict[str, object] | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_connection(SETTINGS if settings is None else settings, masked(names))
    assert "secret-" not in str(caught.value)
    return caught.value.message


@pytest.mark.parametrize(
    "names,way",
    [
        ("access_token", SignIn.ACCESS_TOKEN),
        ("access_token instance_url", SignIn.ACCESS_TOKEN),
        ("refresh_token client_id", SignIn.REFRESH_TOKEN),
        ("refresh_token client_id client_secret access_token instance_url", SignIn.REFRESH_TOKEN),
        ("client_id client_secret", SignIn.CLIENT_CREDENTIALS),
        ("client_id client_secret access_token", SignIn.CLIENT_CREDENTIALS),
        ("client_id username private_key", SignIn.JWT_BEARER),
    ],
)
def test_the_credentials_that_are_given_say_how_to_sign_in(names: str, way: SignIn) -> None:
    assert read_connection(SETTINGS, masked(names))[2] is way


def test_an_org_of_the_sf_command_needs_neither_credentials_nor_an_address() -> None:
    assert read_connection({"sf": {"org": "acme"}}, {})[2] is SignIn.SF_CLI
    assert read_connection({**SETTINGS, "sf": {"org": "acme"}}, masked("access_token"))[2] is SignIn.ACCESS_TOKEN


@pytest.mark.parametrize("alias", ["--help", "a b", "", "a;b", "$(a)"])
def test_an_alias_that_could_be_something_else_is_refused(alias: str) -> None:
    assert "sf.org" in fault("", {"sf": {"org": alias}})


def test_nothing_given_names_every_way() -> None:
    text = fault("")
    assert all(name in text for name in ("access_token", "refresh_token", "client_secret", "private_key", "sf.org"))


@pytest.mark.parametrize("version", ["21.0", "31.0", "45.0"])
def test_an_api_version_that_lacks_what_is_relied_on_is_refused_before_anything_is_sent(version: str) -> None:
    assert "api_version: this crmsync works with 46.0 and newer" in fault(
        "access_token", {**SETTINGS, "api_version": version}
    )
    assert read_connection({**SETTINGS, "api_version": "46.0"}, masked("access_token"))[0].api_version == "46.0"


def test_what_is_missing_is_named_all_at_once() -> None:
    assert "client_id: missing; private_key: missing" in fault("username")
    assert "client_id: missing" in fault("refresh_token")
    assert "client_id: missing" in fault("client_secret")
    assert "client_id alone" in fault("client_id")


def test_ways_that_contradict_each_other_are_named() -> None:
    assert "refresh_token and private_key are different ways" in fault("refresh_token username client_id")
    assert "client_secret: not used with private_key" in fault("client_id client_secret username private_key")


def test_faults_of_settings_and_credentials_are_named_together() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_connection({"timeout": -1}, {"refresh_token": SecretStr("two words"), "token": SecretStr("x")})
    text = caught.value.message
    assert all(part in text for part in ("timeout", "refresh_token", "token: unknown", "client_id: missing"))
    assert "two words" not in text


def test_line_ends_of_a_key_may_be_written_out() -> None:
    given = {**masked("client_id username"), "private_key": SecretStr("-----BEGIN\\nAB\\n-----END")}
    key = read_connection(SETTINGS, given)[1].private_key
    assert key is not None
    assert key.get_secret_value() == "-----BEGIN\nAB\n-----END"
