"""Mapping templates in memory."""

from __future__ import annotations

from crmsync.errors import NotFoundError
from crmsync.models.integrations import MappingTemplate
from crmsync.storage import admission


class MemoryTemplates:
    """The part of `MemoryRepository` that is a `TemplateRepository`."""

    def __init__(self) -> None:
        super().__init__()
        self._templates: dict[tuple[str, str], MappingTemplate] = {}

    async def save_template(self, template: MappingTemplate) -> None:
        """See `TemplateRepository`."""
        settled = admission.settled_template(template)
        kept = {key: known for key, known in self._templates.items() if known.id != template.id}
        self._templates = {**kept, (template.provider, template.name): settled}

    async def get_template(self, provider: str, name: str) -> MappingTemplate:
        """See `TemplateRepository`."""
        return self._template(provider, name).model_copy(deep=True)

    async def list_templates(self, provider: str | None = None) -> list[MappingTemplate]:
        """See `TemplateRepository`."""
        found = sorted(key for key in self._templates if provider in (None, key[0]))
        return [self._templates[key].model_copy(deep=True) for key in found]

    async def delete_template(self, provider: str, name: str) -> None:
        """See `TemplateRepository`."""
        self._template(provider, name)
        del self._templates[provider, name]

    def _template(self, provider: str, name: str) -> MappingTemplate:
        try:
            return self._templates[provider, name]
        except KeyError:
            raise NotFoundError(admission.no_template(provider, name)) from None
