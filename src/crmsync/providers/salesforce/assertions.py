"""Signing in by assertion, also where this machine's clock differs from Salesforce's.

An assertion is good for 3 minutes by Salesforce's clock ("OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration",
Salesforce Help), and what refuses it says its own time. So a refusal by a clock that differs is answered by a second
assertion, made by that clock, as Box's libraries do it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr

from crmsync.protocols.runtime import Clock
from crmsync.providers.salesforce import oauth
from crmsync.providers.salesforce.auth import EndpointReply, TokenEndpoint, pem_of
from crmsync.providers.salesforce.clocks import NOTABLE, difference
from crmsync.providers.salesforce.oauth import TokenAnswer
from crmsync.providers.salesforce.oauth_refusals import GrantRefusedError

_LOG: Final = logging.getLogger(__name__)


class AssertionSignIn:
    """Signs in as the user whom the credentials name. What it learns of Salesforce's clock it keeps."""

    def __init__(self, endpoint: TokenEndpoint, clock: Clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._ahead = timedelta(0)

    async def __call__(self, held: Mapping[str, SecretStr]) -> TokenAnswer:
        """:raises GrantRefusedError: the assertion is refused, by Salesforce's own clock too."""
        pem = await pem_of(held["private_key"])
        used = self._ahead
        reply = await self._asked(held, pem)
        try:
            return self._read(reply)
        except GrantRefusedError as error:
            ahead = _told(reply, self._clock.now())
            if ahead is None or abs(ahead - used) < NOTABLE:
                raise
            refusal = error
        self._ahead = ahead
        try:
            answer = self._read(await self._asked(held, pem))
        except GrantRefusedError as error:
            raise GrantRefusedError(f"{error.message}; {difference(ahead)}") from refusal
        _LOG.warning("an assertion was made anew by Salesforce's clock: %s", difference(ahead))
        return answer

    async def _asked(self, held: Mapping[str, SecretStr], pem: str) -> EndpointReply:
        settings = self._endpoint.settings
        now = self._clock.now() + self._ahead
        request = oauth.jwt_bearer(
            settings.instance_url or "", held, pem, audience=oauth.audience_of(settings), now=now
        )
        return await self._endpoint.ask(request)

    def _read(self, reply: EndpointReply) -> TokenAnswer:
        return oauth.read_answer(reply.status, reply.body, self._endpoint.settings, by_assertion=True)


def _told(reply: EndpointReply, now: datetime) -> timedelta | None:
    """How far Salesforce's clock is ahead of ours, if its answer says."""
    return None if reply.at is None else reply.at - now
