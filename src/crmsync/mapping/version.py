"""The version of a compiled mapping: a digest of everything that a conversion or a decision depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from crmsync.mapping.options import binding
from crmsync.models.mappings import FieldMapping, ObjectMapping
from crmsync.models.schema import FieldSchema

_CODECS: Final = 2
"""Raised by whoever changes what a conversion or a normal form yields, so that older shadows are looked at again."""

_LANGUAGE: Final = 1
"""Likewise, for what an expression yields."""

_ASIDE: Final = {
    "delete_guard_count",
    "delete_guard_share",
    "overwrite_guard_count",
    "overwrite_guard_share",
    "history_days",
    "keep_values_days",
    "logs_days",
    "oscillation_turns",
}
"""They say how much may be done and what is noted, not what is done: a changed one does not make a run start over."""

_SCHEMA_PARTS: Final = (
    "name",
    "type",
    "length",
    "precision",
    "scale",
    "nillable",
    "readable",
    "createable",
    "updateable",
    "restricted",
    "separator",
    "unit",
)


def mapping_version(
    mapping: ObjectMapping,
    fields: Iterable[tuple[FieldMapping, FieldSchema, FieldSchema]],
    functions: Mapping[str, Callable[..., object]],
    inputs: Iterable[FieldSchema] = (),
) -> str:
    """32 hexadecimal digits. The order of field mappings and of options does not matter.

    ``fields`` are the field mappings, each with its local and remote schema. The user's functions count by their names:
    one that changes its mind keeps the version. ``inputs`` are the fields that computed ones are made of.
    """
    parts = mapping.model_dump(mode="python", exclude=_ASIDE)
    if parts.pop("computed"):
        # In their order: that is the one in which writes of them are carried out.
        parts["computed"] = [each.model_dump(mode="json") for each in mapping.computed]
        parts["inputs"] = sorted(_canonical(_schema(each)) for each in inputs)
        parts["language"] = _LANGUAGE
    if not parts["validation"]:
        del parts["validation"]
    # A default may be anything at all; its type and text stand for it.
    parts["fields"] = sorted(_canonical({**field, "default": _tagged(field["default"])}) for field in parts["fields"])
    parts["schemas"] = sorted(
        _canonical([_schema(local, mapped), _schema(remote, mapped)]) for mapped, local, remote in fields
    )
    parts["custom"] = {name: getattr(function, "__qualname__", "") for name, function in functions.items()}
    parts["codecs"] = _CODECS
    return hashlib.sha256(_canonical(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _schema(field: FieldSchema, mapping: FieldMapping | None = None) -> dict[str, Any]:
    parts = {name: getattr(field, name) for name in _SCHEMA_PARTS}
    # Options only bind where the field is restricted; an administrator who adds one elsewhere changes nothing for us.
    bound = field.restricted or (mapping is not None and binding(field, mapping))
    held = {name: _schema(part) for name, part in sorted(field.parts.items())}
    return {**parts, "options": sorted(field.options) if bound else [], "parts": held}


def _canonical(parts: object) -> str:
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_tagged)


def _tagged(value: object) -> list[str]:
    return [type(value).__name__, str(value)]
