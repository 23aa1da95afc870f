"""Any stream of e-mail events, handed over in any pieces and again: the counts and their text stay right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import hypothesis.strategies as st
from hypothesis import given

from crmsync.models.campaigns import EmailActivity, EmailActivityType
from crmsync.providers.salesforce.objects.tally import Tally, message_key

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENTS = st.integers(0, 10_000).map(lambda seconds: START + timedelta(seconds=seconds))
KINDS = st.sampled_from(EmailActivityType)
EVENTS = st.lists(
    st.builds(
        EmailActivity,
        type=KINDS,
        email=st.just("ada@example.com"),
        occurred_at=MOMENTS,
        message_id=st.just("m-1"),
        link=st.none() | st.sampled_from(["a", "b"]),
    ),
    max_size=30,
)
FOREIGN = st.lists(
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=40).filter(
        lambda line: not line.strip().startswith("E-mail")
    ),
    max_size=4,
)


@given(EVENTS)
def test_what_is_logged_again_counts_once(events: list[EmailActivity]) -> None:
    once = Tally().adding(events)
    assert once.adding(events) == once
    assert once.news(events) == (False,) * len(events)


@given(EVENTS)
def test_events_of_one_call_count_each_whatever_their_order(events: list[EmailActivity]) -> None:
    tally = Tally().adding(events)
    assert tally == Tally().adding(events[::-1])
    for kind, count in tally.counts.items():
        of_kind = {event for event in events if event.type is kind}
        assert count.number == len(of_kind)
        assert count.last == max(event.occurred_at for event in of_kind)


@given(EVENTS, st.integers(0, 30))
def test_a_stream_in_order_of_time_counts_alike_in_pieces_with_overlap(events: list[EmailActivity], cut: int) -> None:
    in_order = sorted({event.occurred_at: event for event in events}.values(), key=lambda event: event.occurred_at)
    pieces = Tally().adding(in_order[:cut]).adding(in_order[max(0, cut - 5) :])
    assert pieces == Tally().adding(in_order)


@given(EVENTS, EVENTS)
def test_counts_never_fall_and_never_exceed_what_happened(
    earlier: list[EmailActivity], later: list[EmailActivity]
) -> None:
    before = Tally().adding(earlier)
    after = before.adding(later)
    for kind in EmailActivityType:
        happened = len({event for event in (*earlier, *later) if event.type is kind})
        numbers = [tally.counts[kind].number if kind in tally.counts else 0 for tally in (before, after)]
        assert numbers[0] <= numbers[1] <= happened


@given(EVENTS, FOREIGN)
def test_the_text_keeps_the_counts_and_what_others_wrote(events: list[EmailActivity], foreign: list[str]) -> None:
    tally = Tally().adding(events)
    text = tally.written_into("\n".join(foreign))
    assert Tally.read_from(text) == tally
    again = tally.adding(events).written_into(text)
    assert again == text
    assert [line for line in again.splitlines() if not line.startswith("E-mail ")] == "\n".join(foreign).splitlines()


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    assert all(count.number >= 0 and count.last.tzinfo for count in Tally.read_from(text).counts.values())


@given(MOMENTS, st.integers(-12, 12))
def test_a_message_has_one_key_whatever_the_event_the_case_and_the_zone(moment: datetime, hours: int) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))
    one = EmailActivity(type=EmailActivityType.SENT, email="ADA@example.com", occurred_at=moment, message_id="m-1")
    two = EmailActivity(
        type=EmailActivityType.CLICKED, email="ada@Example.com", occurred_at=elsewhere, message_id="m-1"
    )
    assert message_key(one) == message_key(two)
    assert message_key(one) != message_key(two.model_copy(update={"message_id": "m-2"}))
    assert message_key(one) != message_key(two.model_copy(update={"email": "bob@example.com"}))
    assert "ada" not in message_key(one)
