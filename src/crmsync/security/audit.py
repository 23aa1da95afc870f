"""Writing the audit log: who acts, what happened, signed with a key that the vault seals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

import anyio.to_thread
import attrs
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crmsync.errors import VaultError
from crmsync.models.audit import BOOKKEEPING, Actor, AuditEvent, AuditKey, AuditNote, StoredAuditKey
from crmsync.protocols.audit import AuditRepository
from crmsync.protocols.runtime import Clock
from crmsync.security.vault import Vault

PURPOSE: Final = "audit"
"""What audit keys are sealed for, in the name of no integration."""

_ACTING: ContextVar[Actor | None] = ContextVar("crmsync_actor", default=None)


@contextmanager
def acting(name: str, origin: str = "") -> Iterator[None]:
    """Say who does what is done within, in this task and those that it starts: for the audit log.

        with acting("user-17", origin="198.51.100.7"):
            await crm.pause("acme")

    :param name: an id that means something to whoever reads the log; better no name or address of a person.
    :param origin: where it comes from: an address, a host, a job.
    """
    token = _ACTING.set(Actor(name, origin))
    try:
        yield
    finally:
        _ACTING.reset(token)


@attrs.frozen(slots=True)
class Pen:
    """Makes notes at one moment, in the name of whoever acts."""

    actor: Actor
    key: AuditKey
    clock: Clock

    def note(
        self,
        action: str,
        integration_id: str = BOOKKEEPING,
        *,
        entity_type: str = "",
        result: str = "done",
        **details: Any,
    ) -> AuditNote:
        """A note of one event. Details that are None are left out."""
        said = {name: value for name, value in details.items() if value is not None}
        at = self.clock.now()
        event = AuditEvent(integration_id, action, self.actor, at, entity_type, result, said)
        return AuditNote((event,), self.key)


def together(*notes: AuditNote | None) -> AuditNote | None:
    """Several notes as one; None if there is nothing to write down."""
    made = [note for note in notes if note is not None]
    if not made:
        return None
    return AuditNote(tuple(event for note in made for event in note.events), made[0].key)


class AuditWriter:
    """Writes the audit log of one repository. ``actor`` acts where `acting` says nobody else."""

    def __init__(self, repository: AuditRepository, vault: Vault, clock: Clock, actor: Actor) -> None:
        self._repository = repository
        self._vault = vault
        self._clock = clock
        self._actor = actor
        self._key: AuditKey | None = None

    @property
    def actor(self) -> Actor:
        """Who acts now."""
        return _ACTING.get() or self._actor

    async def pen(self) -> Pen:
        """What to write notes with.

        :raises StorageError: the key cannot be read.
        :raises VaultError: ``unavailable``: the vault's key is elsewhere and cannot be asked.
        """
        if self._key is None:
            self._key = await self._newest_key() or await self._new_key()
        return Pen(self.actor, self._key, self._clock)

    async def write(self, action: str, integration_id: str = BOOKKEEPING, **about: Any) -> None:
        """Write down one event by itself; ``about`` is as of `Pen.note`.

        :raises StorageError: it cannot be stored.
        """
        pen = await self.pen()
        await self._repository.append_audit(pen.note(action, integration_id, **about))

    async def open_keys(self) -> Mapping[int, AuditKey | None]:
        """The audit keys by id; None for one that this vault does not open."""
        return {stored.id: await self._opened(stored) for stored in await self._repository.audit_keys()}

    async def _newest_key(self) -> AuditKey | None:
        for stored in reversed(await self._repository.audit_keys()):
            key = await self._opened(stored)
            if key is not None:
                return key
        return None

    async def _new_key(self) -> AuditKey:
        """The first one; or another one, because this vault opens none of those that there are.

        The log has to go on even if the vault's key was lost for good; each entry says which key signs it.
        """
        while True:
            held = await self._repository.audit_keys()
            key = AuditKey(held[-1].id + 1 if held else 1, AESGCM.generate_key(256))
            seal = partial(self._vault.encrypt, key.key, integration_id=BOOKKEEPING, purpose=PURPOSE)
            stored = StoredAuditKey(key.id, await anyio.to_thread.run_sync(seal))
            if await self._repository.add_audit_key(stored):
                return key
            # Another process was quicker; if this vault opens its key, there is no need for another one.
            theirs = await self._newest_key()
            if theirs is not None:
                return theirs

    async def _opened(self, stored: StoredAuditKey) -> AuditKey | None:
        unseal = partial(self._vault.decrypt, stored.sealed, integration_id=BOOKKEEPING, purpose=PURPOSE)
        try:
            return AuditKey(stored.id, await anyio.to_thread.run_sync(unseal))
        except VaultError as error:
            if error.reason == "unavailable":
                raise
            return None
