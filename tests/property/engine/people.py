"""What people do at the sites, each deed told in the story and noted in what could be known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from crmsync.models.mappings import DeletePolicy
from tests.property.engine.knowledge import CONVERSION, Knowledge
from tests.property.engine.sites import SCALARS, Sites, address, name_at, new_value


@attrs.frozen
class Deletion:
    """Somebody deleted a person at a site, as edit ``number`` was the next to come.

    ``entered``: the deleter surely saw everybody's entering of this person. ``unseen``: the edits that the deleter
    cannot have seen; ``seen``: those that the deleter surely saw; ``held``: what the record held, by field. ``back``:
    somebody brought the person back there.
    """

    site: str
    person: int
    number: int
    entered: bool
    unseen: frozenset[int]
    seen: frozenset[int]
    held: Mapping[str, object]
    back: bool = False


class People:
    """The users of the three sites. ``gone`` are the records in a recycle bin, by site and person; ``undeleted`` the
    ids of those that somebody took out of it.

    ``converted`` are the new records of conversions, with their persons and sites. ``erased`` are the persons who were
    erased, with the number of the next edit then; ``erasing`` those of whom an erasure did not end. ``named`` has
    the ids that whoever erases a person gives, by person and site.
    """

    def __init__(self, sites: Sites) -> None:
        self.sites = sites
        self.knowledge = Knowledge()
        self.story: list[str] = []
        self.gone: dict[tuple[str, int], list[str]] = {}
        self.undeleted: set[str] = set()
        self.merged: set[int] = set()
        self.deletions: list[Deletion] = []
        self.converted: list[tuple[int, str, str]] = []
        self.erased: dict[int, int] = {}
        self.named: dict[tuple[int, str], set[str]] = {}
        self.erasing: set[int] = set()
        self._odd: set[int] = set()
        self._back: dict[tuple[str, int], datetime] = {}
        self._into: dict[str, str] = {}
        self._edits = 0

    @property
    def odd(self) -> set[int]:
        """The persons whose records were merged, doubled or erased by somebody, or deleted and not brought back."""
        return self._odd | {person for _, person in self.gone}

    @property
    def returned(self) -> set[int]:
        """The persons of whom somebody brought back a record."""
        return {person for _, person in self._back}

    def absent(self, site: str, settled: datetime) -> set[int]:
        """The persons of whom a site has deleted a record, or does not surely show by then the one that they have.

        It came back, or was made of another one that is gone, by a conversion.
        """
        late = {person for (where, person), at in self._back.items() if where == site and at > settled}
        conversions = (edit for edit in self.knowledge.edits if edit.field == CONVERSION and edit.site == site)
        late |= {edit.person for edit in conversions if edit.at > settled}
        return late | {person for where, person in self.gone if where == site}

    def enter(self, site: str, person: int, word: str | None) -> None:
        """Somebody enters a person, perhaps one who is there already."""
        self.story.append(f"{site}: p{person} is entered")
        if self.sites.records_of(site, person):
            self.set_apart(person)
        record = self.sites[site].add({name_at(site, "email"): address(person)})
        self.knowledge.note(site, person, "", record, self.sites.clock.now())
        if word is not None:
            self.edit(site, person, "name", word, record=record)

    def edit(self, site: str, person: int, field: str, word: str | None, *, record: str = "") -> None:
        """Somebody sets or clears a value; each value set is new, so that nothing returns to what it was."""
        for found, held in self.sites.records_of(site, person).items():
            if record not in ("", found):
                continue
            if word is not None or held.get(name_at(site, field)) is not None:
                self._edits += 1
                value = None if word is None else new_value(field, self._edits, word)
                self._write(site, person, found, field, value)
            return

    def opt(self, site: str, person: int, out: bool) -> None:
        """Somebody opts a person out or in."""
        for record, held in self.sites.records_of(site, person).items():
            if held.get(name_at(site, "opted_out")) is not out:
                self._write(site, person, record, "opted_out", out)
            return

    def tag(self, site: str, person: int) -> None:
        """Somebody adds a tag that nobody used before."""
        for record, held in self.sites.records_of(site, person).items():
            self._edits += 1
            tags = held.get(name_at(site, "tags")) or ()
            assert isinstance(tags, tuple)
            self._write(site, person, record, "tags", (*tags, f"t{self._edits}"), told=f"+t{self._edits}")
            return

    def untag(self, site: str, person: int) -> None:
        """Somebody takes a person's first tag away."""
        for record, held in self.sites.records_of(site, person).items():
            tags = held.get(name_at(site, "tags"))
            if isinstance(tags, tuple) and tags:
                self._write(site, person, record, "tags", tags[1:], told=f"-{tags[0]}")
            return

    def _write(self, site: str, person: int, record: str, field: str, value: object, told: object = None) -> None:
        self.story.append(f"{site}: p{person}.{field} = {shown(value if told is None else told)}")
        store, name = self.sites[site], name_at(site, field)
        store.edit(record, {name: value})
        stored = store.snapshot()[record].get(name)
        self.knowledge.note(site, person, field, stored if told is None else told, self.sites.clock.now())

    def delete(self, site: str, person: int) -> None:
        """Somebody deletes a person's records."""
        for record, fields in self.sites.records_of(site, person).items():
            self.story.append(f"{site}: p{person} is deleted")
            self.sites[site].remove(record)
            known = self.knowledge
            entered = {edit.number for edit in known.of(person, "")} <= known.sure[site]
            unseen = frozenset(range(len(known.edits))) - known.maybe[site]
            seen = frozenset(known.sure[site])
            held = {field: fields.get(name_at(site, field)) for field in SCALARS}
            self.deletions.append(Deletion(site, person, len(known.edits), entered, unseen, seen, held))
            self.gone.setdefault((site, person), []).append(record)
            if self.sites.conditions.delete is not DeletePolicy.IGNORE:
                self.set_apart(person)  # who comes back may be alone there, or have followed at the others

    def restore(self, site: str, person: int) -> None:
        """Somebody brings a person's records back from the recycle bin, unless there is another one by now."""
        erased = person in self.erased.keys() | self.erasing
        if erased or (site, person) not in self.gone or self.sites.records_of(site, person):
            return
        self.story.append(f"{site}: p{person} is undeleted")
        records = self.gone.pop((site, person))
        for record in records:
            self.sites[site].restore(record)
        self.undeleted.update(records)
        if len(records) > 1:
            self.set_apart(person)
        self._back[site, person] = self.sites.clock.now()
        for number, deletion in enumerate(self.deletions):
            if (deletion.site, deletion.person) == (site, person):
                self.deletions[number] = attrs.evolve(deletion, back=True)
                self.knowledge.forget(site, person, but=deletion.seen)

    def merge(self, site: str, person: int, into: int) -> None:
        """Somebody merges two people in a CRM."""
        losers, winners = self.sites.records_of(site, person), self.sites.records_of(site, into)
        if losers and winners and person != into:
            self.story.append(f"{site}: p{person} is merged into p{into}")
            self._fold(site, next(iter(losers)), next(iter(winners)))
            self._odd |= {person, into}
            self.merged |= {person, into}

    def convert(self, site: str, person: int) -> None:
        """A lead becomes a contact: a new record with the same fields takes the old one's place."""
        for record, held in self.sites.records_of(site, person).items():
            self.story.append(f"{site}: p{person} is converted")
            new = self.sites[site].add(held)
            self.converted.append((person, site, new))
            self.knowledge.note(site, person, CONVERSION, new, self.sites.clock.now())
            self._fold(site, record, new)
            return

    def _fold(self, site: str, record: str, into: str) -> None:
        self.sites[site].remove(record, merged_into=into)
        self._into[record] = into

    def heir(self, record: str) -> str:
        """The record that this one was merged or converted into in the end, or itself."""
        while record in self._into:
            record = self._into[record]
        return record

    def set_apart(self, person: int) -> None:
        """From now on this person is odd, whatever happens."""
        self._odd.add(person)

    def hide(self, site: str, field: str) -> None:
        """An administrator takes away the right to a field, or gives it back."""
        hidden = field not in self.sites.hidden[site]
        self.sites.hide(site, field, hidden=hidden)
        self.story.append(f"{site}: {field} is {'hidden' if hidden else 'shown'}")

    def expire(self, site: str) -> None:
        """A CRM forgets where its readers were."""
        self.story.append(f"{site}: cursors expire")
        self.sites[site].expire_cursors()

    def wait(self, seconds: int) -> None:
        """Time passes; without this, everything carries one timestamp."""
        self.story.append(f"{seconds} seconds pass")
        self.sites.clock.tick(seconds)


def shown(value: object) -> str:
    """A value as a story shows it."""
    return repr(value) if value is None or isinstance(value, (str, bool, tuple)) else str(value)


FIELDS = tuple(SCALARS)
