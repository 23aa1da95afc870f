"""Signing in by assertion on a machine whose clock is wrong, against the emulator, which verifies ``exp``."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.errors import AuthenticationError
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProvider, SalesforceProviderFactory
from crmsync.testing.salesforce import API_USERNAME, OAuthApp, SalesforceOrg
from crmsync.testing.salesforce.transport import InProcessTransport
from crmsync.testing.world import FakeClock

pytestmark = pytest.mark.anyio

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class DatedTransport(httpx2.AsyncBaseTransport):
    """Dates answers by the org's clock, as a server does, and notes until when each assertion was good."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org
        self._inner = InProcessTransport(org)
        self.dated = True
        self.ends: list[timedelta] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/oauth2/token"):
            form = dict(httpx2.QueryParams((await request.aread()).decode()))
            claims = jwt.decode(form["assertion"], options={"verify_signature": False})
            self.ends.append(timedelta(seconds=claims["exp"] - int(self.org.now().timestamp())))
        response = await self._inner.handle_async_request(request)
        if self.dated:
            response.headers["Date"] = format_datetime(self.org.now(), usegmt=True)
        return response


@asynccontextmanager
async def signing(
    ahead: float, app: OAuthApp | None = None
) -> AsyncIterator[tuple[DatedTransport, SalesforceProvider]]:
    """A connection by assertion; our clock is ``ahead`` seconds ahead of the org's."""
    ours, theirs = FakeClock(), FakeClock()
    ours.tick(ahead)
    app = app or OAuthApp(client_id="signing", public_key=PUBLIC.decode(), preauthorized=(API_USERNAME,))
    sent = DatedTransport(SalesforceOrg(clock=theirs.now, apps=[app]))
    held = {"client_id": "signing", "username": API_USERNAME, "private_key": PEM}
    credentials = {name: SecretStr(value) for name, value in held.items()}
    settings = {"instance_url": "https://acme.my.salesforce.com", "retry_wait": 0.0}
    context = ProviderContext(ours, RunBudget())
    async with SalesforceProviderFactory(sent).open(settings, credentials, context) as provider:
        yield sent, provider


@pytest.mark.parametrize("ahead", [-25, 0, 25])
async def test_a_small_difference_of_the_clocks_does_not_matter(ahead: float) -> None:
    """The assertion is sent once, and ends within the 3 minutes that are documented."""
    async with signing(ahead) as (sent, provider):
        assert (await provider.test_connection()).warnings == ()
        [end] = sent.ends
        assert timedelta(minutes=1) < end < timedelta(minutes=3)


@pytest.mark.parametrize("ahead, words", [(-600, "600 seconds behind"), (600, "600 seconds ahead of")])
async def test_a_clock_that_is_far_off_is_corrected_by_salesforce_s_own_and_told(
    ahead: float, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with signing(ahead) as (sent, provider):
        with caplog.at_level(logging.WARNING, logger="crmsync"):
            warnings = (await provider.test_connection()).warnings
        assert sent.ends[1:] == [timedelta(minutes=2)]
        assert [warning for warning in warnings if words in warning]
        assert [record.message for record in caplog.records if words in record.message]
        sent.org.expire_sessions()
        await provider.test_connection()
        # What was learnt serves for the next token, too.
        assert sent.ends[2:] == [timedelta(minutes=2)]


async def test_a_refusal_that_the_clock_does_not_explain_names_the_difference_as_well() -> None:
    stranger = OAuthApp(client_id="signing", public_key=PUBLIC.decode())
    async with signing(-600, stranger) as (sent, provider):
        with pytest.raises(AuthenticationError, match=r"pre-authorize the user.*600 seconds behind"):
            await provider.test_connection()
        assert len(sent.ends) == 2


async def test_a_refusal_while_the_clocks_agree_is_not_asked_again() -> None:
    stranger = OAuthApp(client_id="signing", public_key=PUBLIC.decode())
    async with signing(0, stranger) as (sent, provider):
        with pytest.raises(AuthenticationError, match="pre-authorize the user") as refusal:
            await provider.test_connection()
        assert "clock" not in str(refusal.value)
        assert len(sent.ends) == 1


@pytest.mark.parametrize("ahead", [-600, 600])
async def test_without_a_date_the_error_says_to_look_at_the_clock(ahead: float) -> None:
    async with signing(ahead) as (sent, provider):
        sent.dated = False
        with pytest.raises(AuthenticationError, match="clock"):
            await provider.test_connection()
        assert len(sent.ends) == 1
