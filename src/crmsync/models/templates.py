"""A mapping template as a document, to be kept in a repository of files, handed on, and read by other programs."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from crmsync.models.integrations import MappingTemplate
from crmsync.models.mappings import ObjectMapping
from crmsync.models.schema import PublicModel

MAPPING_FORMAT: Final = "crmsync-mapping/1"
"""What a document says of its form. One that can no longer be read as this gets another number."""


class MappingDocument(PublicModel):
    """A template's content, the same in TOML and in JSON; its JSON Schema is `mapping_schema`.

    ``objects`` is by the CRM's object. A setting that is left out has its default.
    """

    format: Literal["crmsync-mapping/1"] = MAPPING_FORMAT
    provider: str = Field(min_length=1, max_length=64)
    name: str = Field(min_length=1, max_length=255)
    description: str = ""
    objects: dict[str, ObjectMapping] = Field(min_length=1)


def document_of(template: MappingTemplate) -> MappingDocument:
    """What a template says."""
    return MappingDocument(
        provider=template.provider,
        name=template.name,
        description=template.description,
        objects=template.mappings,
    )


def mapping_schema() -> dict[str, Any]:
    """The JSON Schema of a document."""
    schema = MappingDocument.model_json_schema()
    required = [*schema.pop("required"), "format"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "required": required}
