"""`CRMSync`, the facade over everything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from crmsync.models.audit import Actor
from crmsync.protocols.observers import Observer
from crmsync.protocols.runtime import Clock
from crmsync.registry import STORAGE, Registry
from crmsync.security.vault import Vault
from crmsync.service.auditing import AuditVerbs
from crmsync.service.history import HistoryVerbs
from crmsync.service.inbox import InboxVerbs
from crmsync.service.integrations import IntegrationVerbs
from crmsync.service.keys import KeyVerbs
from crmsync.service.links import LinkVerbs
from crmsync.service.previews import PreviewVerbs
from crmsync.service.privacy import PrivacyVerbs
from crmsync.service.rejects import RejectVerbs
from crmsync.service.runs import RunVerbs
from crmsync.service.stops import StopVerbs
from crmsync.service.suggestions import SuggestionVerbs
from crmsync.service.templates import TemplateVerbs


class CRMSync(
    IntegrationVerbs,
    RunVerbs,
    StopVerbs,
    InboxVerbs,
    RejectVerbs,
    LinkVerbs,
    TemplateVerbs,
    HistoryVerbs,
    KeyVerbs,
    AuditVerbs,
    PrivacyVerbs,
    SuggestionVerbs,
    PreviewVerbs,
):
    """Connect CRMs, map fields, plan and run syncs, look at what happened.

    The owner passes what this works with and closes it; `open` does both for a storage URL. ``custom_policies`` are the
    pure functions of field mappings with policy ``custom``, by local field name: (local value, the CRM's value in local
    form) to the value that both sides should hold. ``normalisers`` are those that ``normalise`` names besides
    `crmsync.mapping.TEXT_FORMS`: pure and idempotent, from a text to the form in which it is compared.
    ``actor`` is who acts, for the audit log, where `crmsync.security.audit.acting` says nobody else.
    """

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        storage: str,
        *,
        vault: Vault,
        registry: Registry | None = None,
        clock: Clock | None = None,
        observers: Sequence[Observer] = (),
        custom_policies: Mapping[str, Callable[[object, object], object]] | None = None,
        normalisers: Mapping[str, Callable[[str], str]] | None = None,
        actor: Actor | None = None,
    ) -> AsyncIterator[CRMSync]:
        """Open the bookkeeping at a URL (``sqlite:///crmsync.db``, ``postgresql://...``, ``memory://``), then close it.

        :raises UnknownProviderError: no installed storage has this URL scheme.
        :raises StorageError: it cannot be opened.
        """
        registry = registry or Registry()
        scheme = storage.partition(":")[0]
        open_repository = registry.load(STORAGE, scheme)
        async with open_repository(storage) as repository:
            yield cls(
                repository,
                vault=vault,
                registry=registry,
                clock=clock,
                observers=observers,
                custom_policies=custom_policies,
                normalisers=normalisers,
                actor=actor,
            )
