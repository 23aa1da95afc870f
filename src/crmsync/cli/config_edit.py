"""Changes to a configuration file that leave its comments and its order as they are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, cast

import tomlkit

from crmsync.cli.exits import UsageProblemError


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
