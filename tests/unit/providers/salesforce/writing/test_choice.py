"""Which channel writes a batch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.errors import ConfigurationError
from crmsync.providers.salesforce.limits import ApiUsage, CallsLeft
from crmsync.providers.salesforce.pace import Pace
from crmsync.providers.salesforce.settings import ChannelName, read_settings
from crmsync.providers.salesforce.writing.choice import Choice, choose

AUTO, COLLECTIONS, BULK = ChannelName.AUTO, ChannelName.COLLECTIONS, ChannelName.BULK
PLENTY = CallsLeft(100_000)


def chosen(rows: int, pace: Pace = Pace(), left: CallsLeft = PLENTY) -> ChannelName:  # noqa: B008 - frozen
    """What auto chooses where each collection has a call of its own."""
    return choose(rows, pace, left, wanted=AUTO).channel


def joined(rows: int, pace: Pace, left: CallsLeft = PLENTY) -> Choice:
    """What auto chooses where five collections may share a call."""
    return choose(rows, pace, left, wanted=AUTO, most=5)


def test_an_unknown_org_gets_a_bulk_job_from_a_few_thousand_rows_on() -> None:
    assert [chosen(rows) for rows in (1, 200, 2_000, 6_000, 10_000)] == [*[COLLECTIONS] * 3, BULK, BULK]


def test_an_org_with_120_ms_a_call_gets_a_job_for_10_000_rows_once_half_its_calls_are_used() -> None:
    pace = Pace(call=0.12)
    assert chosen(10_000, pace) is COLLECTIONS
    assert chosen(10_000, pace, CallsLeft(50_000, 50_000 / 100_000)) is BULK


def test_collections_that_share_calls_are_chosen_until_calls_are_scarce() -> None:
    pace = Pace(call=0.12, collection=0.2)
    assert joined(10_000, pace) == Choice(COLLECTIONS, joined(10_000, pace).reason, together=5)
    assert joined(10_000, pace).calls(10_000) == 10
    assert joined(10_000, pace, CallsLeft(50_000, 0.5)).channel is COLLECTIONS
    assert joined(10_000, pace, CallsLeft(3_000, 0.03)).channel is BULK
    assert joined(10_000, pace, CallsLeft(29)).channel is BULK
    assert joined(10_000, pace, CallsLeft(30)).channel is COLLECTIONS


def test_while_the_pace_is_not_known_each_collection_may_need_a_call_of_its_own() -> None:
    assert joined(10_000, Pace(call=0.005), CallsLeft(60)).channel is BULK
    assert joined(10_000, Pace(call=0.005, collection=0.1), CallsLeft(60)).channel is COLLECTIONS


@pytest.mark.parametrize(
    "collection, most, together", [(0.2, 5, 5), (0.2, 2, 2), (1.1, 5, 4), (2.5, 5, 2), (2.6, 5, 1), (60.0, 5, 1)]
)
def test_as_many_collections_share_a_call_as_are_saved_in_five_seconds(
    collection: float, most: int, together: int
) -> None:
    assert Pace(call=0.1, collection=collection).pages_together(most) == together


def test_the_pace_of_a_collection_is_the_same_whether_it_was_alone_or_in_company() -> None:
    known = Pace(call=0.1)
    assert known.with_collection(0.5, 200).collection_seconds == pytest.approx(0.5)
    assert known.with_collection(0.1 + 5 * 0.4, 1_000, 5).collection_seconds == pytest.approx(0.5)
    assert known.with_collection(0.05, 1_000, 5).collection_seconds == pytest.approx(0.05)
    assert known.with_collection(3.0, 400, 5) == known, "five pages that are less than half full say too little"


def test_an_org_that_answers_at_once_gets_collections() -> None:
    assert chosen(10_000, Pace(call=0.005)) is COLLECTIONS


def test_slow_jobs_make_collections_worth_it() -> None:
    assert chosen(10_000, Pace(call=0.12, collection=0.6, job_scale=4.0)) is COLLECTIONS


def test_calls_weigh_more_as_they_run_short() -> None:
    pace = Pace(call=0.005)
    assert [chosen(10_000, pace, CallsLeft(left, left / 100_000)) for left in (90_000, 10_000)] == [COLLECTIONS, BULK]


def test_a_budget_that_collections_would_use_up_asks_for_a_job() -> None:
    pace = Pace(call=0.005)
    assert chosen(3_000, pace, CallsLeft(34)) is BULK
    assert chosen(200, pace, CallsLeft(5)) is COLLECTIONS


@pytest.mark.parametrize("wanted", [COLLECTIONS, BULK])
@pytest.mark.parametrize("rows", [1, 100_000])
def test_the_settings_can_force_a_channel(wanted: ChannelName, rows: int) -> None:
    assert choose(rows, Pace(), PLENTY, wanted=wanted).channel is wanted


def test_an_org_that_refused_a_job_gets_no_other() -> None:
    choice = choose(100_000, Pace(), PLENTY, wanted=AUTO, no_bulk="the org refused a job")
    assert choice.channel is COLLECTIONS
    assert "refused" in choice.reason


def test_duplicates_cannot_be_allowed_in_a_job_so_the_two_settings_exclude_each_other() -> None:
    settings = {"instance_url": "https://acme.my.salesforce.com", "allow_duplicates": True, "channel": "bulk"}
    with pytest.raises(ConfigurationError, match="allow_duplicates: bulk jobs know no such option"):
        read_settings(settings)


@given(rows=st.integers(500, 200_000), left=st.integers(100, 100_000), more=st.integers(1, 100_000))
def test_more_rows_never_turn_a_job_into_collections(rows: int, left: int, more: int) -> None:
    allowance = CallsLeft(left, left / 100_000)
    if chosen(rows, Pace(), allowance) is BULK:
        assert chosen(rows + more, Pace(), allowance) is BULK
    if joined(rows, Pace(), allowance).channel is BULK:
        assert joined(rows + more, Pace(), allowance).channel is BULK


def test_the_pace_is_kept_as_text_and_what_is_unreadable_is_unknown() -> None:
    pace = Pace().with_call(0.1234).with_collection(0.56, 200).with_job(13.0, 10_000)
    assert Pace.decode(pace.encode()) == Pace(call=0.123, collection=0.56, job_scale=1.0)
    assert [Pace.decode(text) for text in (None, "", "[]", '{"x": 1}', '{"call": "y"}')] == [Pace()] * 5


def test_the_pace_follows_measurements_and_stores_only_what_is_new() -> None:
    pace = Pace(call=0.1)
    assert not pace.with_call(0.11).differs(pace)
    assert pace.with_call(1.0).differs(pace)
    assert pace.with_collection(0.1, 10) == pace
    assert Pace(job_scale=1.0).differs(Pace(job_scale=1.1))
    assert not Pace(job_scale=1.0).differs(Pace(job_scale=1.03))


def test_the_calls_left_are_those_of_the_org_or_of_our_budget_whichever_are_fewer() -> None:
    assert CallsLeft.of(None, None) == CallsLeft(None, 1.0)
    assert CallsLeft.of(ApiUsage(25_000, 100_000), None) == CallsLeft(75_000, 0.75)
    assert CallsLeft.of(ApiUsage(25_000, 100_000), 40) == CallsLeft(40, 0.75)
    assert CallsLeft.of(ApiUsage(100_009, 100_000), 40) == CallsLeft(0, 0.01)
