from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from crmsync.errors import (
    AuthenticationError,
    ConfigurationError,
    CRMError,
    RateLimitedError,
    UnavailableError,
    UnexpectedResponseError,
)
from crmsync.providers.salesforce import oauth
from crmsync.providers.salesforce.oauth_refusals import GrantRefusedError
from crmsync.providers.salesforce.settings import SalesforceSettings

ORG = "https://acme.my.salesforce.com"
SETTINGS = SalesforceSettings(instance_url=ORG)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
GOOD = {
    "access_token": "00D!token",
    "instance_url": ORG,
    "scope": "api refresh_token",
    "token_type": "Bearer",
    "issued_at": "1795552466789",
}
HELD = {
    name: SecretStr(f"the-{name}")
    for name in ("refresh_token", "client_id", "client_secret", "username", "access_token")
}


def answer(**changes: object) -> oauth.TokenAnswer:
    return oauth.read_answer(200, json.dumps({**GOOD, **changes}).encode(), SETTINGS)


def refusal(status: int, error: str, description: str = "") -> CRMError:
    body = json.dumps({"error": error, "error_description": description}).encode()
    with pytest.raises(CRMError) as caught:
        oauth.read_answer(status, body, SETTINGS)
    return caught.value


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem_of(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def test_an_answer_says_the_token_the_address_and_what_was_granted() -> None:
    read = answer()
    assert read.access.header == "Bearer 00D!token"
    assert read.access.instance_url == ORG
    assert read.refresh_token is None
    assert read.scopes == ("api", "refresh_token")


def test_a_rotated_refresh_token_is_in_the_answer() -> None:
    renewed = answer(refresh_token="next").refresh_token
    assert renewed is not None
    assert renewed.get_secret_value() == "next"


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example",
        "https://acme.my.salesforce.com.evil.example",
        "http://acme.my.salesforce.com",
        "https://acme.my.salesforce.com@evil.example",
        "https://127.0.0.1",
        "http://169.254.169.254",
        "nonsense",
    ],
)
def test_a_token_is_not_used_at_an_address_that_is_not_to_be_trusted(address: str) -> None:
    with pytest.raises(ConfigurationError, match="org's address") as caught:
        answer(instance_url=address)
    assert "evil" not in str(caught.value)


def test_an_address_that_the_user_listed_is_trusted() -> None:
    settings = SalesforceSettings(instance_url=ORG, allowed_hosts=("crm.acme.example",))
    body = json.dumps({**GOOD, "instance_url": "https://crm.acme.example"}).encode()
    assert oauth.read_answer(200, body, settings).access.instance_url == "https://crm.acme.example"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>login</html>",
        b"[]",
        b"{}",
        b'{"access_token": 1, "instance_url": "x"}',
        json.dumps({**GOOD, "access_token": "two words"}).encode(),
        json.dumps({**GOOD, "access_token": "a\nb"}).encode(),
    ],
)
def test_a_success_without_a_usable_token_is_unexpected(body: bytes) -> None:
    with pytest.raises(UnexpectedResponseError):
        oauth.read_answer(200, body, SETTINGS)


@pytest.mark.parametrize(
    "description,advice",
    [
        ("expired access/refresh token", "sign in again"),
        ("request not supported on this domain", "My Domain only"),
        ("no client credentials user enabled", "Run As"),
        ("user hasn't approved this consumer", "pre-authorize the user"),
        ("audience is invalid", "jwt_audience"),
        ("Audience validation failed", "jwt_audience"),
        ("invalid assertion", "certificate"),
        ("expired authorization code", "15 minutes"),
        ("invalid code verifier", "begin it again"),
        ("something new: SECRET-VALUE", "sign in again"),
    ],
)
def test_a_refused_grant_says_what_to_do_and_quotes_nothing(description: str, advice: str) -> None:
    error = refusal(400, "invalid_grant", description)
    assert isinstance(error, GrantRefusedError)
    assert advice in error.message
    assert "SECRET" not in error.message


@pytest.mark.parametrize(
    "code,description,advice",
    [
        ("invalid_app_access", "user is not admin approved to access this app", "Permitted Users"),
        ("OAUTH_APP_ACCESS_DENIED", "user is not admin approved to access this app", "Permitted Users"),
        ("OAUTH_APP_ACCESS_DENIED", "", "Permitted Users"),
        ("access_denied", "user is not admin approved", "Permitted Users"),
        ("invalid_client", "app must be installed into org", "install the app"),
        ("OAUTH_APP_BLOCKED", "this app is blocked by admin", "unblock"),
        ("OAUTH_AUTHORIZATION_BLOCKED", "", "unblock"),
        ("OAUTH_APPROVAL_ERROR_GENERIC", "An unexpected error has occurred", "API-only user"),
        ("invalid_request", "ip restricted", "this machine's address"),
        ("never_heard_of", "SECRET-VALUE", "(never_heard_of)"),
    ],
)
def test_a_policy_of_the_org_is_told_whatever_the_code(code: str, description: str, advice: str) -> None:
    error = refusal(400, code, description)
    assert type(error) is AuthenticationError
    assert advice in error.message
    assert "SECRET" not in error.message


def test_a_code_that_is_no_word_is_not_quoted() -> None:
    assert refusal(400, "00D!SECRET value").message == "Salesforce refused the sign-in"


