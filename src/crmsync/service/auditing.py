"""The audit log: look at it, prove that it is whole, take it elsewhere."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from crmsync.errors import NotFoundError
from crmsync.models.audit import (
    BOOKKEEPING,
    AuditAnchor,
    AuditEntry,
    AuditFault,
    AuditHead,
    AuditKey,
    AuditVerification,
    entry_json,
)
from crmsync.service.opening import Opening

_PAGE: Final = 1000


class AuditVerbs(Opening):
    """The part of `CRMSync` that shows and verifies the audit log. All else writes it."""

    async def audit_log(
        self, integration_id: str | None = None, *, action: str | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """The last entries of one integration's chain, or of all in the order of time; of one action or of all.

        ``integration_id`` ``""`` is the chain of what concerns the bookkeeping as a whole.
        """
        found = list[AuditEntry]()
        for name, head in (await self._chains(integration_id)).items():
            found += await self._last(name, head, action, limit)
        if integration_id is None:
            found.sort(key=lambda entry: (entry.event.at, entry.event.integration_id, entry.sequence))
        return found[-limit:]

    async def record_audit(
        self, action: str, integration_id: str = BOOKKEEPING, *, result: str = "done", **details: object
    ) -> None:
        """Write down something that your application did: an export of its own, say. Give ids and names, no values.

        :raises StorageError: it cannot be stored, or a detail has no JSON form.
        """
        await self._audit.write(action, integration_id, result=result, **details)

    async def audit_anchor(self, integration_id: str | None = None) -> AuditAnchor:
        """The heads of all chains, or of one, signed. Kept elsewhere, it shows later that nothing was cut off."""
        heads = {name: (head.sequence, head.mac) for name, head in (await self._chains(integration_id)).items()}
        key = (await self._audit.pen()).key
        unsigned = AuditAnchor(made_at=self._clock.now(), heads=heads, key_id=key.id, signature="")
        return unsigned.model_copy(update={"signature": key.sign("anchor", unsigned.signed)})

    async def export_audit(self, write: Callable[[str], object], integration_id: str | None = None) -> int:
        """Hand the log, or one integration's chain, over as JSON Lines: entry by entry, at last its anchor.

        ``write`` is called with each line. Returns the number of entries. That it was exported is in the log.

        :raises NotFoundError: there is no such chain.
        """
        if integration_id is not None and integration_id not in await self._chains(None):
            raise NotFoundError(f"the audit log has nothing of integration {integration_id!r}")
        await self._audit.write("audit.exported", integration_id or BOOKKEEPING)
        anchor, count = await self.audit_anchor(integration_id), 0
        for name, (last, _) in anchor.heads.items():
            after = 0
            while after < last and (page := await self._entries(name, after, last)):
                for entry in page:
                    write(f"{json.dumps(entry_json(entry), ensure_ascii=False)}\n")
                after, count = page[-1].sequence, count + len(page)
        write(f"{json.dumps({'anchor': anchor.model_dump(mode='json')}, ensure_ascii=False)}\n")
        return count

    async def verify_audit(self, anchor: AuditAnchor | None = None) -> AuditVerification:
        """Look at every entry: whether any was changed, removed, added, put elsewhere, or cut off at the end.

        What was cut off after an ``anchor`` was made, and its head with it, cannot be seen. Changes nothing.
        """
        walk = _Walk(await self._audit.open_keys(), {} if anchor is None else anchor.heads)
        if anchor is not None:
            walk.check_signature(anchor)
        heads = await self.repository.audit_heads()
        for name in sorted({*heads, *walk.anchored}):
            await self._walk(walk, name, heads.get(name, AuditHead()))
        return AuditVerification(
            entries=walk.entries,
            chains=len(heads),
            anchored=anchor.made_at if anchor else None,
            faults=tuple(walk.faults),
        )

    async def _walk(self, walk: _Walk, name: str, head: AuditHead) -> None:
        place = _Place(name, head, walk.anchored.get(name))
        await self._look(walk, place, head.sequence)
        if await self._entries(name, head.sequence, head.sequence + 1):
            # Either they were added since the heads were read, and the head has gone on; or it was set back.
            now = (await self.repository.audit_heads()).get(name, AuditHead())
            if now.sequence <= head.sequence:
                walk.note_lost_head(place)
                await self._look(walk, place, None)
        walk.check_end(place)

    async def _look(self, walk: _Walk, place: _Place, until: int | None) -> None:
        while until is None or place.sequence < until:
            page = await self._entries(place.name, place.sequence, until)
            if not page:
                return
            for entry in page:
                walk.check(place, entry)

    async def _last(self, name: str, head: AuditHead, action: str | None, limit: int) -> list[AuditEntry]:
        found, until = list[AuditEntry](), head.sequence
        while until > 0 and len(found) < limit:
            after = max(0, until - _PAGE)
            page = await self._entries(name, after, until)
            found = [entry for entry in page if action in (None, entry.event.action)] + found
            until = after
        return found[-limit:]

    async def _entries(self, name: str, after: int, until: int | None = None) -> Sequence[AuditEntry]:
        limit = _PAGE if until is None else min(_PAGE, until - after)
        return await self.repository.audit_entries(name, after=after, limit=limit)

    async def _chains(self, integration_id: str | None) -> Mapping[str, AuditHead]:
        heads = await self.repository.audit_heads()
        if integration_id is None:
            return heads
        return {name: head for name, head in heads.items() if name == integration_id}


@attrs.define(slots=True)
class _Place:
    """How far a chain was looked at. ``previous`` is None where the entry before is missing."""

    name: str
    head: AuditHead
    anchor: tuple[int, str] | None
    sequence: int = 0
    previous: str | None = ""


@attrs.define(slots=True)
class _Walk:
    """What was looked at, and found."""

    keys: Mapping[int, AuditKey | None]
    anchored: Mapping[str, tuple[int, str]]
    entries: int = 0
    faults: list[AuditFault] = attrs.field(factory=list)

    def check_signature(self, anchor: AuditAnchor) -> None:
        key = self.keys.get(anchor.key_id)
        if key is None:
            message = f"the anchor is signed with audit key {anchor.key_id}, which this vault does not open"
            self._found("", 0, "unverifiable", message)
        elif not hmac.compare_digest(key.sign("anchor", anchor.signed), anchor.signature):
            self._found("", 0, "anchor_changed", "the anchor is not as it was made")

    def check(self, place: _Place, entry: AuditEntry) -> None:
        self.entries += 1
        expected = place.sequence + 1
        if entry.sequence != expected:
            message = f"the entries from {expected} to {entry.sequence - 1} are gone"
            self._found(place.name, expected, "missing", message)
            place.previous = None
        place.sequence = entry.sequence
        self._check_mac(place, entry)
        place.previous = entry.mac
        for what, (sequence, mac) in self._fixed(place):
            if entry.sequence == sequence and not hmac.compare_digest(entry.mac, mac):
                self._found(place.name, sequence, "replaced", f"the entry is not the one that {what} has")

    def note_lost_head(self, place: _Place) -> None:
        message = "there are more entries than the head of the chain says"
        self._found(place.name, place.head.sequence, "head", message)

    def check_end(self, place: _Place) -> None:
        for what, (sequence, _) in self._fixed(place):
            if sequence > place.sequence:
                first = place.sequence + 1
                message = f"{what} has {sequence} entries; from {first} on they are gone"
                self._found(place.name, first, "cut_off", message)

    def _check_mac(self, place: _Place, entry: AuditEntry) -> None:
        key = self.keys.get(entry.key_id)
        if key is None:
            message = f"the entry is signed with audit key {entry.key_id}, which this vault does not open"
            self._found(place.name, entry.sequence, "unverifiable", message)
        elif place.previous is not None:
            # Where the one before is gone, what the mac was made over is not known.
            mac = key.mac_of(entry.sequence, entry.event, place.previous)
            if not hmac.compare_digest(mac, entry.mac):
                self._found(place.name, entry.sequence, "changed", "the entry is not as it was written")

    def _fixed(self, place: _Place) -> list[tuple[str, tuple[int, str]]]:
        """Places of the chain that are known from elsewhere."""
        known = [("the head of the chain", (place.head.sequence, place.head.mac))]
        return [*known, ("the anchor", place.anchor)] if place.anchor else known

    def _found(self, name: str, sequence: int, code: str, message: str) -> None:
        self.faults.append(AuditFault(integration_id=name, sequence=sequence, code=code, message=message))
