"""Proposed field mappings, for a person to look at: nothing applies them by itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import attrs

from crmsync.models.mappings import ConflictPolicy, FieldMapping, SyncDirection
from crmsync.models.schema import FieldType

OPT_OUT: Final = "e-mail opt-out"

_NOTHING: Final[Mapping[str, tuple[object, ...]]] = MappingProxyType({})


@attrs.frozen(slots=True)
class Samples:
    """Values that the two sides hold, by field name: to look at, and never part of what is proposed or said of it.

    They are personal data: a scorer that is not ours sees them only if it is asked to (`SuggestionScorer`).
    """

    local: Mapping[str, tuple[object, ...]] = attrs.field(default=_NOTHING, repr=False)
    remote: Mapping[str, tuple[object, ...]] = attrs.field(default=_NOTHING, repr=False)


@attrs.frozen(slots=True)
class FieldAlternative:
    """Another field of the CRM that a local field may correspond to."""

    crm_field: str
    score: float


@attrs.frozen(slots=True)
class FieldSuggestion:
    """A local field and the CRM's field that it seems to correspond to.

    ``score``, from 0 to 1, is about the share of suggestions of this score that are right. ``reasons`` say why in
    words, without any value of a record. ``direction`` is what the two fields' permissions leave. ``alternatives``
    are the next likely fields, best first; some may be suggested for another local field. ``meaning`` is what both
    mean, in a word or two, where that is known.
    """

    local_field: str
    crm_field: str
    score: float
    reasons: tuple[str, ...]
    local_type: FieldType = FieldType.TEXT
    crm_type: FieldType = FieldType.TEXT
    direction: SyncDirection = SyncDirection.BIDIRECTIONAL
    alternatives: tuple[FieldAlternative, ...] = ()
    meaning: str = ""

    def mapping(self) -> FieldMapping:
        """The field mapping as it would be written into a configuration.

        An opt-out from e-mail only ever becomes stricter by itself: it gets the policy ``most_restrictive``.
        """
        opt_out = self.meaning == OPT_OUT and FieldType.BOOLEAN in (self.local_type, self.crm_type)
        return FieldMapping(
            markmail_field=self.local_field,
            crm_field=self.crm_field,
            field_type=FieldType.BOOLEAN if opt_out else FieldType.TEXT,
            policy=ConflictPolicy.MOST_RESTRICTIVE if opt_out else None,
            sync_direction=self.direction,
        )


@attrs.frozen(slots=True)
class MappingSuggestion:
    """What is proposed for one object: each field of either side at most once, the surest first.

    ``unmatched`` are the local fields that nothing seems to correspond to, each with what comes nearest, if anything
    does. ``left_over`` are the CRM's fields that can be written and have no part in any suggestion.
    """

    object_name: str
    fields: tuple[FieldSuggestion, ...]
    unmatched: Mapping[str, tuple[FieldAlternative, ...]]
    left_over: tuple[str, ...] = ()
