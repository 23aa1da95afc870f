"""The configuration file: one TOML, checked as a whole.

    storage = "sqlite:///crmsync.db"            where the bookkeeping lives
    [vault]                 key, environment    what encrypts stored credentials: "env:NAME", "file:PATH", ...
    [local]                 type, ...           the local side: an entry point of crmsync.records and its options
    [locals.campaigns]      type, ...           the side of another local object than people
    [run]                   page_size, ...      defaults of `RunOptions`
    [[integrations]]        id, provider        one CRM
    [integrations.settings]                     what the provider needs besides credentials
    [integrations.credentials]                  references only: "env:NAME" or "vault"
    [integrations.objects.Contact]              an `ObjectMapping`
    [integrations.objects.Contact.fields]       local_field = "CrmField", or [[...fields]] with a `FieldMapping` each

Relative paths are relative to the file. Every fault is reported at once, with its TOML path and never with its value.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from crmsync.cli import faults
from crmsync.cli.exits import UsageProblemError
from crmsync.cli.object_mappings import ObjectSection, parse_objects
from crmsync.cli.references import CREDENTIAL, KEY, SECRET_NAME
from crmsync.models.mappings import SUBSCRIBERS
from crmsync.models.problems import Problem
from crmsync.models.runs import RunOptions

DEFAULT_NAME: Final = "crmsync.toml"
_FILE_URL: Final = re.compile(r"(?P<scheme>sqlite(?:\+\w+)?)://(?:/(?P<path>.*))?", re.DOTALL)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class VaultSection(_Section):
    """``[vault]``: where the keys are that encrypt stored credentials, and of which environment they are."""

    key: tuple[str, ...] = Field(default=("file:crmsync.key",), min_length=1)
    environment: str = Field(default="", max_length=64)

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_several(cls, key: object) -> object:
        return (key,) if isinstance(key, str) else key

    @field_validator("key")
    @classmethod
    def _refers(cls, key: tuple[str, ...]) -> tuple[str, ...]:
        if not all(KEY.fullmatch(one) for one in key):
            msg = 'must refer to the key, as "env:NAME" or "file:PATH"; a key is never written out here'
            raise ValueError(msg)
        return key


class LocalSection(_Section):
    """``[local]`` or ``[locals.NAME]``: the record store of a local side. All but ``type`` is handed to it."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    type: str = Field(min_length=1)

    @property
    def options(self) -> dict[str, Any]:
        """What the record store is opened with."""
        return dict(self.model_extra or {})


class IntegrationSection(_Section):
    """``[[integrations]]``: one CRM. ``objects`` stays as written; `Config.objects` holds it parsed."""

    id: str = Field(min_length=1, max_length=64)
    provider: str = Field(min_length=1, max_length=64)
    user_id: str = Field(default="", max_length=64)
    max_calls_per_day: int | None = Field(default=None, ge=1)
    max_org_percent: float | None = Field(default=None, gt=0, le=100)
    settings: dict[str, Any] = Field(default_factory=dict)
    credentials: dict[str, str] = Field(default_factory=dict)
    objects: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("settings")
    @classmethod
    def _holds_no_secret(cls, settings: dict[str, Any]) -> dict[str, Any]:
        secret = sorted(name for name in settings if SECRET_NAME.search(name))
        if secret:
            msg = f"holds what looks like a credential ({', '.join(secret)}); move it to credentials, as a reference"
            raise ValueError(msg)
        return settings

    @field_validator("credentials")
    @classmethod
    def _refer(cls, credentials: dict[str, str]) -> dict[str, str]:
        literal = sorted(name for name, reference in credentials.items() if not CREDENTIAL.fullmatch(reference))
        if literal:
            msg = (
                f'{", ".join(literal)} must be a reference: "env:NAME", or "vault" for one stored by'
                " `crmsync connect`; a secret is never written out here"
            )
            raise ValueError(msg)
        return credentials


class ConfigFile(_Section):
    """The file as it is written."""

    storage: str = Field(default="sqlite:///crmsync.db", pattern=r"^[a-z][a-z0-9+.-]*://")
    vault: VaultSection = VaultSection()
    local: LocalSection | None = None
    locals: dict[str, LocalSection] = Field(default_factory=dict)
    run: RunOptions = RunOptions()
    integrations: tuple[IntegrationSection, ...] = ()

    @model_validator(mode="after")
    def _ids_differ(self) -> ConfigFile:
        ids = [one.id for one in self.integrations]
        if len(set(ids)) != len(ids):
            msg = "two integrations have the same id"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_side_of_people(self) -> ConfigFile:
        if self.local is not None and SUBSCRIBERS in self.locals:
            msg = f"local and locals.{SUBSCRIBERS} are the same side; keep one of them"
            raise ValueError(msg)
        return self


