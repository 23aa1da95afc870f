"""The provider: opens the store, says what it can do, and takes the contact verbs from `ContactVerbs`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import anyio
from pydantic import SecretStr

from crmsync.errors import ConfigurationError, SchemaChangedError
from crmsync.models.campaigns import CRMCampaign, EmailActivity
from crmsync.models.contacts import CRMList
from crmsync.models.mappings import MatchKeys, ObjectMapping, two_way
from crmsync.models.results import BulkSyncResult, ConnectionReport, CRMFeature, CRMSyncResult
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.contact_verbs import ContactVerbs
from crmsync_jsonfile.document import Document
from crmsync_jsonfile.store import SCHEMA, JsonFileStore

MAPPING = ObjectMapping(
    fields=tuple(two_way(name, name) for name in ("email", "first_name", "last_name", "phone", "tags")),
    match=MatchKeys(local_email="email", remote_email="email"),
)
FEATURES = {CRMFeature.CONTACTS, CRMFeature.CUSTOM_FIELDS, CRMFeature.BULK, CRMFeature.EXTERNAL_KEY}


class JsonFileProvider(ContactVerbs):
    """One connection to one file."""

    provider_name = "jsonfile"
    contact_object = SCHEMA.name

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._document = Document(path)

    def supports_feature(self, feature: CRMFeature) -> bool:
        return feature in FEATURES

    def contact_mapping(self) -> ObjectMapping:
        return MAPPING

    async def test_connection(self) -> ConnectionReport:
        await self._document.read()
        return ConnectionReport(organisation=self._path.name)

    async def records(self, object_name: str) -> JsonFileStore:
        if object_name != SCHEMA.name:
            raise SchemaChangedError(f"this CRM knows only the object {SCHEMA.name!r}")
        return JsonFileStore(self._document)

    async def sync_campaign(self, campaign: CRMCampaign) -> CRMSyncResult:
        _refuse("campaigns")

    async def log_email_activity(self, activity: EmailActivity) -> CRMSyncResult:
        _refuse("e-mail activity")

    async def sync_list_membership(self, members: CRMList, *, remove_others: bool = False) -> BulkSyncResult:
        _refuse("lists")


class JsonFileProviderFactory:
    """What the entry point names."""

    name = "jsonfile"

    def default_mappings(self) -> Mapping[str, ObjectMapping]:
        return {SCHEMA.name: MAPPING}

    @asynccontextmanager
    async def open(
        self, settings: Mapping[str, Any], credentials: Mapping[str, SecretStr], context: ProviderContext
    ) -> AsyncIterator[JsonFileProvider]:
        """Check what the user configured before anything is read, and name what is wrong with it."""
        unknown = [*(name for name in settings if name != "path"), *credentials]
        if unknown:
            raise ConfigurationError(f"jsonfile does not know: {', '.join(unknown)} (it takes: path)")
        path = settings.get("path")
        # A mistyped path must not become an empty CRM: everybody would seem to be deleted.
        if not isinstance(path, str) or not await anyio.Path(path).is_file():
            raise ConfigurationError("path: must name an existing file")
        yield JsonFileProvider(Path(path))


def _refuse(what: str) -> NoReturn:
    raise ConfigurationError(f"a JSON file has no {what}; ask supports_feature() first")
