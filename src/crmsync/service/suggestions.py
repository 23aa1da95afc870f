"""Suggested mappings: which fields of both sides seem to correspond."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import anyio.to_thread
import attrs

from crmsync.errors import ConfigurationError
from crmsync.mapping.pairs import Fit, fit_of
from crmsync.mapping.suggestions import PROPOSED, propose, spelling_ratio
from crmsync.models.schema import FieldSchema, ObjectSchema
from crmsync.models.suggestions import MappingSuggestion, Samples
from crmsync.protocols.records import RecordStore
from crmsync.protocols.suggestions import FieldCard, SuggestionScorer
from crmsync.registry import SUGGESTIONS, Registry
from crmsync.service.opening import Opening

_SHOWN: Final = 20


class SuggestionVerbs(Opening):
    """The part of `CRMSync` that suggests mappings."""

    async def suggest_mapping(
        self,
        integration_id: str,
        object_name: str,
        local: RecordStore,
        *,
        samples: int = 0,
        scorers: Sequence[str] = (),
        share_samples: bool = False,
        least: float = PROPOSED,
    ) -> MappingSuggestion:
        """Suggest which local fields correspond to which of the CRM's, with a score and the reasons. Applies nothing.

        Both sides are asked to describe themselves. ``samples``: up to so many records of each side are read, too, and
        their values looked at. ``scorers`` are names of further scorers (entry points ``crmsync.suggestions``); they
        are shown names, labels, types and options, and values of records only with ``share_samples``. ``least`` is the
        score from which on a pair is suggested.

        :raises NotFoundError: there is no such integration. :raises ProviderError: a side failed as a whole.
        :raises MissingExtraError: rapidfuzz is not installed. :raises UnknownProviderError: nobody offers a scorer.
        :raises ConfigurationError: a scorer failed, or answered what is no score.
        """
        ratio = spelling_ratio()
        asked = [_scorer(self._registry, name) for name in scorers]
        integration = await self.repository.get_integration(integration_id)
        async with (
            self._budget(integration) as budget,
            self._connected(integration, budget, purpose="suggestions", object_name=object_name) as provider,
        ):
            remote = await provider.records(object_name)
            ours, theirs = await local.describe(), await remote.describe()
            held = Samples(await _values(local, ours, samples), await _values(remote, theirs, samples))
        panel = _Panel(asked, held, share_samples) if asked else None

        def proposed() -> MappingSuggestion:
            return propose(ours, theirs, ratio, samples=held, opinions=panel, least=least)

        return await anyio.to_thread.run_sync(proposed)


@attrs.frozen(slots=True)
class _Panel:
    """The scorers that are asked beside our own scoring, with what they may be shown."""

    scorers: Sequence[SuggestionScorer]
    samples: Samples
    share_samples: bool

    def __call__(self, pairs: Sequence[tuple[FieldSchema, FieldSchema]]) -> list[list[tuple[str, float]]]:
        heard: list[list[tuple[str, float]]] = [[] for _ in pairs]
        places = [place for place, pair in enumerate(pairs) if _can_correspond(*pair)]
        for scorer in self.scorers:
            shown = self.samples if self.share_samples and scorer.wants_samples else Samples()
            cards = [(_card(pairs[place][0], shown.local), _card(pairs[place][1], shown.remote)) for place in places]
            for place, opinion in zip(places, _opinions(scorer, cards), strict=True):
                if opinion is not None:
                    heard[place].append((scorer.name, opinion))
        return heard


def _scorer(registry: Registry, name: str) -> SuggestionScorer:
    made = registry.load(SUGGESTIONS, name)()
    if not isinstance(made, SuggestionScorer):
        raise ConfigurationError(
            f"the entry point {name!r} of {registry.origin(SUGGESTIONS, name)} gives no SuggestionScorer"
        )
    return made


def _opinions(scorer: SuggestionScorer, cards: Sequence[tuple[FieldCard, FieldCard]]) -> list[float | None]:
    """What a scorer answers, as far as it is an answer: it is somebody else's code, or text from somebody's model."""
    try:
        answers = list(scorer.score(cards))
    except Exception as error:
        raise ConfigurationError(f"the scorer {scorer.name!r} failed: {type(error).__name__}") from error
    numbers = [answer for answer in answers if answer is not None]
    if len(answers) != len(cards) or not all(_is_score(number) for number in numbers):
        raise ConfigurationError(f"the scorer {scorer.name!r} did not answer one number or None for each pair")
    return [None if answer is None else min(1.0, max(0.0, float(answer))) for answer in answers]


def _is_score(answer: object) -> bool:
    return isinstance(answer, int | float) and not isinstance(answer, bool) and math.isfinite(answer)


def _can_correspond(one: FieldSchema, other: FieldSchema) -> bool:
    return not fit_of(one.type, other.type) is fit_of(other.type, one.type) is Fit.REFUSED


def _card(field: FieldSchema, samples: Mapping[str, tuple[object, ...]]) -> FieldCard:
    shown = tuple(str(value) for value in samples.get(field.name, ())[:_SHOWN])
    return FieldCard(field.name, field.label, field.type, field.options, shown)


async def _values(store: RecordStore, schema: ObjectSchema, count: int) -> dict[str, tuple[object, ...]]:
    """Values by field of the first records that a side hands over, one page at most."""
    names = [field.name for field in schema.fields if field.readable]
    if count < 1 or not names:
        return {}
    page = await store.changes(None, fields=names, limit=count)
    records = [record.fields for record in page.records if not record.deleted]
    return {name: tuple(value for fields in records if (value := fields.get(name)) not in (None, "")) for name in names}
