"""Decide, field by field, who changed what and what each side should hold.

Pure: no I/O, no clock, no randomness. Changes are seen against each side's own shadow, so that a lossy side never looks
edited, and edits of different fields on both sides both survive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import cached_property

from crmsync.diff.cells import EXACT, Cell, PreparedField, cell_of, exactly_equal
from crmsync.diff.deciding import Decided, carried_out, changed, met
from crmsync.diff.decisions import FieldDecision, Merge
from crmsync.diff.digests import Digester, FieldDigest, stands
from crmsync.diff.directions import is_blank
from crmsync.diff.newcomers import Newcomers
from crmsync.diff.overwrites import values_held
from crmsync.diff.policies import Verdict
from crmsync.diff.sets import decided_set, merge_set_field, merges_elements
from crmsync.diff.standing import Standing
from crmsync.models.mappings import OnBlank
from crmsync.models.records import MISSING, Record, Side
from crmsync.protocols.conversion import FieldRule, RecordRule


class Merger(Standing):
    """Merges records under one compiled mapping and one integration's digest key.

    ``uncertainty`` is how far the two sides' clocks and time precisions may lie apart; within it ``newest_wins`` takes
    the tie side.
    """

    def __init__(self, rule: RecordRule, digester: Digester, *, uncertainty: timedelta = timedelta(seconds=2)) -> None:
        super().__init__(rule, digester)
        self.uncertainty = uncertainty
        self._every = tuple(self.fields.values())
        self._places = tuple(range(len(self._every)))
        self._unlike = frozenset(place for place in self._places if not self._every[place].alike)

    # Most runs meet nobody new: what it takes to make a record of one is put together when it is asked for.
    @cached_property
    def new_local(self) -> Newcomers:
        """What makes local records of those that the CRM alone has."""
        return Newcomers(self.rule, self._every, Side.LOCAL, self.digester.blank)

    @cached_property
    def new_remote(self) -> Newcomers:
        """The same the other way."""
        return Newcomers(self.rule, self._every, Side.REMOTE, self.digester.blank)

    def merge(
        self, local: Record, remote: Record, local_shadow: bytes, remote_shadow: bytes, decided: Decided | None = None
    ) -> Merge:
        """The decisions on a pair of records. Empty shadows: a first meeting, which fills blanks."""
        here, there = self.readings.local, self.readings.remote
        ours, theirs = here.values(local.fields), there.values(remote.fields)
        readings = here.of_values(local.fields, ours), there.of_values(remote.fields, theirs)
        held = values_held(ours), values_held(theirs)
        same = stands(local_shadow, readings[0]), stands(remote_shadow, readings[1])
        if same[0] and same[1] and self.layout.knows(local_shadow) and self.layout.knows(remote_shadow):
            # Both are as they were when every field had come to rest.
            return Merge(local, remote, {}, readings=readings, held=held)
        apart = [
            place
            for place, our, their in zip(self._places, ours, theirs, strict=True)
            if type(our) not in EXACT or type(our) is not type(their) or our != their
        ]
        if same[0] or same[1]:
            places, olds = self._untold(apart, local_shadow, remote_shadow)
        else:
            places, olds = self._places, (self.layout.read(local_shadow), self.layout.read(remote_shadow))
        decisions: dict[str, FieldDecision] = {}
        unshown = set[Side]()
        for place, our_old, their_old in zip(places, *olds, strict=True):
            field, our, their = self._every[place], ours[place], theirs[place]
            if our is MISSING or their is MISSING:
                unshown.update(self._news(field, (our, their), (our_old, their_old), same))
                continue
            if field.sets:
                decision = merge_set_field(field.rule, self.digester, our, their, our_old, their_old)
            elif type(our_old) is bytes and type(their_old) is bytes:
                normals = field.rule.normal_local(our), field.rule.normal_remote(their)
                sides = self._changed_sides(field, normals, (our_old, their_old), same)
                # Most fields of most records end here: nothing is made before it is needed.
                if not sides:
                    continue
                cell = Cell(field.rule, local, remote, our, their, *normals)
                decision = changed(cell, sides, self.uncertainty, decided)
            elif field.alike and exactly_equal(our, their) and exactly_equal(field.rule.to_remote(our).value, their):
                # Twins that are converted to what they are agree, whatever form they are compared by.
                decision = field.agreed
            else:
                normals = field.rule.normal_local(our), field.rule.normal_remote(their)
                decision = met(Cell(field.rule, local, remote, our, their, *normals), self.uncertainty, decided)
            if decision is not None:
                decisions[field.key] = decision
        known = bool(local_shadow or remote_shadow)
        different = frozenset([self._every[place].key for place in apart])
        return Merge(local, remote, decisions, known, readings, different, held, unshown)

    def _news(
        self,
        field: PreparedField,
        values: tuple[object, object],
        olds: tuple[FieldDigest | None, FieldDigest | None],
        same: tuple[bool, bool],
    ) -> Iterator[Side]:
        """The sides that show another value than they were known to hold; neither shows nothing."""
        for side, value, old, still in zip(Side, values, olds, same, strict=True):
            if value is MISSING or old is None or still:
                continue
            if self.field_digest(field.rule, side, value, as_set=isinstance(old, frozenset)) != old:
                yield side

    def _untold(
        self, apart: Sequence[int], local_shadow: bytes, remote_shadow: bytes
    ) -> tuple[Sequence[int], tuple[Sequence[FieldDigest | None], Sequence[FieldDigest | None]]]:
        """The places of the fields that one side's standing does not settle, and both sides' digests of them.

        Both sides held the same (their digests are equal, by one normal form), one of them is as it was, and both hold
        the same now: then the other one is as it was, too. So of a record that one side edited, the other side's record
        says which fields changed, and nothing needs to be digested.
        """
        if self.layout.agree(local_shadow, remote_shadow):
            places = sorted(self._unlike.union(apart)) if self._unlike else apart
            known = self.layout.pick(local_shadow, places)
            return places, (known, known)
        ours, theirs = self.layout.read(local_shadow), self.layout.read(remote_shadow)
        rows = [
            row
            for row in zip(self._places, ours, theirs, strict=True)
            if row[1] != row[2] or row[0] in apart or row[0] in self._unlike or type(row[1]) is not bytes
        ]
        return [row[0] for row in rows], ([row[1] for row in rows], [row[2] for row in rows])

    def _changed_sides(
        self,
        field: PreparedField,
        normals: tuple[object, object],
        olds: tuple[bytes, bytes],
        same: tuple[bool, bool],
    ) -> tuple[Side, ...]:
        # As in `_untold`, and a comparison of texts is one of their digests; of numbers it is not (1 and True).
        if (
            same[0] != same[1]
            and field.alike
            and olds[0] == olds[1]
            and type(normals[0]) is str
            and type(normals[1]) is str
        ):
            if normals[0] == normals[1]:
                return ()
            return _REMOTE if same[0] else _LOCAL
        local = not same[0] and self.digester.scalar(normals[0]) != olds[0]
        remote = not same[1] and self.digester.scalar(normals[1]) != olds[1]
        if local:
            return _BOTH if remote else _LOCAL
        return _REMOTE if remote else ()

    def resembles(self, rule: FieldRule, local: Record, remote: Record) -> bool:
        """Whether one side's value is what its store could have made of the other's."""
        cell = cell_of(rule, local, remote)
        return cell is not None and any(map(cell.resembles, Side))

    def is_left_blank(self, rule: FieldRule, local: Record, remote: Record) -> bool:
        """Whether one side is blank and the mapping lets the other one differ from it."""
        if rule.on_blank is OnBlank.CLEAR:
            return False
        ours, theirs = local.fields.get(rule.local, MISSING), remote.fields.get(rule.remote, MISSING)
        return is_blank(rule.normal_local(ours)) or is_blank(rule.normal_remote(theirs))

    def carried_out(self, rule: FieldRule, local: Record, remote: Record, verdict: Verdict) -> FieldDecision | None:
        """What a person decided, whichever side changed since; None if a side does not show the field."""
        cell = cell_of(rule, local, remote)
        if cell is None:
            return None
        if merges_elements(rule):
            return decided_set(rule, self.digester, cell.local_value, cell.remote_value, verdict.winner, verdict.value)
        return carried_out(cell, verdict)


_LOCAL, _REMOTE, _BOTH = (Side.LOCAL,), (Side.REMOTE,), (Side.LOCAL, Side.REMOTE)
