from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from pydantic import ValidationError

from crmsync.models.inbox import ConflictRule, RuleWinner, ValuePattern
from crmsync.models.records import Side
from crmsync.testing.repository_subject import conflict

NOW = datetime(2027, 1, 1, tzinfo=UTC)
WEEK_OLD = conflict(1, created_at=NOW - timedelta(days=7))


def rule(**conditions: Any) -> ConflictRule:
    return ConflictRule(**{"winner": "local", **conditions})


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"object_name": "Contact"},
        {"field": "first_name"},
        {"field": "FirstName"},
        {"policy": "manual"},
        {"older_than": timedelta(days=7)},
    ],
)
def test_a_rule_applies_to_what_meets_its_conditions(conditions: dict[str, Any]) -> None:
    assert rule(**conditions).applies_to(WEEK_OLD, NOW)


@pytest.mark.parametrize(
    "conditions",
    [
        {"object_name": "Lead"},
        {"field": "Phone"},
        {"policy": "newest_wins"},
        {"older_than": timedelta(days=7, seconds=1)},
        {"field": "first_name", "object_name": "Lead"},
        {"values": "one_blank"},
    ],
)
def test_a_rule_does_not_apply_to_what_fails_a_condition(conditions: dict[str, Any]) -> None:
    assert not rule(**conditions).applies_to(WEEK_OLD, NOW)


@pytest.mark.parametrize(
    "local, remote, patterns",
    [
        ("Ann", None, {"one_blank"}),
        ([], ["x"], {"one_blank"}),
        (" ", "x", {"one_blank"}),
        (0, None, {"one_blank"}),
        (None, None, set()),
        (0, False, set()),
        ("+49 (711) 284", "+49711284", {"same_letters"}),
        ("O'BRIEN", "o\u2019brien", {"same_letters"}),
        ("Ann", "Anne", set()),
        ("1", 1, set()),
    ],
)
def test_values_are_compared_by_their_pattern(local: Any, remote: Any, patterns: set[str]) -> None:
    for one, other in ((local, remote), (remote, local)):
        met = attrs.evolve(WEEK_OLD, local_value=one, remote_value=other)
        found = {pattern for pattern in ValuePattern if rule(values=pattern).applies_to(met, NOW)}
        assert found == {"any", *patterns}


def test_the_newest_wins_only_where_both_times_are_known_and_differ() -> None:
    early, late = NOW, NOW + timedelta(seconds=1)
    newest = rule(winner=RuleWinner.NEWEST)

    def winner(ours: datetime | None, theirs: datetime | None) -> Side | None:
        return newest.winner_of(attrs.evolve(WEEK_OLD, local_changed_at=ours, remote_changed_at=theirs))

    assert (winner(early, late), winner(late, early)) == (Side.REMOTE, Side.LOCAL)
    assert (winner(early, early), winner(None, early), winner(early, None)) == (None, None, None)


def test_the_nonblank_wins_only_where_the_other_is_blank() -> None:
    nonblank = rule(winner=RuleWinner.NONBLANK)
    assert nonblank.winner_of(attrs.evolve(WEEK_OLD, local_value=None)) is Side.REMOTE
    assert nonblank.winner_of(attrs.evolve(WEEK_OLD, remote_value="")) is Side.LOCAL
    assert nonblank.winner_of(WEEK_OLD) is None


def test_a_rule_refuses_what_it_does_not_know() -> None:
    for given in ({"winner": "oldest"}, {"winner": "local", "fields": "x"}, {}):
        with pytest.raises(ValidationError):
            ConflictRule.model_validate(given)
    with pytest.raises(ValidationError):
        rule(older_than=timedelta(days=-1))
