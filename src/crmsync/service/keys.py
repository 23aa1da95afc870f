"""The vault's keys: look at them, check that they open everything, rotate and retire them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import anyio.to_thread

from crmsync.errors import ConfigurationError, NotFoundError, VaultError
from crmsync.models.audit import BOOKKEEPING
from crmsync.models.integrations import Integration
from crmsync.models.keys import KeyCheck, KeyOverview, KeyRetirement, KeyRotation, VaultKey
from crmsync.protocols.keys import SupportsKeyChanges
from crmsync.protocols.sealed import SealedChange, SealedText
from crmsync.security.audit import PURPOSE as AUDIT_PURPOSE
from crmsync.security.envelope import CURRENT, Envelope
from crmsync.security.keys.combined import changeable
from crmsync.security.sealing import PURPOSE
from crmsync.service.opening import Opening


class KeyVerbs(Opening):
    """The part of `CRMSync` that manages the vault's keys. Syncs go on meanwhile, in any process."""

    _page_size = 500

    @property
    def key_source_name(self) -> str:
        """Where the vault's keys come from, for people."""
        return self._vault.source.name

    async def keys(self) -> KeyOverview:
        """The vault's keys, and those that stored secrets need. Opens no secret.

        :raises ConfigurationError: the source's keys cannot be had.
        """
        await anyio.to_thread.run_sync(self._vault.reload)
        used, outdated, foreign, damaged = Counter[str](), 0, 0, 0
        page = await self._page()
        while page:
            for one in page:
                try:
                    envelope = Envelope.parse(one.text)
                except VaultError:
                    damaged += 1
                    continue
                used[envelope.key_id] += 1
                foreign += envelope.environment not in {"", self._vault.environment}
                outdated += envelope.format != CURRENT or (not envelope.environment and bool(self._vault.environment))
            page = await self._page(page)
        return KeyOverview(
            source=self._vault.source.name,
            environment=self._vault.environment,
            keys=_listed(self._vault.key_ids, used),
            outdated=outdated,
            foreign=foreign,
            damaged=damaged,
        )

    async def check_keys(self) -> KeyCheck:
        """Open every stored secret, and say which do not open and why. Changes nothing.

        :raises VaultError: ``unavailable``: a key is elsewhere and cannot be asked.
        """
        checked, faults = 0, dict[str, str]()
        page = await self._page()
        while page:
            checked += len(page)
            faults.update(await anyio.to_thread.run_sync(self._faults, page))
            page = await self._page(page)
        return KeyCheck(checked=checked, faults=faults)

    async def generate_key(self) -> str:
        """Add a new key to the vault's source, as the last: it opens, and encrypts nothing yet. Returns its id.

        :raises ConfigurationError: the source cannot be written: add a key of `Vault.generate_key` there.
        """
        source = self._changeable_source("generated")
        key_id = await anyio.to_thread.run_sync(source.generate)
        await anyio.to_thread.run_sync(self._vault.reload)
        await self._audit.write("key.generated", key=key_id)
        return key_id

    async def rotate_keys(
        self, *, to: str | None = None, renew: bool = False, progress: Callable[[int], None] | None = None
    ) -> KeyRotation:
        """Bring every stored secret under the vault's first key, its environment and the current format.

        ``to`` makes that key the first one before. ``renew`` makes new data keys, too, for when one may be known to
        others. ``progress`` is told how many were looked at so far.

        It goes in pages, and holds no lock between them; what another process writes meanwhile is not lost. A rotation
        that was cut off goes on where it stopped: each secret says what it is under. Secrets that do not open stay as
        they are and are named in the result. The keys of the shadows' digests are part of what is sealed and do not
        change.

        :raises ConfigurationError: there is no key ``to``, or its source cannot be written.
        :raises VaultError: ``unavailable``: a key is elsewhere and cannot be asked; what was done stays done.
        """
        if to is not None:
            await anyio.to_thread.run_sync(self._promote, to)
        await anyio.to_thread.run_sync(self._vault.reload)
        await self._audit.write("keys.rotated", result="begun", key=self._vault.key_ids[0], renew=renew)
        seen, rewrapped, faults = 0, 0, dict[str, str]()
        page = await self._page()
        while page:
            changes = await anyio.to_thread.run_sync(self._rewrapped, page, renew, faults)
            replaced = await self.repository.replace_sealed(changes)
            for change in changes:
                if change.integration_id not in replaced:
                    await self._rotate_one(change.integration_id, renew, faults)
            seen += len(page)
            rewrapped += sum(change.integration_id not in faults for change in changes)
            if progress is not None:
                progress(seen)
            page = await self._page(page)
        unchanged = seen - rewrapped - len(faults)
        await self._rewrap_audit_keys()
        done = KeyRotation(key_id=self._vault.key_ids[0], rewrapped=rewrapped, unchanged=unchanged, faults=faults)
        await self._audit.write("keys.rotated", key=done.key_id, rewrapped=rewrapped, faults=len(faults))
        return done

    async def _rewrap_audit_keys(self) -> None:
        """Those that this vault opens; the others belong to a vault whose keys are lost, or to another one."""
        for stored in await self.repository.audit_keys():
            rewrap = partial(self._vault.rewrap, stored.sealed, integration_id=BOOKKEEPING, purpose=AUDIT_PURPOSE)
            try:
                after = await anyio.to_thread.run_sync(rewrap)
            except VaultError as error:
                _fault(error)
                continue
            if after != stored.sealed:
                await self.repository.replace_audit_key(stored.id, stored.sealed, after)

    async def retire_key(self, key_id: str) -> KeyRetirement:
        """Take a key that no stored secret needs out of the source of keys. Backups sealed under it need it still.

        :raises ConfigurationError: it is the first key, or secrets need it: rotate; or the vault has no such key.
        """
        overview = await self.keys()
        found = {key.id: key for key in overview.keys}.get(key_id)
        if found is None or not found.present:
            have = ", ".join(key.id for key in overview.keys if key.present)
            raise ConfigurationError(f"the vault has no key {key_id!r} (there are: {have})")
        if found.first:
            raise ConfigurationError(f"{key_id} is the key in use: rotate to another one first")
        if found.secrets or overview.damaged:
            several = (
                f"{found.secrets} secrets need" if found.secrets else f"{overview.damaged} damaged secrets may need"
            )
            raise ConfigurationError(f"{several} {key_id} still: run `crmsync keys rotate` and look at what it says")
        await self._refuse_audit_key_under(key_id)
        source = changeable(self._vault.source)
        if source is None or key_id not in {key.id for key in await anyio.to_thread.run_sync(source.load)}:
            return KeyRetirement(key_id=key_id, removed=False)
        await anyio.to_thread.run_sync(source.remove, key_id)
        await anyio.to_thread.run_sync(self._vault.reload)
        await self._audit.write("key.retired", key=key_id)
        return KeyRetirement(key_id=key_id, removed=True)

    async def _refuse_audit_key_under(self, key_id: str) -> None:
        for stored in await self.repository.audit_keys():
            try:
                under = Envelope.parse(stored.sealed).key_id
            except VaultError:
                continue  # a damaged one opens under no key
            if under == key_id:
                raise ConfigurationError(f"the audit log's key {stored.id} is under {key_id} still: rotate first")

    async def _rotate_one(self, integration_id: str, renew: bool, faults: dict[str, str]) -> None:
        """One that somebody wrote while its page was worked on: now nobody else can, for a moment."""

        def changed(integration: Integration) -> Integration:
            held = SealedText(integration_id, integration.credentials)
            return integration.model_copy(update={"credentials": self._after(held, renew)})

        try:
            await self.repository.change_integration(integration_id, changed)
        except NotFoundError:
            pass  # it was removed
        except VaultError as error:
            faults[integration_id] = _fault(error)

    def _rewrapped(self, page: Sequence[SealedText], renew: bool, faults: dict[str, str]) -> list[SealedChange]:
        changes = list[SealedChange]()
        for one in page:
            try:
                after = self._after(one, renew)
            except VaultError as error:
                faults[one.integration_id] = _fault(error)
            else:
                if after != one.text:
                    changes.append(SealedChange(one.integration_id, one.text, after))
        return changes

    def _after(self, held: SealedText, renew: bool) -> str:
        if not renew and self._vault.is_current(held.text):
            return held.text
        return self._vault.rewrap(held.text, integration_id=held.integration_id, purpose=PURPOSE, renew=renew)

    def _faults(self, page: Sequence[SealedText]) -> dict[str, str]:
        faults = dict[str, str]()
        for one in page:
            try:
                self._vault.decrypt(one.text, integration_id=one.integration_id, purpose=PURPOSE)
            except VaultError as error:
                faults[one.integration_id] = _fault(error)
        return faults

    def _promote(self, key_id: str) -> None:
        self._vault.reload()
        if self._vault.key_ids[0] != key_id:
            self._changeable_source("made the first one").promote(key_id)

    def _changeable_source(self, done: str) -> SupportsKeyChanges:
        source = changeable(self._vault.source)
        if source is None:
            raise ConfigurationError(f"a key of the {self._vault.source.name} cannot be {done} here: do it there")
        return source

    async def _page(self, before: Sequence[SealedText] = ()) -> list[SealedText]:
        """The page after this one; the first, after none."""
        after = before[-1].integration_id if before else ""
        return await self.repository.scan_sealed(after=after, limit=self._page_size)


def _fault(error: VaultError) -> str:
    """What is wrong with one secret; a key that cannot be used now is wrong with all of them, and raised."""
    if error.reason == "unavailable":
        raise error
    return error.message


def _listed(present: Sequence[str], used: Counter[str]) -> tuple[VaultKey, ...]:
    held = [VaultKey(id=name, first=name == present[0], secrets=used[name]) for name in present]
    absent = [
        VaultKey(id=name, present=False, secrets=count) for name, count in sorted(used.items()) if name not in present
    ]
    return (*held, *absent)
