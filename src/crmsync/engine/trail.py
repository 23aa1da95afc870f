"""Who was folded into whom in the CRM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from crmsync.models.records import Record


@attrs.define(slots=True)
class MergeTrail:
    """Who was merged into whom during a pass. The survivor may itself be merged, on this page or a later one.

    ``bound``: survivors to which the link of a pair moves whose local record is gone, and the loser of that pair. It
    moves with the deletes, at the end of the pass; until then nothing stored tells that the survivor is no stranger.
    ``shown``: losers that the feed has shown as such. One that the CRM was asked of may be shown as living after that.
    ``told``: in a plan, what local records would have been told of losers, until their pairs are planned.
    """

    into: dict[str, str] = attrs.field(factory=dict)
    waiting: dict[str, Record] = attrs.field(factory=dict)
    bound: dict[str, str] = attrs.field(factory=dict)
    shown: set[str] = attrs.field(factory=set)
    told: dict[str, Mapping[str, object]] = attrs.field(factory=dict)

    def add(self, merged: Sequence[Record]) -> None:
        """Note the losers of a page."""
        for record in merged:
            if record.merged_into:
                self.into[record.id] = record.merged_into
                self.waiting[record.id] = record

    def followed(self) -> set[str]:
        """The losers whose links went where they belong."""
        return self.into.keys() - self.waiting.keys()

    def absent(self) -> set[str]:
        """The survivors that losers wait for. One that was read and is not there any more is gone: it is nobody new."""
        return {self.survivor(loser) for loser in self.waiting}

    def survivor(self, record_id: str) -> str:
        """The end of the trail as far as it is known."""
        seen = {record_id}
        while (following := self.into.get(record_id)) and following not in seen:
            seen.add(following)
            record_id = following
        return record_id
