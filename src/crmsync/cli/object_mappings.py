"""The object mappings of the configuration file, read fault by fault so that all faults can be told at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import attrs
from pydantic import BaseModel, ValidationError

from crmsync.cli import faults
from crmsync.models.mappings import FieldMapping, ObjectMapping
from crmsync.models.problems import Problem

_Model = TypeVar("_Model", bound=BaseModel)
_FIELD_PLACE: Final = re.compile(r"fields\[(\d+)\]")


@attrs.frozen
class ObjectSection:
    """``[integrations.objects.NAME]``.

    ``mapping`` is what could be read in spite of ``problems``; None if nothing could.
    ``path`` is the section's TOML path, ``field_paths`` that of each of the mapping's fields, in their order.
    """

    path: str
    mapping: ObjectMapping | None
    field_paths: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def located(self, problem: Problem) -> Problem:
        """A problem of the mapping itself (``fields[3].crm_field``) with the path it has in the file."""
        problem = attrs.evolve(problem, message=_FIELD_PLACE.sub(self._named, problem.message))
        match = _FIELD_PLACE.match(problem.path)
        if match is None or int(match[1]) >= len(self.field_paths):
            return attrs.evolve(problem, path=f"{self.path}.{problem.path}")
        return attrs.evolve(problem, path=self.field_paths[int(match[1])] + problem.path[match.end() :])

    def _named(self, place: re.Match[str]) -> str:
        """Another field of the mapping, by its place in the file."""
        number = int(place[1])
        return self.field_paths[number].removeprefix(f"{self.path}.") if number < len(self.field_paths) else place[0]


def parse_objects(raw: Mapping[str, Any], path: str) -> dict[str, ObjectSection]:
    """Read the mappings of one integration by object name."""
    return {name: parse_object(content, f"{path}.{name}") for name, content in raw.items()}


def parse_object(raw: Any, path: str) -> ObjectSection:
    """Read one object mapping; a faulty key is noted and left out, a faulty field mapping likewise."""
    if not isinstance(raw, dict):
        return ObjectSection(path, None, problems=(Problem(path, "dict_type", "must be a table"),))
    problems: list[Problem] = []
    fields: list[FieldMapping] = []
    field_paths: list[str] = []
    for field_path, entry in _entries(raw.get("fields"), f"{path}.fields", problems):
        read = _salvage(FieldMapping, entry, field_path, problems)
        if isinstance(read, FieldMapping):
            fields.append(read)
            field_paths.append(field_path)
    rest = {name: value for name, value in raw.items() if name != "fields"}
    mapping = _salvage(ObjectMapping, {**rest, "fields": fields}, path, problems)
    return ObjectSection(path, mapping, tuple(field_paths), tuple(problems))


def _entries(raw: Any, path: str, problems: list[Problem]) -> Iterable[tuple[str, Any]]:
    """Each field mapping with its path: from an array of tables, or from the short form ``local = "Remote"``."""
    if isinstance(raw, list) and raw:
        return [(f"{path}[{place}]", entry) for place, entry in enumerate(raw)]
    if isinstance(raw, dict) and raw:
        return [(f"{path}.{name}", _long_form(name, entry)) for name, entry in raw.items()]
    problems.append(Problem(path, "missing", "no field is mapped", 'add lines such as email = "Email"'))
    return []


def _long_form(name: str, entry: Any) -> Any:
    if isinstance(entry, str):
        return {"markmail_field": name, "crm_field": entry}
    if isinstance(entry, dict):
        return {"markmail_field": name, **entry}
    return entry


def _salvage(kind: type[_Model], raw: Any, path: str, problems: list[Problem]) -> _Model | None:
    """Validate; note every fault, and validate again without the keys at fault."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        problems.extend(faults.problems_of(error, kind, path))
        at_fault = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
    if not isinstance(raw, dict):
        return None
    try:
        return kind.model_validate({name: value for name, value in raw.items() if name not in at_fault})
    except ValidationError:
        return None
