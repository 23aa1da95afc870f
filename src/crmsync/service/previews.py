"""Single records through a mapping, and two mappings compared on records that there are. Nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from crmsync.errors import ConfigurationError, NotFoundError, RecordError
from crmsync.mapping.changes import mapping_changes
from crmsync.mapping.previews import compare_record, preview_record
from crmsync.models.mappings import ObjectMapping
from crmsync.models.previews import MappingDiff, RecordDifference, RecordPreview
from crmsync.models.records import Record, Side
from crmsync.models.state import Link, LinkStatus
from crmsync.protocols.conversion import RecordRule
from crmsync.protocols.records import RecordStore
from crmsync.service.opening import Opening, trying

_PAIRED = (LinkStatus.SYNCED, LinkStatus.CONFLICT, LinkStatus.REJECTED)


@attrs.frozen(slots=True)
class _Look:
    """Both sides open, with a compiled mapping."""

    rule: RecordRule
    stores: Mapping[Side, RecordStore]

    async def get(self, side: Side, ids: list[str], rule: RecordRule | None = None) -> Mapping[str, Record]:
        """Records of a side by id, with the mapped fields."""
        return await self.stores[side].get(ids, fields=self._fields(side, rule)) if ids else {}

    async def one(self, side: Side, record_id: str) -> Record | None:
        """A record, if this side has one of this id."""
        try:
            return (await self.get(side, [record_id])).get(record_id)
        except RecordError:
            return None  # what is no id of this side's at all

    async def by_email(self, side: Side, address: str) -> Record | None:
        """The record with an e-mail address.

        :raises ConfigurationError: there are several, or the mapping does not match by e-mail.
        """
        match = self.rule.match
        name = match.local_email if side is Side.LOCAL else match.remote_email
        if not name:
            raise ConfigurationError("the mapping does not match by e-mail: name the record by its id")
        found = await self.stores[side].find(name, [address], fields=self._fields(side))
        if len(found) > 1:
            msg = f"{len(found)} records of the {side} side have this address: name one by its id"
            raise ConfigurationError(msg)
        return found[0] if found else None

    async def partner(self, side: Side, record: Record) -> Record | None:
        """The other side's record of the same address, if there is just one."""
        match = self.rule.match
        name = match.local_email if side is Side.LOCAL else match.remote_email
        address = record.fields.get(name) if name else None
        if not isinstance(address, str) or not address.strip():
            return None
        try:
            return await self.by_email(side.other, address.strip())
        except ConfigurationError:
            return None

    def _fields(self, side: Side, rule: RecordRule | None = None) -> tuple[str, ...]:
        rule = rule or self.rule
        return rule.local_fields if side is Side.LOCAL else rule.remote_fields