class Config:
    """A configuration file, read. ``path`` is absolute; all else that names a file is made so.

    ``objects`` is by integration id and object name. Faults within object mappings do not hinder reading: they are in
    ``mapping_problems``, so that a command can add what only the CRM can tell before it reports them all together.
    """

    def __init__(self, path: Path, content: ConfigFile, objects: Mapping[str, Mapping[str, ObjectSection]]) -> None:
        self.path = path
        self.content = content
        self.objects = objects

    @property
    def directory(self) -> Path:
        """Where relative paths begin."""
        return self.path.parent

    @property
    def storage(self) -> str:
        """The URL of the bookkeeping, with an absolute path."""
        return absolute_url(self.content.storage, self.directory)

    @property
    def vault_keys(self) -> tuple[str, ...]:
        """The references to the vault's keys, with absolute paths."""
        prefix = "file:"
        return tuple(
            f"{prefix}{self.directory / one.removeprefix(prefix)}" if one.startswith(prefix) else one
            for one in self.content.vault.key
        )

    @property
    def locals(self) -> Mapping[str, LocalSection]:
        """The local sides, by local object: ``[local]`` is the one of people."""
        people = {} if self.content.local is None else {SUBSCRIBERS: self.content.local}
        return {**people, **self.content.locals}

    def local_path(self, local_object: str) -> str:
        """The TOML path of a local side."""
        return f"locals.{local_object}" if local_object in self.content.locals else "local"

    def local_options(self, local_object: str) -> dict[str, Any]:
        """The options of a local side that there is, with absolute paths."""
        return {name: self._located(name, value) for name, value in self.locals[local_object].options.items()}

    @property
    def mapping_problems(self) -> tuple[Problem, ...]:
        """The faults within all object mappings."""
        sections = (section for by_name in self.objects.values() for section in by_name.values())
        return tuple(problem for section in sections for problem in section.problems)

    def integration(self, integration_id: str | None) -> IntegrationSection:
        """The integration of this id; without one, the only one.

        :raises UsageProblemError: there is none, or no id was given and there are several.
        """
        known = ", ".join(one.id for one in self.content.integrations)
        if not known:
            msg = f"{self.path.name} configures no integration: add an [[integrations]] table"
            raise UsageProblemError(msg)
        if integration_id is None and len(self.content.integrations) == 1:
            return self.content.integrations[0]
        if integration_id is None:
            msg = f"say which integration is meant with --integration (there are: {known})"
            raise UsageProblemError(msg)
        for one in self.content.integrations:
            if one.id == integration_id:
                return one
        msg = f"{self.path.name} has no integration {integration_id!r} (there are: {known})"
        raise UsageProblemError(msg)

    def _located(self, name: str, value: Any) -> Any:
        if name == "path" and isinstance(value, str):
            return str(self.directory / value)
        if name == "url" and isinstance(value, str):
            return absolute_url(value, self.directory)
        return value


def load_config(path: Path) -> Config:
    """Read a configuration file.

    :raises UsageProblemError: it is absent or unreadable, is no TOML, or has faults outside the object mappings; then
        ``problems`` holds all of them, those within object mappings included.
    """
    raw = _read(path)
    objects, mapping_problems = _objects(raw)
    try:
        content = ConfigFile.model_validate(raw)
    except ValidationError as error:
        problems = (*faults.problems_of(error, ConfigFile), *mapping_problems)
        raise configuration_fault(path, problems) from None
    by_id = {one.id: objects[place] for place, one in enumerate(content.integrations)}
    return Config(path.resolve(), content, by_id)


def configuration_fault(path: Path, problems: Sequence[Problem]) -> UsageProblemError:
    """The error that reports faults of a configuration file."""
    return UsageProblemError(f"{path.name} has {len(problems)} problem(s)", problems)


def absolute_url(url: str, directory: Path) -> str:
    """The URL with a relative SQLite path made absolute; any other URL as it is."""
    match = _FILE_URL.fullmatch(url)
    if match is None or not match["path"] or match["path"].startswith((":memory:", "/", "file:")):
        return url
    name, mark, query = match["path"].partition("?")
    return f"{match['scheme']}:///{directory / name}{mark}{query}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        msg = f"there is no {path}: make one with `crmsync init`, or name yours with --config"
        raise UsageProblemError(msg) from None
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise UsageProblemError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path} is not UTF-8 text, as TOML must be"
        raise UsageProblemError(msg) from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at [^)]*\)", str(error))
        msg = f"{path} is not valid TOML {place[0] if place else ''}".rstrip()
        raise UsageProblemError(msg) from None


def _objects(raw: Mapping[str, Any]) -> tuple[list[dict[str, ObjectSection]], list[Problem]]:
    integrations = raw.get("integrations")
    found: list[dict[str, ObjectSection]] = []
    for place, integration in enumerate(integrations if isinstance(integrations, list) else ()):
        objects = integration.get("objects") if isinstance(integration, dict) else None
        found.append(parse_objects(objects if isinstance(objects, dict) else {}, f"integrations[{place}].objects"))
    return found, [problem for by_name in found for section in by_name.values() for problem in section.problems]
