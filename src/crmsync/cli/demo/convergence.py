"""Whether two sides agree, found by reading both afresh: nothing that the sync remembers is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence

import attrs

from crmsync.models.records import MISSING, Fields, Record
from crmsync.protocols.conversion import FieldRule, RecordRule
from crmsync.protocols.records import RecordStore


@attrs.frozen
class Comparison:
    """``pairs`` were compared. ``different`` pairs hold a field that differs; the ``only_...`` ids have no partner.

    ``excused`` counts records that cannot be in step because someone must mend them first; among them are those of
    ``excused_pairs``, which are linked all the same.
    """

    pairs: int
    different: tuple[str, ...] = ()
    only_local: tuple[str, ...] = ()
    only_remote: tuple[str, ...] = ()
    excused: int = 0
    excused_pairs: int = 0

    @property
    def agree(self) -> bool:
        """Whether both sides hold the same."""
        return not (self.different or self.only_local or self.only_remote)


async def read_all(store: RecordStore, fields: Sequence[str]) -> dict[str, Record]:
    """Every live record of a side, by id."""
    found: dict[str, Record] = {}
    cursor: str | None = None
    while True:
        page = await store.changes(cursor, fields=fields)
        found.update({record.id: record for record in page.records if not record.deleted})
        if not page.has_more:
            return found
        cursor = page.cursor


async def compare(
    rule: RecordRule, local: RecordStore, remote: RecordStore, *, spoilt: Container[str], doubled: Container[str]
) -> Comparison:
    """Read both sides and compare the mapped fields of every pair in normal form.

    A contact belongs to the row whose id it carries as external key. Rows whose id is ``spoilt``, and records whose
    e-mail (lower case) is ``doubled``, are excused.
    """
    match = rule.match
    rows = await read_all(local, [*rule.local_fields, match.local_email])
    contacts = await read_all(remote, [*rule.remote_fields, match.remote_email])
    by_key: dict[str, list[Record]] = defaultdict(list)
    for contact in contacts.values():
        by_key[contact.key or ""].append(contact)
    excused_rows = {id_ for id_, row in rows.items() if id_ in spoilt or _mail(row, match.local_email) in doubled}
    partners = {id_: by_key[id_] for id_ in rows if id_ in by_key and id_ not in excused_rows}
    paired = {contact.id for found in partners.values() for contact in found}
    lost = [
        contact
        for contact in contacts.values()
        if contact.id not in paired
        and contact.key not in excused_rows
        and _mail(contact, match.remote_email) not in doubled
    ]
    return Comparison(
        pairs=len(partners),
        different=tuple(
            id_
            for id_, found in partners.items()
            if len(found) != 1 or differing_fields(rule, rows[id_].fields, found[0].fields)
        ),
        only_local=tuple(id_ for id_ in rows if id_ not in partners and id_ not in excused_rows),
        only_remote=tuple(contact.id for contact in lost),
        excused=len(excused_rows) + len(contacts) - len(paired) - len(lost),
        excused_pairs=sum(id_ in by_key for id_ in excused_rows),
    )


def differing_fields(rule: RecordRule, local: Fields, remote: Fields) -> list[str]:
    """The local names of the mapped fields that differ. A known difference of representation is none."""
    return [one.local for one in rule.rules if not _same(one, local, remote)]


def _same(rule: FieldRule, local: Fields, remote: Fields) -> bool:
    here, there = local.get(rule.local, MISSING), remote.get(rule.remote, MISSING)
    if here is MISSING or there is MISSING:
        return True
    outward = rule.normal_remote(rule.to_remote(here).value)
    inward = rule.normal_local(rule.to_local(there).value)
    return outward == rule.normal_remote(there) or inward == rule.normal_local(here)


def _mail(record: Record, field: str) -> str:
    fields: Mapping[str, object] = record.fields
    return str(fields.get(field) or "").lower()
