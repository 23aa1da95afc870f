"""When a job is asked about."""

from __future__ import annotations

import pytest

from crmsync.providers.salesforce.bulk.polling import Polls


def questions(seconds: float, rate: float, total: int, expected: float | None) -> tuple[int, float]:
    """How many questions a job takes that begins after some seconds, and how long after its end the last comes."""
    polls = Polls(total, expected)
    wait, asked = polls.first(), 0
    while True:
        asked += 1
        done = min(total, int(max(0.0, polls.waited - seconds) * rate))
        if done >= total:
            return asked, polls.waited - seconds - total / rate
        wait = polls.next(done)
        assert wait > 0


@pytest.mark.parametrize("total", [200, 2_000, 10_000, 100_000])
def test_a_job_of_an_unknown_org_takes_few_questions_and_little_longer(total: int) -> None:
    asked, late = questions(2.0, 1000, total, None)
    assert asked <= 8
    assert late <= 1.5 + 0.3 * (2 + total / 1000)


def test_a_job_that_goes_as_the_last_one_takes_one_question() -> None:
    assert questions(2.0, 1000, 10_000, 12.2)[0] == 1


def test_waits_grow_while_nothing_moves_and_stay_below_a_minute() -> None:
    polls = Polls(1000)
    waits = [polls.first(), *(polls.next(0) for _ in range(20))]
    assert waits == sorted(waits)
    assert waits[-1] == 60
