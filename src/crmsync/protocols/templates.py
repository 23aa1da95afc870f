"""The contract of mapping templates; `SyncRepository` includes it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from crmsync.models.integrations import MappingTemplate


@runtime_checkable
class TemplateRepository(Protocol):
    """Named mappings that belong to no integration, told by provider and name."""

    async def save_template(self, template: MappingTemplate) -> None:
        """Insert or replace by (provider, name)."""
        ...

    async def get_template(self, provider: str, name: str) -> MappingTemplate:
        """:raises NotFoundError: there is none."""
        ...

    async def list_templates(self, provider: str | None = None) -> list[MappingTemplate]:
        """Templates by provider and name."""
        ...

    async def delete_template(self, provider: str, name: str) -> None:
        """:raises NotFoundError: there is none."""
        ...