@pytest.mark.parametrize(
    "status,code,kind",
    [
        (400, "invalid_client_id", AuthenticationError),
        (401, "invalid_client", AuthenticationError),
        (400, "inactive_user", AuthenticationError),
        (400, "unsupported_grant_type", ConfigurationError),
        (400, "redirect_uri_mismatch", ConfigurationError),
        (400, "rate_limit_exceeded", RateLimitedError),
        (429, "slow_down", RateLimitedError),
        (400, "unknown_error", UnavailableError),
        (503, "anything", UnavailableError),
        (400, "never_heard_of", AuthenticationError),
    ],
)
def test_each_refusal_has_its_error(status: int, code: str, kind: type[CRMError]) -> None:
    assert type(refusal(status, code)) is kind


@pytest.mark.parametrize(
    "status,body,kind",
    [
        (302, b"", ConfigurationError),
        (500, b"<html>", UnavailableError),
        (400, b"<html>", UnexpectedResponseError),
        (404, b"[]", UnexpectedResponseError),
    ],
)
def test_an_answer_that_is_not_of_oauth_has_its_error(status: int, body: bytes, kind: type[CRMError]) -> None:
    with pytest.raises(kind):
        oauth.read_answer(status, body, SETTINGS)


def test_a_refresh_sends_a_secret_only_if_the_app_has_one() -> None:
    assert dict(oauth.refresh(ORG, HELD).form) == {
        "grant_type": "refresh_token",
        "refresh_token": "the-refresh_token",
        "client_id": "the-client_id",
        "client_secret": "the-client_secret",
    }
    public = {name: value for name, value in HELD.items() if name != "client_secret"}
    assert "client_secret" not in oauth.refresh(ORG, public).form


def test_a_code_is_exchanged_with_the_verifier_and_the_secret_of_a_confidential_app() -> None:
    request = oauth.authorization_code(ORG, HELD, code="c", redirect_uri="http://localhost:1/", verifier="v")
    assert request.url == f"{ORG}/services/oauth2/token"
    assert {"code": "c", "code_verifier": "v", "client_secret": "the-client_secret"}.items() <= request.form.items()
    assert "refresh_token" not in request.form


def test_client_credentials_are_sent_in_the_form() -> None:
    assert dict(oauth.client_credentials(ORG, HELD).form) == {
        "grant_type": "client_credentials",
        "client_id": "the-client_id",
        "client_secret": "the-client_secret",
    }


def test_an_assertion_is_signed_for_the_audience_and_short_lived(key: rsa.RSAPrivateKey) -> None:
    request = oauth.jwt_bearer(ORG, HELD, pem_of(key), audience="https://login.salesforce.com", now=NOW)
    claims = jwt.decode(
        request.form["assertion"],
        key.public_key(),
        algorithms=["RS256"],
        audience="https://login.salesforce.com",
        options={"verify_exp": False},
    )
    assert (claims["iss"], claims["sub"]) == ("the-client_id", "the-username")
    assert timedelta(0) < datetime.fromtimestamp(claims["exp"], UTC) - NOW <= timedelta(minutes=3)
    assert "the-client_secret" not in request.form.values()


@pytest.mark.parametrize("pem", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_a_key_that_is_none_is_named_and_not_shown(pem: str) -> None:
    with pytest.raises(ConfigurationError, match="private_key") as caught:
        oauth.jwt_bearer(ORG, HELD, pem, audience="a", now=NOW)
    assert "AAAA" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "settings,audience",
    [
        ({"instance_url": ORG}, "https://login.salesforce.com"),
        ({"instance_url": "https://login.salesforce.com"}, "https://login.salesforce.com"),
        ({"instance_url": "https://test.salesforce.com"}, "https://test.salesforce.com"),
        ({"instance_url": "https://acme--dev.sandbox.my.salesforce.com"}, "https://test.salesforce.com"),
        ({"instance_url": ORG, "jwt_audience": "https://acme.my.site.com/x"}, "https://acme.my.site.com/x"),
        ({"instance_url": "http://127.0.0.1:8080", "allow_insecure_loopback": True}, "http://127.0.0.1:8080"),
        ({"instance_url": "https://crm.example", "allowed_hosts": ("crm.example",)}, "https://crm.example"),
    ],
)
def test_the_audience_follows_the_domain(settings: dict[str, object], audience: str) -> None:
    assert oauth.audience_of(SalesforceSettings.model_validate(settings)) == audience


def test_a_token_that_is_dead_already_counts_as_revoked() -> None:
    oauth.read_revocation(200, b"")
    oauth.read_revocation(400, b'{"error": "invalid_token", "error_description": "invalid token"}')
    with pytest.raises(AuthenticationError):
        oauth.read_revocation(400, b'{"error": "unsupported_token_type"}')
    with pytest.raises(UnavailableError):
        oauth.read_revocation(503, b"")


def test_nothing_here_shows_a_secret(key: rsa.RSAPrivateKey) -> None:
    read = answer(refresh_token="rotated-secret")
    shown = [
        repr(part)
        for part in (
            read,
            read.access,
            oauth.refresh(ORG, HELD),
            oauth.jwt_bearer(ORG, HELD, pem_of(key), audience="a", now=NOW),
            oauth.revocation(ORG, HELD["refresh_token"]),
        )
    ]
    assert not [text for text in shown for secret in ("00D!", "rotated", "the-", "assertion") if secret in text]
