"""What the provider verbs answer."""

from __future__ import annotations

import enum
from collections.abc import Iterator

from crmsync.models.schema import PublicModel


class CRMFeature(enum.StrEnum):
    """What a provider may be able to do; ask with `supports_feature` before relying on one."""

    CONTACTS = "contacts"
    CUSTOM_FIELDS = "custom_fields"
    CAMPAIGNS = "campaigns"
    LISTS = "lists"
    EMAIL_ACTIVITY = "email_activity"
    BULK = "bulk"
    DELETED_FEED = "deleted_feed"
    MERGE_FEED = "merge_feed"
    EXTERNAL_KEY = "external_key"
    NOTIFICATIONS = "notifications"
    REPORTS = "reports"


class SyncAction(enum.StrEnum):
    """What a verb did to one record."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class CRMSyncResult(PublicModel):
    """What became of one input. ``crm_id`` is the CRM's id when known; ``code`` and ``error`` are set on failure.

    ``warnings`` say what of a successful input the CRM has no place for.
    """

    action: SyncAction
    crm_id: str | None = None
    code: str | None = None
    error: str | None = None
    retryable: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def success(self) -> bool:
        """Whether the CRM now holds what was asked."""
        return self.action is not SyncAction.FAILED


class BulkSyncResult(PublicModel):
    """One result for each input, in input order: ``results[i]`` belongs to ``inputs[i]``.

    ``warnings`` say what went wrong besides the inputs, such as a member of a list that could not be removed.
    """

    results: tuple[CRMSyncResult, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def succeeded(self) -> int:
        """How many inputs took effect."""
        return sum(result.success for result in self.results)

    @property
    def failed(self) -> int:
        """How many inputs did not."""
        return len(self.results) - self.succeeded

    def failures(self) -> Iterator[tuple[int, CRMSyncResult]]:
        """The failed inputs' positions with their results."""
        return ((i, result) for i, result in enumerate(self.results) if not result.success)


class ConnectionReport(PublicModel):
    """What `test_connection` found. ``warnings`` say what works less well than it could, and what to do about it."""

    ok: bool = True
    organisation: str = ""
    user: str = ""
    api_version: str = ""
    calls_used: int | None = None
    calls_limit: int | None = None
    warnings: tuple[str, ...] = ()


class Disconnection(PublicModel):
    """What became of the credentials at the CRM; here they are forgotten in any case.

    ``reason`` says why they were not ``revoked``.
    """

    revoked: bool
    reason: str = ""
