"""Mapping templates: the providers' own, and those that users save, hand on and apply."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Final

from crmsync.errors import ConfigurationError, MissingExtraError, NotFoundError
from crmsync.mapping.documents import DocumentForm, read_document, write_document
from crmsync.models.integrations import Integration, MappingTemplate
from crmsync.models.mappings import ObjectMapping
from crmsync.models.templates import document_of
from crmsync.protocols.records import RecordStore
from crmsync.registry import PROVIDERS
from crmsync.service.mappings import MappingVerbs

_IDS: Final = uuid.UUID("4f3f2c86-6b1b-4c58-9a86-6b0f6f1a5d27")
"""The namespace of templates' ids."""


class TemplateVerbs(MappingVerbs):
    """The part of `CRMSync` that keeps mapping templates.

    A provider's own mappings are templates, too, one for each object and named like it (``is_default``). They are
    stored when they are first asked for, and follow the provider's version.
    """

    async def templates(self, provider: str | None = None) -> list[MappingTemplate]:
        """The templates of a provider, or of all that are installed, by provider and name.

        :raises UnknownProviderError: no such provider is installed.
        """
        for name in self._registry.names(PROVIDERS) if provider is None else (provider,):
            try:
                offered = self._registry.provider(name).default_mappings()
            except MissingExtraError:
                if provider is not None:
                    raise
                continue
            await self._store_defaults(name, offered)
        return await self.repository.list_templates(provider)

    async def template(self, provider: str, name: str) -> MappingTemplate:
        """:raises NotFoundError: there is none. :raises UnknownProviderError: no such provider is installed."""
        found = next((one for one in await self.templates(provider) if one.name == name), None)
        if found is None:
            known = ", ".join(one.name for one in await self.repository.list_templates(provider)) or "none"
            msg = f"there is no template {name!r} for {provider} (there are: {known})"
            raise NotFoundError(msg)
        return found

    async def save_template(
        self, provider: str, name: str, mappings: Mapping[str, ObjectMapping], *, description: str = ""
    ) -> MappingTemplate:
        """Keep mappings, by the CRM's object, under a name; a template of yours with this name is replaced.

        :raises ConfigurationError: the name is that of a provider's own template, or there is no mapping.
        """
        if not mappings:
            raise ConfigurationError("a template has at least one mapping")
        if any(one.name == name and one.is_default for one in await self.templates(provider)):
            msg = f"{name!r} is a template of the provider {provider} itself: choose another name"
            raise ConfigurationError(msg)
        made = self._template(provider, name, mappings, description)
        await self.repository.save_template(made)
        return made

    async def delete_template(self, provider: str, name: str) -> None:
        """Forget a template; integrations that were made of it keep their mappings.

        :raises NotFoundError: there is none. :raises ConfigurationError: it is the provider's own.
        """
        if (await self.template(provider, name)).is_default:
            msg = f"{name!r} is a template of the provider {provider} itself: it cannot be deleted"
            raise ConfigurationError(msg)
        await self.repository.delete_template(provider, name)

    async def apply_template(
        self,
        integration_id: str,
        name: str,
        *,
        objects: Collection[str] = (),
        locals_: Mapping[str, RecordStore] | None = None,
    ) -> Integration:
        """Give an integration the mappings of a template of its provider: of all its objects, or of these.

        ``locals_`` are local sides by object; with them each mapping is checked before any is stored (`check_mapping`).

        :raises NotFoundError: there is no such integration or template, or it has no such object.
        :raises MappingError: with every fault of a mapping.
        """
        integration = await self.repository.get_integration(integration_id)
        template = await self.template(integration.provider, name)
        if absent := sorted(set(objects) - set(template.mappings)):
            msg = f"the template {name!r} has no {', '.join(absent)} (it has: {', '.join(sorted(template.mappings))})"
            raise NotFoundError(msg)
        chosen = {each: one for each, one in template.mappings.items() if not objects or each in objects}
        for each, local in (locals_ or {}).items():
            if each in chosen:
                await self.accept_mapping(integration_id, each, chosen[each], local)
        for each, mapping in chosen.items():
            integration = await self.change_mapping(integration_id, each, mapping)
        return integration

    async def export_template(self, provider: str, name: str, form: DocumentForm = DocumentForm.TOML) -> str:
        """A template as a document (`crmsync.models.templates.MappingDocument`) in TOML or JSON.

        :raises NotFoundError: there is none.
        """
        return write_document(document_of(await self.template(provider, name)), form)

    async def import_template(
        self, text: str, form: DocumentForm | None = None, *, name: str | None = None
    ) -> MappingTemplate:
        """Save what a document says, perhaps under another name. ``form`` None: it is told from the text.

        :raises MappingError: it is no such document; ``problems`` has every fault.
        :raises ConfigurationError: the name is that of a provider's own template.
        :raises UnknownProviderError: its provider is not installed.
        """
        document = read_document(text, form)
        return await self.save_template(
            document.provider, name or document.name, document.objects, description=document.description
        )

    async def _store_defaults(self, provider: str, offered: Mapping[str, ObjectMapping]) -> None:
        known = {one.name: one for one in await self.repository.list_templates(provider)}
        for name, mapping in offered.items():
            held = known.get(name)
            if held is None or (held.is_default and held.mappings != {name: mapping}):
                made = self._template(provider, name, {name: mapping}, f"The provider's own mapping of {name}")
                await self.repository.save_template(made.model_copy(update={"is_default": True}))

    def _template(
        self, provider: str, name: str, mappings: Mapping[str, ObjectMapping], description: str
    ) -> MappingTemplate:
        return MappingTemplate(
            id=str(uuid.uuid5(_IDS, f"{provider}\0{name}")),
            provider=provider,
            name=name,
            description=description,
            mappings=dict(mappings),
            created_at=self._clock.now(),
        )
