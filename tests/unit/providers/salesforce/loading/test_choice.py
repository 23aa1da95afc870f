"""Which way everything is read."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crmsync.providers.salesforce.limits import CallsLeft
from crmsync.providers.salesforce.loading.choice import choose_read
from crmsync.providers.salesforce.pace import Pace
from crmsync.providers.salesforce.settings import FirstRead, SalesforceSettings

PLENTY = CallsLeft(100_000)


def settings(**given: Any) -> SalesforceSettings:
    """Settings of a connection."""
    return SalesforceSettings(instance_url="https://acme.my.salesforce.com", **given)


def by_job(
    records: int,
    pace: Pace = Pace(),  # noqa: B008 - frozen
    left: CallsLeft = PLENTY,
    *,
    wanted: FirstRead = FirstRead.AUTO,
    hindrance: str | None = None,
) -> bool:
    """Whether a query job is chosen."""
    return choose_read(records, pace, left, settings=settings(first_read=wanted), hindrance=hindrance).bulk


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
    asked = settings(first_read=FirstRead.BULK, bulk_read_from=0)
    choice = choose_read(10_000_000, Pace(), PLENTY, settings=asked, hindrance="the org refused a query job")
    assert (choice.bulk, choice.reason) == (False, "the org refused a query job")


def test_nothing_is_no_work_for_a_job() -> None:
    assert not by_job(0, wanted=FirstRead.BULK)


@given(st.integers(0, 10**8), st.floats(0.001, 10), st.floats(0.001, 60), st.integers(0, 10**6))
def test_the_reason_is_always_given(records: int, call: float, page: float, left: int) -> None:
    pace = Pace(call=call, page=page)
    assert choose_read(records, pace, CallsLeft(left), settings=settings()).reason


def ranges(records: int, pace: Pace = Pace(), left: CallsLeft = PLENTY, **given: Any) -> int:  # noqa: B008 - frozen
    """How many ranges have a job each."""
    return choose_read(records, pace, left, settings=settings(first_read="bulk", **given)).ranges


def test_a_range_is_worth_a_job_of_its_own_if_it_is_large_and_jobs_are_slow() -> None:
    slow = Pace(call=0.12, query_scale=3.0)
    assert [ranges(count, slow) for count in (5, 39_999, 40_000, 100_000, 1_000_000)] == [1, 1, 2, 5, 5]
    assert ranges(100_000, Pace(call=0.12, query_scale=0.1)) == 1


def test_a_very_large_object_is_cut_so_that_a_lost_range_is_not_too_much() -> None:
    slow = Pace(call=0.12, query_scale=3.0)
    assert [ranges(count, slow) for count in (2_500_000, 10_000_000, 100_000_000)] == [10, 40, 100]


def test_one_job_is_taken_where_calls_run_short() -> None:
    slow = Pace(call=0.12, query_scale=3.0)
    assert ranges(100_000, slow, CallsLeft(1_000, 0.01)) == 1


def test_the_settings_say_how_many_ranges_but_none_is_without_a_record() -> None:
    assert ranges(100_000, bulk_read_ranges=7) == 7
    assert ranges(3, bulk_read_ranges=7) == 3
    assert ranges(0, bulk_read_ranges=7) == 1
    assert ranges(10_000_000, bulk_read_ranges=1) == 1


def test_with_slow_calls_there_are_fewer_ranges_but_not_one_while_jobs_take_longer_than_their_calls() -> None:
    """A job of 100,000 records that takes 72 s by itself, and calls of up to eight seconds."""
    paces = [Pace(call=call, query_scale=3.1) for call in (0.12, 2.0, 8.0)]
    assert [ranges(100_000, pace) for pace in paces] == [5, 5, 3]


def test_while_no_query_job_was_measured_slow_calls_do_not_make_it_one() -> None:
    """One job too few may cost minutes."""
    paces = [Pace(call=call) for call in (0.12, 4.0, 12.0)]
    assert [ranges(100_000, pace) for pace in paces] == [5, 5, 3]
    assert ranges(1_000_000, Pace(call=4.0)) == 5
    assert ranges(100_000, Pace(call=1.0, query_scale=0.1)) == 1, "the org is known to be quick"
    assert ranges(100_000, Pace(call=1.0), CallsLeft(1_000, 0.01)) == 1, "calls run short"


def test_how_many_ranges_there_are_is_explained_by_what_else_came_into_question() -> None:
    slow = Pace(call=8.0, query_scale=3.1)
    choice = choose_read(100_000, slow, PLENTY, settings=settings(first_read="bulk"))
    assert choice.reason == (
        "the settings ask for it; at the pace measured: 1 query job of 6 calls 111.9 s, "
        "3 query jobs of 20 calls 88.0 s, 5 query jobs of 32 calls 88.9 s"
    )
    asked = choose_read(100_000, slow, PLENTY, settings=settings(first_read="bulk", bulk_read_ranges=2))
    assert asked.reason == "the settings ask for it; 2 range(s) by the settings"


def test_jobs_side_by_side_are_weighed_by_the_time_of_one_range() -> None:
    """At this pace one job takes longer than REST, five do not."""
    pace = Pace(call=0.12, page=4.0, query_scale=3.0)
    assert not choose_read(100_000, pace, PLENTY, settings=settings(bulk_read_ranges=1)).bulk
    choice = choose_read(100_000, pace, PLENTY, settings=settings())
    assert (choice.bulk, choice.ranges) == (True, 5)
    assert "5 query jobs" in choice.reason