class PreviewVerbs(Opening):
    """The part of `CRMSync` that tries mappings on records."""

    async def preview_record(
        self,
        integration_id: str,
        object_name: str,
        local: RecordStore,
        *,
        record_id: str | None = None,
        email: str | None = None,
        fields: Mapping[str, Any] | None = None,
        side: Side = Side.LOCAL,
        mapping: ObjectMapping | None = None,
    ) -> RecordPreview:
        """A record through the mapping, or through another one, both ways and field by field.

        The record is named by either side's id or by its e-mail address, or given: ``fields`` of ``side``. Its
        counterpart is the one that it is linked to, or else the only one of the same address.

        :raises NotFoundError: there is no such integration or record.
        :raises ConfigurationError: not just one of ``record_id``, ``email`` and ``fields`` is given, or several records
            have the address. :raises MappingError: with every fault of the mapping.
        """
        if sum(each is not None for each in (record_id, email, fields)) != 1:
            raise ConfigurationError("name one record: by its id, by its e-mail address, or by its fields")
        linked = False
        async with self._looking(integration_id, object_name, local, mapping) as look:
            pair: dict[Side, Record | None] = dict.fromkeys(Side)
            if fields is not None:
                pair[side] = Record("", dict(fields))
            elif email is not None:
                pair = {each: await look.by_email(each, email) for each in Side}
            elif record_id is not None:
                pair = await self._pair_of(look, integration_id, object_name, record_id)
            ours = pair[Side.LOCAL]
            if ours is not None and pair[Side.REMOTE] is not None:
                linked = await self._link_of(integration_id, object_name, ours.id) is not None
            for each in Side:
                record = pair[each]
                if record is not None and pair[each.other] is None and fields is None:
                    pair[each.other] = await look.partner(each, record)
        if not any(pair.values()):
            raise NotFoundError(f"neither side has such a record of {object_name}")
        return preview_record(look.rule, object_name, pair[Side.LOCAL], pair[Side.REMOTE], linked=linked)

    async def _pair_of(
        self, look: _Look, integration_id: str, object_name: str, record_id: str
    ) -> dict[Side, Record | None]:
        link = await self._link_of(integration_id, object_name, record_id)
        if link is not None:
            there = await look.one(Side.REMOTE, link.crm_id) if link.crm_id else None
            return {Side.LOCAL: await look.one(Side.LOCAL, link.markmail_id), Side.REMOTE: there}
        ours = await look.one(Side.LOCAL, record_id)
        return {Side.LOCAL: ours, Side.REMOTE: await look.one(Side.REMOTE, record_id) if ours is None else None}

    async def _link_of(self, integration_id: str, object_name: str, record_id: str) -> Link | None:
        by_local = await self.repository.links_by_local(integration_id, object_name, [record_id])
        by_remote = await self.repository.links_by_remote(integration_id, object_name, [record_id])
        return by_local.get(record_id) or by_remote.get(record_id)

    async def diff_mappings(
        self,
        integration_id: str,
        object_name: str,
        local: RecordStore,
        old: ObjectMapping,
        new: ObjectMapping,
        *,
        sample: int = 100,
    ) -> MappingDiff:
        """What two mappings make of up to ``sample`` records: which fields of which would come out differently.

        Of an integration that was synced linked pairs are compared, both ways; before the first sync local records.
        Each record is looked at as if it alone had changed.

        :raises NotFoundError: there is no such integration. :raises MappingError: with every fault of one of the two.
        """
        async with self._looking(integration_id, object_name, local, old) as look:
            integration = trying(await self.repository.get_integration(integration_id), object_name, new)
            other = (await self._compiled(integration, object_name, local, look.stores[Side.REMOTE])).rule
            pairs = await self._sample(look, other, (integration_id, object_name), sample)
        compared = dict.fromkeys(Side, 0)
        found: list[RecordDifference] = []
        for pair in pairs:
            for side in Side:
                source, target = pair[side.other], pair[side]
                if source is None:
                    continue
                compared[side] += 1
                one = compare_record(look.rule, other, side, source, target.fields if target else None)
                found += [one] if one is not None else []
        return MappingDiff(mapping_changes(old, new), compared, tuple(found))

    async def _sample(
        self, look: _Look, other: RecordRule, scope: tuple[str, str], sample: int
    ) -> list[Mapping[Side, Record | None]]:
        """Pairs of records with the fields of both mappings."""
        both = attrs.evolve(
            look.rule,
            local_fields=tuple({*look.rule.local_fields, *other.local_fields}),
            remote_fields=tuple({*look.rule.remote_fields, *other.remote_fields}),
        )
        links = await self.repository.scan_links(*scope, statuses=_PAIRED, limit=sample)
        if links:
            ours = await look.get(Side.LOCAL, [link.markmail_id for link in links], both)
            theirs = await look.get(Side.REMOTE, [link.crm_id for link in links if link.crm_id], both)
            return [
                {Side.LOCAL: ours.get(link.markmail_id), Side.REMOTE: theirs.get(link.crm_id or "")} for link in links
            ]
        page = await look.stores[Side.LOCAL].changes(None, fields=both.local_fields, limit=sample)
        live = [record for record in page.records if not record.deleted]
        return [{Side.LOCAL: record, Side.REMOTE: None} for record in live[:sample]]

    @asynccontextmanager
    async def _looking(
        self, integration_id: str, object_name: str, local: RecordStore, mapping: ObjectMapping | None
    ) -> AsyncIterator[_Look]:
        integration = await self.repository.get_integration(integration_id)
        if mapping is not None:
            integration = trying(integration, object_name, mapping)
        async with (
            self._budget(integration) as budget,
            self._connected(integration, budget, purpose="preview", object_name=object_name) as provider,
        ):
            remote = await provider.records(object_name)
            compiled = await self._compiled(integration, object_name, local, remote)
            yield _Look(compiled.rule, {Side.LOCAL: local, Side.REMOTE: remote})
