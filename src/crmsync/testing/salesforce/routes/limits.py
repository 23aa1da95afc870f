"""The org's limits and its counts of records."""

from __future__ import annotations

from typing import Any, Final

from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable

#: What nothing here uses up, with the numbers of "List Organization Limits" (REST API Developer Guide).
_UNTOUCHED: Final = {
    "ActiveScratchOrgs": 3,
    "AnalyticsExternalDataSizeMB": 40_960,
    "ConcurrentAsyncGetReportInstances": 200,
    "ConcurrentEinsteinDataInsightsStoryCreation": 5,
    "ConcurrentEinsteinDiscoveryStoryCreation": 2,
    "ConcurrentSyncReportRuns": 20,
    "DailyAnalyticsDataflowJobExecutions": 60,
    "DailyAnalyticsUploadedFilesSizeMB": 51_200,
    "DailyAsyncApexExecutions": 250_000,
    "DailyAsyncApexTests": 500,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    "DailyDeliveredPlatformEvents": 10_000,
    "DailyDurableGenericStreamingApiEvents": 10_000,
    "DailyDurableStreamingApiEvents": 10_000,
    "DailyEinsteinDataInsightsStoryCreation": 1_000,
    "DailyEinsteinDiscoveryPredictAPICalls": 50_000,
    "DailyEinsteinDiscoveryPredictionsByCDC": 5_000_000,
    "DailyEinsteinDiscoveryStoryCreation": 100,
    "DailyFunctionsApiCallLimit": 235_000,
    "DailyGenericStreamingApiEvents": 10_000,
    "DailyScratchOrgs": 6,
    "DailyStandardVolumePlatformEvents": 10_000,
    "DailyStreamingApiEvents": 10_000,
    "DailyWorkflowEmails": 100_000,
    "DataStorageMB": 1_024,
    "DurableStreamingApiConcurrentClients": 20,
    "FileStorageMB": 1_024,
    "HourlyAsyncReportRuns": 1_200,
    "HourlyDashboardRefreshes": 200,
    "HourlyDashboardResults": 5_000,
    "HourlyDashboardStatuses": 999_999_999,
    "HourlyLongTermIdMapping": 100_000,
    "HourlyManagedContentPublicRequests": 50_000,
    "HourlyODataCallout": 20_000,
    "HourlyPublishedPlatformEvents": 50_000,
    "HourlyPublishedStandardVolumePlatformEvents": 1_000,
    "HourlyShortTermIdMapping": 100_000,
    "HourlySyncReportRuns": 500,
    "HourlyTimeBasedWorkflow": 1_000,
    "MassEmail": 5_000,
    "MonthlyEinsteinDiscoveryStoryCreation": 500,
    "Package2VersionCreates": 6,
    "Package2VersionCreatesWithoutValidation": 500,
    "PrivateConnectOutboundCalloutHourlyLimitMB": 0,
    "SingleEmail": 5_000,
    "StreamingApiConcurrentClients": 20,
}


def limits(call: Call) -> Reply:
    """Return the org's limits: API calls and bulk jobs are counted, nothing else is ever used up."""
    bulk, now = call.org.bulk, call.org.now()
    counted = {
        "DailyApiRequests": (call.org.daily_limit, call.org.api_calls),
        "DailyBulkApiBatches": (bulk.options.batches_a_day, bulk.batches_used(now)),
        "DailyBulkV2QueryJobs": (bulk.options.query_jobs_a_day, bulk.query_jobs_used(now)),
    }
    body: dict[str, Any] = {
        name: {"Max": limit, "Remaining": max(limit - used, 0)} for name, (limit, used) in counted.items()
    }
    body |= {name: {"Max": number, "Remaining": number} for name, number in _UNTOUCHED.items()}
    # A limit may hold limits of its parts, as that of API calls does for each app.
    body["PermissionSets"] = {"Max": 1_500, "Remaining": 1_500, "CreateCustom": {"Max": 1_000, "Remaining": 1_000}}
    return Reply(dict(sorted(body.items())))


def record_count(call: Call) -> Reply:
    """Count the records outside the recycle bin, of all objects or those of ``?sObjects=``."""
    names = [name.strip() for name in call.query.get("sObjects", "").split(",") if name.strip()]
    tables = call.tables if not names else {n: t for n, t in call.tables.items() if n in names}
    now = call.org.now()
    counts: list[dict[str, Any]] = []
    for name, table in tables.items():
        table.settle(now)
        counts.append({"count": sum(1 for row in table.rows.values() if not row.get("IsDeleted")), "name": name})
    return Reply({"sObjects": counts})


ROUTES: RouteTable = (
    ("/limits", {"GET": limits}),
    ("/limits/recordCount", {"GET": record_count}),
)
