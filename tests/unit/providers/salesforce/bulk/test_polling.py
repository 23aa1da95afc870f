"""When a job is asked about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.providers.salesforce.bulk.polling import Polls

CHUNK = 200


def questions(queue: float, rate: float, total: int, foreseen: float, *, measured: bool = False) -> tuple[int, float]:
    """How many questions a job takes that waits and then saves its records by chunks; how late the last one comes."""
    polls = Polls(total, foreseen, measured)
    wait, asked, end = polls.first(), 0, queue + total / rate
    while True:
        asked += 1
        if polls.waited >= end:
            return asked, polls.waited - end
        done = max(0, int((polls.waited - queue) * rate)) // CHUNK * CHUNK
        wait = polls.next(done, done / rate)
        assert wait > 0


@pytest.mark.parametrize("total", [200, 2_000, 10_000, 100_000])
def test_a_job_of_an_unknown_org_takes_few_questions_and_little_longer(total: int) -> None:
    asked, late = questions(2.0, 1000, total, 3 + total / 1000)
    assert asked <= 6
    assert late <= 2 + 0.1 * (total / 1000)


def test_a_full_job_of_an_unknown_org_takes_two_questions_whatever_was_foreseen() -> None:
    for foreseen in (9.0, 13.0, 60.0):
        asked, late = questions(2.0, 1000, 10_000, foreseen)
        assert asked == 2
        assert late <= CHUNK / 1000


def test_a_job_that_goes_as_the_last_one_takes_one_question() -> None:
    assert questions(2.0, 1000, 10_000, 12.2, measured=True)[0] == 1


def test_a_job_whose_work_is_not_timed_is_asked_about_by_the_rate_between_two_answers() -> None:
    polls = Polls(10_000, 13.0)
    polls.first()
    assert polls.next(3_000) == pytest.approx(8.0)
    assert polls.next(8_000) == pytest.approx(2_000 / 625)


def test_batches_side_by_side_do_more_in_a_second_than_in_one_of_their_work() -> None:
    polls = Polls(10_000, 13.0)
    assert polls.first() == 5.0
    assert polls.next(5_000, active=50.0) == pytest.approx(5.0)


def test_waits_grow_while_nothing_moves_and_stay_below_a_minute() -> None:
    polls = Polls(1000, 4.0)
    waits = [polls.first(), *(polls.next(0) for _ in range(20))]
    assert waits == sorted(waits)
    assert waits[-1] == 60


@given(st.floats(0, 500), st.floats(0.5, 5_000), st.integers(1, 100_000), st.floats(0, 1_000), st.booleans())
def test_questions_are_bounded_and_never_at_once(
    queue: float, rate: float, total: int, foreseen: float, measured: bool
) -> None:
    asked, late = questions(queue, rate, total, foreseen, measured=measured)
    assert asked <= 21 + (queue + total / rate) / 60
    assert late <= 60 if asked > 1 else True


@pytest.mark.parametrize("measured", [True, False])
def test_a_job_that_is_at_work_already_is_asked_about_by_so_much_earlier(measured: bool) -> None:
    whole = Polls(10_000, 8.0, measured).first()
    assert Polls(10_000, 8.0, measured, waited=2.5).first() == pytest.approx(whole - 2.5)
    assert Polls(10_000, 8.0, measured, waited=300.0).first() == pytest.approx(0.5), "it should be done"
