"""JWT bearer: signed by the app's key, for this org, soon over, and for a user who let the app in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from crmsync.testing.salesforce import API_USER_ID, API_USERNAME, MY_DOMAIN, OAuthApp, SalesforceOrg

pytestmark = pytest.mark.anyio

TOKEN = "/services/oauth2/token"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def certificate_of(key: RSAPrivateKey) -> str:
    """Return a self-signed certificate, as an admin uploads it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=365))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def public_pem(key: Any) -> str:
    """Return the PEM of the public half."""
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


@pytest.fixture
def org(org: SalesforceOrg, key: RSAPrivateKey) -> SalesforceOrg:
    org.oauth.add_app(
        OAuthApp(client_id="jwt-app", public_key=certificate_of(key), preauthorized=(API_USERNAME.upper(),))
    )
    return org


def claims(org: SalesforceOrg, **changes: Any) -> dict[str, Any]:
    """Return good claims, changed."""
    good = {
        "iss": "jwt-app",
        "sub": API_USERNAME,
        "aud": "https://login.salesforce.com",
        "exp": int(org.now().timestamp()) + 300,
    }
    return {**good, **changes}


async def ask(client: httpx2.AsyncClient, assertion: str) -> dict[str, Any]:
    """Return the token endpoint's answer to an assertion."""
    response = await client.post(TOKEN, data={"grant_type": GRANT, "assertion": assertion})
    answer: dict[str, Any] = response.json()
    assert response.status_code == (400 if "error" in answer else 200)
    return answer


@pytest.mark.parametrize(
    "audience",
    [
        "https://login.salesforce.com",
        "https://test.salesforce.com/",
        MY_DOMAIN,
        "http://org.example",
        "http://org.example/",
        ["https://elsewhere.example", "http://org.example"],
    ],
)
async def test_a_good_assertion_gets_a_token_without_a_refresh_token(
    client: httpx2.AsyncClient, org: SalesforceOrg, key: RSAPrivateKey, audience: Any
) -> None:
    answer = await ask(client, jwt.encode(claims(org, aud=audience), key, "RS256"))
    assert answer["id"].endswith(API_USER_ID)
    assert answer["scope"] == "api"
    assert "refresh_token" not in answer


@pytest.mark.parametrize(
    "changes,description",
    [
        ({"aud": "https://elsewhere.example"}, "audience is invalid"),
        ({"aud": None}, "audience is invalid"),
        ({"exp": None}, "invalid assertion"),
        ({"exp": "soon"}, "invalid assertion"),
        ({"sub": "nobody@emulator.example"}, "user hasn't approved this consumer"),
        ({"sub": "other.person@emulator.example"}, "user hasn't approved this consumer"),
        ({"sub": 7}, "invalid assertion"),
    ],
)
async def test_wrong_claims_are_refused_by_their_reason(
    client: httpx2.AsyncClient, org: SalesforceOrg, key: RSAPrivateKey, changes: dict[str, Any], description: str
) -> None:
    answer = await ask(client, jwt.encode(claims(org, **changes), key, "RS256"))
    assert answer == {"error": "invalid_grant", "error_description": description}


@pytest.mark.parametrize("seconds,description", [(-180, "expired authorization code"), (301, "invalid assertion")])
async def test_an_assertion_is_good_for_five_minutes(
    client: httpx2.AsyncClient, org: SalesforceOrg, key: RSAPrivateKey, seconds: int, description: str
) -> None:
    end = int(org.now().timestamp()) + seconds
    answer = await ask(client, jwt.encode(claims(org, exp=end), key, "RS256"))
    assert answer == {"error": "invalid_grant", "error_description": description}


async def test_forms_of_exp_that_real_clients_send_are_understood(
    client: httpx2.AsyncClient, org: SalesforceOrg, key: RSAPrivateKey
) -> None:
    moment = org.now().timestamp()
    for exp in (str(int(moment) + 170), int(moment), int(moment * 1000) + 300, int(moment * 1000) - 1000):
        assert "access_token" in await ask(client, jwt.encode(claims(org, exp=exp), key, "RS256"))
    for exp in (int((moment - 301) * 1000), int((moment + 301) * 1000)):
        assert "error" in await ask(client, jwt.encode(claims(org, exp=exp), key, "RS256"))


async def test_only_the_apps_own_rsa_key_is_believed(
    client: httpx2.AsyncClient, org: SalesforceOrg, key: RSAPrivateKey
) -> None:
    other = generate_private_key(65537, 2048)
    forged = [
        jwt.encode(claims(org), other, "RS256"),
        jwt.encode(claims(org), key, "RS512"),
        jwt.encode(claims(org), "", "none"),
        jwt.encode(claims(org), "k" * 64, "HS256"),
        "no.jwt.at-all",
        "",
    ]
    for assertion in forged:
        answer = await ask(client, assertion)
        assert answer == {"error": "invalid_grant", "error_description": "invalid assertion"}
    unknown = await ask(client, jwt.encode(claims(org, iss="nobody"), key, "RS256"))
    assert unknown["error"] == "invalid_client_id"
    keyless = await ask(client, jwt.encode(claims(org, iss="PlatformCLI"), key, "RS256"))
    assert keyless["error_description"] == "invalid assertion"


async def test_a_user_who_consented_before_is_let_in_by_a_plain_public_key(
    client: httpx2.AsyncClient, org: SalesforceOrg, key: RSAPrivateKey
) -> None:
    org.oauth.add_app(OAuthApp(client_id="jwt-app", public_key=public_pem(key)))
    assertion = jwt.encode(claims(org), key, "RS256")
    assert (await ask(client, assertion))["error_description"] == "user hasn't approved this consumer"
    org.oauth.consent("jwt-app", API_USER_ID)
    assert "access_token" in await ask(client, assertion)


def test_an_app_is_not_set_up_with_a_key_that_is_not_rsa() -> None:
    for pem in ("nonsense", public_pem(generate_ec_key(SECP256R1()))):
        with pytest.raises(ValueError, match=r"PEM|RSA|deserialize"):
            OAuthApp(client_id="x", public_key=pem)
