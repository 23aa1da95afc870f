"""What crmsync relies on, and what this scorer is for."""

from __future__ import annotations

from crmsync_wordllama import WordLlamaScorer

from crmsync.models.schema import FieldType
from crmsync.protocols.suggestions import FieldCard
from crmsync.testing.suggestions import SuggestionScorerContract


class TestContract(SuggestionScorerContract):
    def scorer(self) -> WordLlamaScorer:
        return WordLlamaScorer()


def opinion(one: str, other: str) -> float | None:
    cards = (FieldCard(one, "", FieldType.TEXT), FieldCard(other, "", FieldType.TEXT))
    return WordLlamaScorer().score([cards])[0]


def test_names_that_mean_alike_are_found_alike() -> None:
    alike = opinion("favouriteColour", "Preferred_Color__c")
    assert alike is not None
    assert alike > 0.8


def test_it_has_no_opinion_on_names_that_are_far_from_each_other() -> None:
    assert opinion("email", "shoe_size") is None
