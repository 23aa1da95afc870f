"""Who could know of which edit: what makes two edits concurrent, and which values may win.

Every edit by a person is numbered. For each site there are two sets of the edits that its record shows the effects of:
``sure`` (a run that ended well has carried them there) and ``maybe`` (a run that failed half-way may have). An edit
supersedes those that its author surely saw; it is in conflict with those that its author cannot have seen.

Whoever edits a record that was made by a conversion, before a run has seen that, supersedes only what was done to it
since. What everybody held before may stand as well: a conversion leaves fields blank, or fills them by default, and
nobody can tell that from an edit. So the new record meets the others for the first time, by the policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import attrs

LOCAL, ACME, BETA = SITES = ("local", "acme", "beta")
CONVERSION = "conversion"


@attrs.frozen
class Edit:
    """Somebody's write of one field of one person; ``value`` is as the site stored it.

    ``field`` "" is the creation, and `CONVERSION` that of a record that took another one's place. ``anew``: the record
    was made so, and no run had seen it; ``met_surely`` and ``met_perhaps`` are then those that the local side had.
    """

    number: int
    site: str
    person: int
    field: str
    value: object
    at: datetime
    saw_surely: frozenset[int]
    saw_perhaps: frozenset[int]
    anew: bool = False
    met_surely: frozenset[int] = frozenset()
    met_perhaps: frozenset[int] = frozenset()

    def meets(self, edit: Edit, later: Iterable[Edit]) -> bool:
        """Whether a record that no run had seen may meet another edit on the local side, that of none of the later."""
        replaced = any(edit.number in other.saw_surely and other.number in self.met_surely for other in later)
        return self.anew and edit.number in self.met_perhaps and not replaced


@attrs.define
class Knowledge:
    """The edits so far, and which of them have reached which site."""

    edits: list[Edit] = attrs.field(factory=list)
    sure: dict[str, set[int]] = attrs.field(factory=lambda: {site: set() for site in SITES})
    maybe: dict[str, set[int]] = attrs.field(factory=lambda: {site: set() for site in SITES})

    def note(self, site: str, person: int, field: str, value: object, at: datetime) -> None:
        """Somebody wrote."""
        number, converted = len(self.edits), self._unseen_conversion(site, person)
        surely = {seen for seen in self.sure[site] if converted is None or seen > converted}
        edit = Edit(number, site, person, field, value, at, frozenset(surely), frozenset(self.maybe[site]))
        if converted is not None:
            met = frozenset(self.sure[LOCAL]), frozenset(self.maybe[LOCAL])
            edit = attrs.evolve(edit, anew=True, met_surely=met[0], met_perhaps=met[1])
        self.edits.append(edit)
        self.sure[site].add(number)
        self.maybe[site].add(number)

    def _unseen_conversion(self, site: str, person: int) -> int | None:
        """The number of a conversion of this person at this site that no run may have seen."""
        numbers = (edit.number for edit in self.of(person, CONVERSION) if edit.site == site)
        return next((number for number in numbers if number not in self.sure[LOCAL]), None)

    def ran(self, remote: str, *, before: Iterable[int], well: bool) -> None:
        """A run between the local side and a remote one. ``before``: what it surely met, if it went well."""
        mixed = self.maybe[LOCAL] | self.maybe[remote]
        self.maybe[LOCAL], self.maybe[remote] = set(mixed), set(mixed)
        if well:
            met = (self.sure[LOCAL] | self.sure[remote]) & set(before)
            self.sure[LOCAL] |= met
            self.sure[remote] |= met

    def forget(self, site: str, person: int, *, but: frozenset[int]) -> None:
        """A site's record of a person is as it was when no more than these edits had surely reached it."""
        self.sure[site] -= {edit.number for edit in self.edits if edit.person == person} - but

    def of(self, person: int, field: str) -> list[Edit]:
        """The edits of one field of one person, oldest first."""
        return [edit for edit in self.edits if (edit.person, edit.field) == (person, field)]

    def may_stand(self, person: int, field: str, *, late: bool = False) -> list[Edit]:
        """The edits that no author of a later one surely saw: one of them is what everybody has to hold in the end.

        Where edits show ``late``, also what the local side had when somebody wrote a record that a conversion had just
        made: the record that was there before did not show the last ones.
        """
        all_ = self.of(person, field)
        return [
            edit
            for edit in all_
            if not any(edit.number in other.saw_surely for other in all_)
            or (late and any(other.meets(edit, all_) for other in all_))
        ]

    def in_conflict(self, person: int, field: str) -> list[Edit]:
        """The edits that no author of another one can have seen; two of them were a conflict, whatever was decided."""
        all_ = self.of(person, field)
        return [edit for edit in all_ if not any(edit.number in other.saw_perhaps for other in all_)]
