"""The web server flow as a web application uses it, with a redirect address of its own."""

from __future__ import annotations

import attrs
import httpx2
import pytest
from pydantic import SecretStr

from crmsync.errors import AuthenticationError, ConfigurationError, CRMError
from crmsync.protocols.signing_in import PendingSignIn, SignedIn, SupportsSignIn
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.testing.salesforce import OAuthApp, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport

pytestmark = pytest.mark.anyio

ORG = "https://acme.my.salesforce.com"
SETTINGS = {"instance_url": ORG}
BACK = "https://app.example/salesforce/callback"
SECRET = "an-app-secret"
CONFIDENTIAL = {"client_id": SecretStr("confidential"), "client_secret": SecretStr(SECRET)}
PUBLIC = {"client_id": SecretStr("public")}


@pytest.fixture
def org() -> SalesforceOrg:
    org = SalesforceOrg(
        apps=[
            OAuthApp(client_id="confidential", client_secret=SECRET, callback_urls=(BACK,), requires_pkce=True),
            OAuthApp(client_id="public", callback_urls=(BACK,), requires_pkce=True),
            OAuthApp(client_id="short", callback_urls=(BACK,), scopes=("api",)),
            OAuthApp(client_id="elsewhere", callback_urls=("https://other.example/",)),
        ]
    )
    user = org.get("User", org.user_id)
    assert user is not None
    org.oauth.auto_approve_as = str(user["Username"])
    return org


@pytest.fixture
def factory(org: SalesforceOrg) -> SalesforceProviderFactory:
    return SalesforceProviderFactory(InProcessTransport(org))


async def browse(org: SalesforceOrg, pending: PendingSignIn) -> str:
    """Where the user's browser is sent to."""
    async with httpx2.AsyncClient(transport=InProcessTransport(org)) as browser:
        response = await browser.get(pending.url)
        assert response.status_code == 302, response.text
        return response.headers["Location"]


async def sign_in(
    org: SalesforceOrg, factory: SalesforceProviderFactory, app: dict[str, SecretStr]
) -> tuple[PendingSignIn, SignedIn]:
    pending = factory.begin_sign_in(SETTINGS, app, BACK)
    # As from a session that an application keeps between two requests.
    pending = PendingSignIn(**attrs.asdict(pending))
    return pending, await factory.finish_sign_in(SETTINGS, app, pending, await browse(org, pending))


@pytest.mark.parametrize("app", [CONFIDENTIAL, PUBLIC], ids=["confidential", "public"])
async def test_a_sign_in_brings_credentials_that_renew_themselves(
    app: dict[str, SecretStr], org: SalesforceOrg, factory: SalesforceProviderFactory
) -> None:
    _, signed = await sign_in(org, factory, app)
    assert signed.settings == {"instance_url": ORG}
    assert set(signed.credentials) == {"refresh_token", *app}
    assert org.oauth.grant_of(signed.credentials["refresh_token"].get_secret_value()) is not None
    assert signed.granted == ("api", "refresh_token")
    assert signed.missing == ()


async def test_an_app_that_offers_no_refresh_token_is_refused_with_the_reason(
    org: SalesforceOrg, factory: SalesforceProviderFactory
) -> None:
    with pytest.raises(ConfigurationError, match="scopes"):
        await sign_in(org, factory, {"client_id": SecretStr("short")})


async def test_a_callback_of_another_sign_in_is_refused(org: SalesforceOrg, factory: SalesforceProviderFactory) -> None:
    mine, theirs = (factory.begin_sign_in(SETTINGS, PUBLIC, BACK) for _ in range(2))
    callback = await browse(org, theirs)
    with pytest.raises(AuthenticationError, match="another sign-in"):
        await factory.finish_sign_in(SETTINGS, PUBLIC, mine, callback)
    stolen = attrs.evolve(mine, state=theirs.state)
    with pytest.raises(AuthenticationError, match="begin it again"):
        await factory.finish_sign_in(SETTINGS, PUBLIC, stolen, callback)


@pytest.mark.parametrize(
    "query,kind,text",
    [
        ("error=access_denied&error_description=end-user+denied", AuthenticationError, "did not allow"),
        ("error=invalid_scope", ConfigurationError, "scopes"),
        ("", AuthenticationError, "no code"),
        ("code=", AuthenticationError, "no code"),
        ("code=made-up", AuthenticationError, "15 minutes"),
    ],
)
async def test_a_callback_without_a_good_code_says_why(
    query: str, kind: type[CRMError], text: str, factory: SalesforceProviderFactory
) -> None:
    pending = factory.begin_sign_in(SETTINGS, PUBLIC, BACK)
    with pytest.raises(kind, match=text):
        await factory.finish_sign_in(SETTINGS, PUBLIC, pending, f"{BACK}?state={pending.state}&{query}")


async def test_a_wrong_secret_is_refused(org: SalesforceOrg, factory: SalesforceProviderFactory) -> None:
    with pytest.raises(AuthenticationError, match="client_secret is wrong"):
        await sign_in(org, factory, {**CONFIDENTIAL, "client_secret": SecretStr("wrong")})


def test_every_sign_in_has_a_state_and_a_verifier_of_its_own(factory: SalesforceProviderFactory) -> None:
    begun = [factory.begin_sign_in(SETTINGS, CONFIDENTIAL, BACK) for _ in range(20)]
    assert len({one.state for one in begun}) == len({one.verifier for one in begun}) == 20
    for one in begun:
        assert one.url.startswith(f"{ORG}/services/oauth2/authorize?")
        assert one.verifier not in one.url
        assert SECRET not in one.url
        assert one.state not in repr(one)
        assert one.verifier not in repr(one)


@pytest.mark.parametrize(
    "settings,app,text",
    [
        ({}, PUBLIC, "instance_url"),
        ({"sf": {"org": "x"}}, {}, "instance_url: missing; client_id: missing"),
        (SETTINGS, {"client_id": SecretStr("two words")}, "client_id"),
        ({"instance_url": "https://evil.example"}, PUBLIC, "none of Salesforce's"),
    ],
)
def test_what_is_missing_or_unusable_is_named_before_the_browser_is_sent(
    settings: dict[str, object], app: dict[str, SecretStr], text: str, factory: SalesforceProviderFactory
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        factory.begin_sign_in(settings, app, BACK)


def test_the_factory_says_what_each_way_needs(factory: SalesforceProviderFactory) -> None:
    assert isinstance(factory, SupportsSignIn)
    methods = {method.name: {one.name for one in method.questions} for method in factory.sign_in_methods()}
    assert list(methods) == ["browser", "jwt", "client-credentials", "cli", "token"]
    assert methods["jwt"] == {"instance_url", "client_id", "username", "private_key"}
