"""What the demo begins with: some people only here, some only in the CRM, some on both sides and not quite alike."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from typing import Any, Final

import attrs

from crmsync.cli.demo.people import TAGS, Person, Pool, make_people
from crmsync.cli.demo.remote import contact_of

_IDS: Final = uuid.UUID("a1f6c1f4-52a4-4a1e-9d53-6a5f2f5be3c0")
_ONLY_LOCAL: Final = 0.45
_ONLY_REMOTE: Final = 0.25
_RARE: Final = 500
_SPOILT_NAME: Final = "Wolfeschlegelsteinhausenbergerdorff" * 4  # longer than the 80 characters of the CRM's LastName
_TYPED_DIFFERENTLY: Final = 0.1
_DIFFERENT_PHONE: Final = 0.15
_BLANK_COMPANY: Final = 0.2
_OTHER_TAGS: Final = 0.3


@attrs.frozen
class Population:
    """Both sides before the first sync.

    ``spoilt`` are the ids of local rows with a value that the CRM refuses; ``doubled`` are e-mails, in lower case, that
    stand twice on one side, so that nobody can tell who is who.
    """

    subscribers: list[dict[str, Any]] = attrs.field(repr=False)
    contacts: list[dict[str, Any]] = attrs.field(repr=False)
    spoilt: frozenset[str] = frozenset()
    doubled: frozenset[str] = frozenset()

    def excused(self, local_id: str | None, email: object) -> bool:
        """Whether this record cannot be in step until someone mends it."""
        return local_id in self.spoilt or str(email or "").lower() in self.doubled


def subscriber_id(seed: int, number: int) -> str:
    """The local id of a person: the same for the same seed."""
    return str(uuid.uuid5(_IDS, f"{seed}/{number}"))


def make_population(count: int, seed: int, pools: Sequence[Pool]) -> Population:
    """Spread ``count`` people over both sides. The same seed gives the same population."""
    chance = random.Random(seed)  # noqa: S311 - made-up people
    rare = max(1, count // _RARE)
    people = make_people(count - 2 * rare, pools, chance)
    local_end = round(count * _ONLY_LOCAL)
    remote_end = local_end + round(count * _ONLY_REMOTE)
    both = people[remote_end:]
    subscribers = [subscriber_of(person, seed) for person in (*people[:local_end], *both)]
    contacts = [contact_of(person) for person in people[local_end:remote_end]]
    contacts += [_typed_by_someone_else(person, pools, chance) for person in both]
    spoilt = _spoil(subscribers[: 2 * rare])
    doubled = _double(subscribers[2 * rare : 3 * rare], subscribers, seed, count)
    doubled |= _double_contacts(contacts[-rare:], contacts)
    chance.shuffle(subscribers)
    chance.shuffle(contacts)
    return Population(subscribers, contacts, spoilt, doubled)


def subscriber_of(person: Person, seed: int) -> dict[str, Any]:
    """A person as a row of the local side."""
    return {
        "id": subscriber_id(seed, person.number),
        "email": person.email,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "company": person.company or None,
        "phone": person.phone or None,
        "tags": ";".join(person.tags) or None,
        "opted_out": int(person.opted_out),
    }


def _typed_by_someone_else(person: Person, pools: Sequence[Pool], chance: random.Random) -> dict[str, Any]:
    contact = contact_of(person)
    if chance.random() < _TYPED_DIFFERENTLY:
        contact["Email"] = contact["Email"].title()
    if chance.random() < _DIFFERENT_PHONE:
        contact["Phone"] = chance.choice(chance.choice(pools).phones)
    if chance.random() < _BLANK_COMPANY:
        contact["MarkMail_Company__c"] = None
    if chance.random() < _OTHER_TAGS:
        contact["MarkMail_Tags__c"] = ";".join(sorted(chance.sample(TAGS, 2)))
    return contact


def _spoil(rows: list[dict[str, Any]]) -> frozenset[str]:
    for place, row in enumerate(rows):
        if place % 2:
            row["email"] = f"{row['email'].partition('@')[0]} at example"
        else:
            row["last_name"] = _SPOILT_NAME
    return frozenset(row["id"] for row in rows)


def _double(rows: list[dict[str, Any]], subscribers: list[dict[str, Any]], seed: int, count: int) -> frozenset[str]:
    copies = [{**row, "id": subscriber_id(seed, count + place)} for place, row in enumerate(rows, start=1)]
    subscribers += copies
    return frozenset(row["email"].lower() for row in copies)


def _double_contacts(rows: list[dict[str, Any]], contacts: list[dict[str, Any]]) -> frozenset[str]:
    contacts += [{**row, "FirstName": f"{row['FirstName']} (2)"} for row in rows]
    return frozenset(row["Email"].lower() for row in rows)
