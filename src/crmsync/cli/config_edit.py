"""Changes to a configuration file that leave its comments and its order as they are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, cast

import tomlkit

from crmsync.cli.exits import UsageProblemError
from crmsync.models.mappings import FieldMapping, ObjectMapping


def rewrite_integration(
    path: Path, integration_id: str, *, settings: Mapping[str, Any], credentials: Mapping[str, str]
) -> bool:
    """Set these settings of an integration and make these its only credential references; False if nothing changed.

    :raises UsageProblemError: the file cannot be written.
    """
    before = path.read_text(encoding="utf-8")
    document = tomlkit.parse(before)
    for section in cast("list[MutableMapping[str, Any]]", document["integrations"]):
        if section["id"] == integration_id:
            _merge(_table(section, "settings"), settings)
            held = _table(section, "credentials")
            for name in [name for name in held if name not in credentials]:
                del held[name]
            _merge(held, credentials)
    after = tomlkit.dumps(document)
    if after == before:
        return False
    _replace(path, after)
    return True


def rewrite_objects(
    path: Path, integration_id: str, mappings: Mapping[str, ObjectMapping], *, replace: bool = False
) -> tuple[str, ...]:
    """Write object mappings of an integration; those that the file has stay unless ``replace``. Returns those written.

    :raises UsageProblemError: the file cannot be written.
    """
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    written: list[str] = []
    for section in cast("list[MutableMapping[str, Any]]", document["integrations"]):
        if section["id"] != integration_id:
            continue
        objects = _table(section, "objects")
        for name, mapping in mappings.items():
            if name not in objects or replace:
                objects[name] = _object(mapping)
                written.append(name)
    if written:
        _replace(path, tomlkit.dumps(document))
    return tuple(written)


def _object(mapping: ObjectMapping) -> tomlkit.items.Table:
    """An object mapping as the file has it, without what has its default."""
    given = mapping.model_dump(mode="json", exclude_defaults=True, exclude={"fields"})
    table = tomlkit.item({name: value for name, value in given.items() if not isinstance(value, Mapping)})
    for name, value in given.items():
        if isinstance(value, Mapping):
            table[name] = value
    table["fields"] = _fields(mapping)
    return cast("tomlkit.items.Table", table)


def _fields(mapping: ObjectMapping) -> tomlkit.items.Item:
    names = {field.markmail_field for field in mapping.fields}
    if len(names) < len(mapping.fields):  # one local field stands in several field mappings
        listed = [field.model_dump(mode="json", exclude_defaults=True) for field in mapping.fields]
        return cast("tomlkit.items.Item", tomlkit.item(listed))
    fields = tomlkit.table()
    for field in mapping.fields:
        fields[field.markmail_field] = _field(field)
    return fields


def _field(field: FieldMapping) -> str | tomlkit.items.InlineTable:
    given = field.model_dump(mode="json", exclude_defaults=True, exclude={"markmail_field", "crm_field"})
    if not given:
        return field.crm_field
    table = tomlkit.inline_table()
    table.update({"crm_field": field.crm_field, **given})
    return table


def _table(section: MutableMapping[str, Any], name: str) -> MutableMapping[str, Any]:
    if name not in section:
        section[name] = tomlkit.table()
    return cast("MutableMapping[str, Any]", section[name])


def _merge(table: MutableMapping[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping):
            _merge(_table(table, name), value)
        elif table.get(name) != value:
            table[name] = value


def _replace(path: Path, text: str) -> None:
    """Write the whole file or nothing, with the access rights that it has."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(path.stat().st_mode & 0o777)
        Path(name).replace(path)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise UsageProblemError(msg) from None
