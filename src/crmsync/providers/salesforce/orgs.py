"""Which org a connection leads to, and being alone with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from crmsync.errors import AccessDeniedError, SchemaChangedError
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.retrieving import query_all
from crmsync.providers.salesforce.settings import KNOWN_TO_THE_CLI, is_salesforce

_ORG: Final = "org_id"


@asynccontextmanager
async def exclusive(client: SalesforceClient, name: str) -> AsyncIterator[None]:
    """Wait until no other connection to the org is in here under this name, and keep them out. See `Turns`."""
    async with client.turns.exclusive(name, org=await org_of(client)):
        yield


async def org_of(client: SalesforceClient) -> str:
    """What names the org: its id, under whatever host it is reached (an org keeps its id when its domain changes).

    A host that Salesforce does not run is an org by itself: who runs it could say of it that it were any org, and keep
    that one's turns. Emulators all have one id.
    """
    access = await client.access()
    origin = access.instance_url
    org_id = None
    if origin == KNOWN_TO_THE_CLI or is_salesforce(urlsplit(origin).hostname or ""):
        org_id = _id_in(access.token.get_secret_value()) or client.remembered(_ORG) or await _asked(client)
    return f"salesforce {org_id or origin}"


def _id_in(token: str) -> str | None:
    """The org's id in front of a token, if it is an opaque one; a JWT-based token has none."""
    begin, mark, _ = token.partition("!")
    return full_id(begin) if mark and begin.startswith("00D") else None


async def _asked(client: SalesforceClient) -> str | None:
    """The id as the org says it, remembered; None if it is hidden from this user."""
    try:
        rows = await query_all(client, "SELECT Id FROM Organization LIMIT 1")
    except (AccessDeniedError, SchemaChangedError):
        return None
    org_id = full_id(str(rows[0].get("Id"))) if rows else None
    if org_id is not None:
        client.remember(_ORG, org_id)
    return org_id
