"""E-mail events of Salesforce as a `RecordStore`."""

from __future__ import annotations

from crmsync.models.calls import CallEstimate, StoreUse, StoreVerb
from crmsync.providers.activity_records import ActivityRecords
from crmsync.providers.salesforce.bulk.following import settle
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.estimating import activity_calls
from crmsync.providers.salesforce.objects.activity import ActivityLog


class SalesforceActivityRecords(ActivityRecords):
    """What the log makes of events, as the setting ``activity`` says."""

    def __init__(self, client: SalesforceClient, log: ActivityLog) -> None:
        super().__init__(log.record)
        self._client = client

    def estimate(self, use: StoreUse) -> CallEstimate:
        """See `SupportsCallEstimates`: only logging asks the org anything."""
        events = use.items if use.verb is StoreVerb.WRITE else 0
        return activity_calls(events, self._client.settings)

    async def settle_jobs(self) -> None:
        """See `SupportsJobs`: thousands of tasks are written through jobs."""
        await settle(self._client)
