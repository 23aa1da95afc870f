"""``Sforce-Limit-Info`` by its keys."""

from __future__ import annotations

import pytest

from crmsync.providers.salesforce.limits import ApiUsage, parse_limit_info, tightest


@pytest.mark.parametrize(
    "header, counts",
    [
        ("api-usage=25/5000", {"api-usage": ApiUsage(25, 5000)}),
        (
            "api-usage=10018/100000; api-bursts=1/750",
            {"api-usage": ApiUsage(10018, 100000), "api-bursts": ApiUsage(1, 750)},
        ),
        (
            "api-usage=25/5000; per-app-api-usage=17/250(appName=sample-connected-app)",
            {"api-usage": ApiUsage(25, 5000), "per-app-api-usage": ApiUsage(17, 250, "sample-connected-app")},
        ),
        ("", {}),
        ("api-usage=many/5000; api-usage=1", {}),
        (f"api-usage={'9' * 5000}/1", {}),
    ],
)
def test_counts_are_read_by_key(header: str, counts: dict[str, ApiUsage]) -> None:
    assert parse_limit_info(header) == counts


def test_the_count_of_which_less_is_left_is_the_one_to_heed() -> None:
    org, app = ApiUsage(25, 5000), ApiUsage(17, 250, "ours")
    assert tightest({"api-usage": org, "per-app-api-usage": app}) == app
    assert tightest({"api-usage": ApiUsage(4999, 5000), "per-app-api-usage": app}) == ApiUsage(4999, 5000)
    assert tightest({"api-usage": org, "api-bursts": ApiUsage(749, 750)}) == org
    assert tightest({"api-usage": ApiUsage(0, 0)}) is None
    assert tightest({}) is None
