"""Which way everything is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crmsync.providers.salesforce.limits import CallsLeft
from crmsync.providers.salesforce.loading.choice import choose_read
from crmsync.providers.salesforce.pace import Pace
from crmsync.providers.salesforce.settings import FirstRead

PLENTY = CallsLeft(100_000)


def by_job(
    records: int,
    pace: Pace = Pace(),  # noqa: B008 - frozen
    left: CallsLeft = PLENTY,
    *,
    wanted: FirstRead = FirstRead.AUTO,
    hindrance: str | None = None,
) -> bool:
    """Whether a query job is chosen."""
    return choose_read(records, pace, left, wanted=wanted, bulk_from=20_000, hindrance=hindrance).bulk


def test_up_to_the_threshold_auto_reads_by_rest_however_slow_that_is() -> None:
    slow = Pace(call=5.0, page=60.0)
    assert not by_job(20_000, slow)
    assert by_job(20_001, slow)


def test_auto_goes_by_the_pace_that_was_measured() -> None:
    assert not by_job(100_000, Pace(call=0.12, page=0.2))
    assert by_job(100_000, Pace(call=0.12, page=6.0))
    assert not by_job(100_000, Pace(call=0.12, page=6.0, query_scale=20.0))


def test_a_job_is_taken_where_calls_run_short() -> None:
    fast = Pace(call=0.01, page=0.02)
    assert not by_job(100_000, fast)
    assert by_job(100_000, fast, CallsLeft(60))
    assert by_job(100_000, fast, CallsLeft(2_000, 0.01))


def test_the_settings_decide_over_everything_but_what_is_impossible() -> None:
    assert by_job(1, wanted=FirstRead.BULK)
    assert not by_job(10_000_000, wanted=FirstRead.REST)
    choice = choose_read(
        10_000_000, Pace(), PLENTY, wanted=FirstRead.BULK, bulk_from=0, hindrance="the org refused a query job"
    )
    assert (choice.bulk, choice.reason) == (False, "the org refused a query job")


def test_nothing_is_no_work_for_a_job() -> None:
    assert not by_job(0, wanted=FirstRead.BULK)


@given(st.integers(0, 10**8), st.floats(0.001, 10), st.floats(0.001, 60), st.integers(0, 10**6))
def test_the_reason_is_always_given(records: int, call: float, page: float, left: int) -> None:
    pace = Pace(call=call, page=page)
    assert choose_read(records, pace, CallsLeft(left), wanted=FirstRead.AUTO, bulk_from=20_000).reason
