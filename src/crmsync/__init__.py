"""Two-way sync between an application and its CRMs: typed, async, with pluggable providers.

`CRMSync` is the way in. The errors are in `crmsync.errors`, the values in `crmsync.models`, what a third party
implements in `crmsync.protocols`, and the suites to test an implementation with in `crmsync.testing`.

Importing this package imports nothing else: each name below is loaded when it is first used, so that a command line or
a worker pays only for what it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmsync.exports import loading

if TYPE_CHECKING:
    from crmsync.errors import CRMError
    from crmsync.models.campaigns import CRMCampaign, EmailActivity, EmailActivityType, EmailStats
    from crmsync.models.contacts import CRMContact, CRMList
    from crmsync.models.integrations import Integration
    from crmsync.models.mappings import (
        ConflictPolicy,
        DeletePolicy,
        Enforcement,
        FieldMapping,
        ObjectMapping,
        SyncDirection,
        always_use_crm,
        dont_sync,
        prefer_crm_unless_blank,
        two_way,
    )
    from crmsync.models.plans import Plan
    from crmsync.models.records import MISSING, Side
    from crmsync.models.results import BulkSyncResult, CRMFeature, CRMSyncResult
    from crmsync.models.runs import RunOptions, RunReport, RunStatus
    from crmsync.models.schema import CustomField, FieldType
    from crmsync.protocols.observers import Observer
    from crmsync.protocols.provider import CRMProvider
    from crmsync.protocols.records import RecordStore
    from crmsync.protocols.repository import SyncRepository
    from crmsync.registry import Registry
    from crmsync.security.vault import Vault
    from crmsync.service import CRMSync

_HOMES = {
    "crmsync.errors": ("CRMError",),
    "crmsync.models.campaigns": ("CRMCampaign", "EmailActivity", "EmailActivityType", "EmailStats"),
    "crmsync.models.contacts": ("CRMContact", "CRMList"),
    "crmsync.models.integrations": ("Integration",),
    "crmsync.models.mappings": (
        "ConflictPolicy",
        "DeletePolicy",
        "Enforcement",
        "FieldMapping",
        "ObjectMapping",
        "SyncDirection",
        "always_use_crm",
        "dont_sync",
        "prefer_crm_unless_blank",
        "two_way",
    ),
    "crmsync.models.plans": ("Plan",),
    "crmsync.models.records": ("MISSING", "Side"),
    "crmsync.models.results": ("BulkSyncResult", "CRMFeature", "CRMSyncResult"),
    "crmsync.models.runs": ("RunOptions", "RunReport", "RunStatus"),
    "crmsync.models.schema": ("CustomField", "FieldType"),
    "crmsync.protocols.observers": ("Observer",),
    "crmsync.protocols.provider": ("CRMProvider",),
    "crmsync.protocols.records": ("RecordStore",),
    "crmsync.protocols.repository": ("SyncRepository",),
    "crmsync.registry": ("Registry",),
    "crmsync.security.vault": ("Vault",),
    "crmsync.service": ("CRMSync",),
}

if not TYPE_CHECKING:
    __getattr__ = loading(globals(), _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "MISSING",
    "BulkSyncResult",
    "CRMCampaign",
    "CRMContact",
    "CRMError",
    "CRMFeature",
    "CRMList",
    "CRMProvider",
    "CRMSync",
    "CRMSyncResult",
    "ConflictPolicy",
    "CustomField",
    "DeletePolicy",
    "EmailActivity",
    "EmailActivityType",
    "EmailStats",
    "Enforcement",
    "FieldMapping",
    "FieldType",
    "Integration",
    "ObjectMapping",
    "Observer",
    "Plan",
    "RecordStore",
    "Registry",
    "RunOptions",
    "RunReport",
    "RunStatus",
    "Side",
    "SyncDirection",
    "SyncRepository",
    "Vault",
    "always_use_crm",
    "dont_sync",
    "prefer_crm_unless_blank",
    "two_way",
]
