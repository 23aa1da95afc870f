"""The integrations: add, look at, test, disconnect, forget."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC
from typing import Any, Final

import anyio.to_thread
from pydantic import SecretStr

from crmsync.engine import RunBudget
from crmsync.errors import CRMError, NotFoundError
from crmsync.models.checks import ObjectDescription
from crmsync.models.integrations import CallLimits, Integration
from crmsync.models.mappings import Enforcement, ObjectMapping, SyncDirection
from crmsync.models.results import ConnectionReport, Disconnection
from crmsync.models.schema import ObjectSchema
from crmsync.models.state import CallUsage
from crmsync.protocols.provider import CRMProvider, SupportsRevocation
from crmsync.security.sealing import Secrets, given, masked, opened, seal, unseal
from crmsync.service.given import Given, Giving
from crmsync.service.opening import Opening, advice_of

_NOTHING_OURS: Final = "there was nothing of ours to revoke"


class IntegrationVerbs(Opening):
    """The part of `CRMSync` that manages integrations."""

    async def add_integration(
        self,
        integration_id: str,
        *,
        provider: str,
        settings: Mapping[str, Any],
        credentials: Mapping[str, SecretStr | str],
        mappings: Mapping[str, ObjectMapping] | None = None,
        defaults: Collection[str] = (),
        user_id: str = "",
        keep: Collection[str] = (),
        limits: CallLimits | None = None,
    ) -> Integration:
        """Add an integration, or replace its settings, credentials and mappings; links and cursors stay.

        ``keep`` names further credentials that stay as they are stored. Giving the same credentials as the last time
        keeps what the provider has renewed since (a rotated refresh token, say); others replace all of them.
        ``mappings`` None takes the provider's defaults, less the fields that either side does not have; ``defaults``
        names objects for which they are taken besides ``mappings``. ``limits`` None lifts those on the integration's
        API calls.

        :raises UnknownProviderError: no such provider is installed.
        :raises ConfigurationError: a credential to ``keep`` is not stored.
        """
        offered = self._registry.provider(provider).default_mappings()
        taken = {name: one for name, one in offered.items() if mappings is None or name in defaults}
        described = Given(
            id=integration_id,
            user_id=user_id,
            provider=provider,
            settings=dict(settings),
            field_mappings={**taken, **(mappings or {})},
            default_mappings=mappings is None or sorted(taken.keys() - mappings.keys()),
            limits=limits or CallLimits(),
            now=self._clock.now(),
        )
        giving = Giving(await self._audit.pen())

        def configured(existing: Integration | None) -> Integration:
            held = unseal(self._vault, existing) if existing else Secrets({}, {}, secrets.token_bytes(32))
            sealed = given(held, masked(credentials), keep)
            giving.before, giving.renewed = existing, sealed is not held
            giving.credentials = tuple(sorted(sealed.given))
            text = seal(self._vault, integration_id, sealed, existing.credentials if existing else "")
            return described.over(existing, text, renewed=giving.renewed)

        try:
            return await self.repository.audited(giving.note).change_integration(integration_id, configured)
        except NotFoundError:
            integration = await anyio.to_thread.run_sync(configured, None)
        await self.repository.audited(lambda _: giving.note(integration)).save_integration(integration)
        return integration

    async def credentials(self, integration_id: str) -> Mapping[str, SecretStr]:
        """What is sealed for an integration, still masked in every ``repr``.

        :raises NotFoundError: there is no such integration. :raises ConfigurationError: the vault's key is another one.
        """
        held = (await opened(self._vault, await self.repository.get_integration(integration_id))).credentials
        await self._audit.write("credentials.read", integration_id, credentials=sorted(held))
        return held

    async def credential_names(self, integration_id: str) -> Collection[str]:
        """Of what is sealed for an integration the names alone.

        :raises NotFoundError: there is no such integration. :raises VaultError: the vault does not open it.
        """
        return (await opened(self._vault, await self.repository.get_integration(integration_id))).credentials.keys()

    async def integrations(self, user_id: str | None = None) -> list[Integration]:
        """All integrations, or one user's."""
        return await self.repository.list_integrations(user_id)

    async def remove_integration(self, integration_id: str) -> None:
        """Forget an integration with its links, conflicts and logs. Neither side's records are touched.

        :raises NotFoundError: there is none.
        """
        note = (await self._audit.pen()).note("connection.removed", integration_id)
        await self.repository.audited(lambda _: note).delete_integration(integration_id)

    async def restore_integration(self, integration_id: str, before: Integration | None) -> None:
        """Put an integration back to what it was when someone looked at it; with None, it was not there yet.

        For who gave it something new that turns out not to work.
        """
        if before is None:
            with suppress(NotFoundError):
                await self.remove_integration(integration_id)
            return
        note = (await self._audit.pen()).note("connection.restored", integration_id)
        await self.repository.audited(lambda _: note).save_integration(before)

    async def pause(self, integration_id: str) -> Integration:
        """Refuse runs until `resume`; one that is under way goes on. The first run after it takes in all changes.

        :raises NotFoundError: there is no such integration.
        """
        return await self._enable(integration_id, enabled=False)

    async def resume(self, integration_id: str) -> Integration:
        """Allow runs again.

        :raises NotFoundError: there is no such integration.
        """
        return await self._enable(integration_id, enabled=True)

    async def _enable(self, integration_id: str, *, enabled: bool) -> Integration:
        changed = {"sync_enabled": enabled, "updated_at": self._clock.now()}
        action = "connection.resumed" if enabled else "connection.paused"
        note = (await self._audit.pen()).note(action, integration_id)
        audited = self.repository.audited(lambda _: note)
        return await audited.change_integration(integration_id, lambda found: found.model_copy(update=changed))

    async def disconnect(self, integration_id: str, *, forget: bool = False) -> Disconnection:
        """Revoke the credentials at the CRM and forget them here; with ``forget`` the integration with its links too.

        They are forgotten also if the CRM cannot be asked: then what was not revoked there stays good until someone
        does it, and the answer says why.

        :raises NotFoundError: there is no such integration.
        :raises ConfigurationError: the vault's key is another one, and the integration is not to be forgotten.
        """
        integration = await self.repository.get_integration(integration_id)
        revoked, reason = await self._revoked(integration)
        action = "connection.removed" if forget else "connection.disconnected"
        note = (await self._audit.pen()).note(action, integration_id, revoked=revoked)
        audited = self.repository.audited(lambda _: note)
        if forget:
            await audited.delete_integration(integration_id)
        else:
            await audited.change_integration(integration_id, self._without_credentials)
        return Disconnection(revoked=revoked, reason=reason)

    async def _revoked(self, integration: Integration) -> tuple[bool, str]:
        try:
            async with self._connected(integration, RunBudget(), purpose="revocation") as provider:
                if not isinstance(provider, SupportsRevocation):
                    return False, f"the provider {integration.provider!r} cannot revoke credentials"
                revoked = await provider.revoke()
        except CRMError as error:
            return False, _NOTHING_OURS if self._is_disconnected(integration) else error.message
        return revoked, "" if revoked else _NOTHING_OURS

    def _is_disconnected(self, integration: Integration) -> bool:
        """Whether there are no credentials any more, so that the provider cannot even be opened."""
        try:
            return not unseal(self._vault, integration).credentials
        except CRMError:
            return False

    def _without_credentials(self, integration: Integration) -> Integration:
        digest_key = unseal(self._vault, integration).digest_key
        sealed = seal(self._vault, integration.id, Secrets({}, {}, digest_key), integration.credentials)
        return integration.model_copy(update={"credentials": sealed, "updated_at": self._clock.now()})

    @asynccontextmanager
    async def provider(self, integration_id: str, *, max_calls: int | None = None) -> AsyncIterator[CRMProvider]:
        """Open the provider of an integration, for its contact-level verbs.

        :raises NotFoundError: there is no such integration. :raises ConfigurationError: its settings are unusable.
        """
        integration = await self.repository.get_integration(integration_id)
        async with (
            self._budget(integration, max_calls) as budget,
            self._connected(integration, budget, purpose="verbs") as provider,
        ):
            yield provider

    async def test_connection(self, integration_id: str) -> ConnectionReport:
        """Sign in and look at what a sync needs.

        :raises AuthenticationError: the credential is refused. :raises UnavailableError: the CRM does not answer.
        """
        async with self.provider(integration_id) as provider:
            return await provider.test_connection()

    async def fields(self, integration_id: str, object_name: str) -> ObjectSchema:
        """The fields of one of the CRM's objects, as the integration's credential sees them."""
        return (await self.describe(integration_id, object_name)).schema

    async def describe(
        self, integration_id: str, object_name: str, *, mapping: ObjectMapping | None = None
    ) -> ObjectDescription:
        """As `fields`, with what a plan and a sync of the object would warn of in the settings. It takes no more calls.

        That depends on which fields the object's mapping writes to the CRM, or another ``mapping``; without any there
        is nothing to say.
        """
        integration = await self.repository.get_integration(integration_id)
        async with self.provider(integration_id) as provider:
            schema = await (await provider.records(object_name)).describe()
            written = _written(mapping or integration.field_mappings.get(object_name))
            return ObjectDescription(schema, tuple(await advice_of(provider, object_name, written)))

    async def call_usage(self, integration_id: str) -> CallUsage:
        """The API calls of the present day of UTC: what the integration's processes took, what the CRM said last.

        :raises NotFoundError: there is no such integration.
        """
        await self.repository.get_integration(integration_id)
        return await self.repository.get_call_usage(integration_id, self._clock.now().astimezone(UTC).date())


def _written(mapping: ObjectMapping | None) -> set[str]:
    """The fields of the CRM that a mapping means to write."""
    return {
        field.crm_field
        for field in (mapping.fields if mapping else ())
        if field.sync_direction is not SyncDirection.FROM_CRM and field.to_crm is not Enforcement.OFF
    }
