"""The local sides of a configuration: which object is synced with which, and each opened once."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import cast

import attrs

from crmsync.cli.config import Config, IntegrationSection, configuration_fault
from crmsync.cli.exits import UsageProblemError
from crmsync.models.mappings import SUBSCRIBERS, ObjectMapping
from crmsync.models.problems import Problem
from crmsync.protocols.provider import SupportsParents
from crmsync.protocols.records import RecordStore
from crmsync.registry import RECORDS, Registry


@attrs.frozen
class LocalSides:
    """Opens sides as they are asked for; they are closed with the ``stack``."""

    config: Config
    registry: Registry
    stack: AsyncExitStack
    _opened: dict[str, RecordStore] = attrs.field(factory=dict)

    def objects(self, section: IntegrationSection) -> list[str]:
        """The objects to sync: those that the file maps, and those of the provider's that a side is there for.

        Where the file maps objects, a side named in ``[locals]`` brings the provider's object for it, and ``[local]``
        brings none. Of several objects that the provider has for a side, the first is meant: the others are chosen by
        mapping them. The file's order comes first, then the provider's, in which parents come before their children.
        """
        mapped = self.config.objects[section.id]
        held = {self.local_object(section, name) for name in mapped}
        own = set(self.config.content.locals) - held
        if not mapped:
            own = set(self.config.locals) or {SUBSCRIBERS}
        first: dict[str, str] = {}
        for name, mapping in self._defaults(section).items():
            if mapping.local_object in own:
                first.setdefault(mapping.local_object, name)
        return [*mapped, *first.values()]

    def local_object(self, section: IntegrationSection, object_name: str) -> str:
        """The local object that the file names for an object, or else the provider."""
        given = self.config.objects[section.id].get(object_name)
        if given is not None and given.mapping is not None and "local_object" in given.mapping.model_fields_set:
            return given.mapping.local_object
        default = self._defaults(section).get(object_name)
        return default.local_object if default else SUBSCRIBERS

    def parents(self, section: IntegrationSection, object_name: str) -> frozenset[str]:
        """The objects that an object builds on: those that its mapping refers to, and those that the provider names."""
        given = self.config.objects[section.id].get(object_name)
        mapping = (given and given.mapping) or self._defaults(section).get(object_name)
        referred = {field.references for field in mapping.fields if field.references} if mapping else set()
        factory = self.registry.provider(section.provider)
        own = factory.parents().get(object_name, ()) if isinstance(factory, SupportsParents) else ()
        return frozenset({*referred, *own} - {object_name})

    def check(self) -> None:
        """Make sure that each side is there for something.

        :raises UsageProblemError: no object is synced with one of them.
        """
        used = {
            self.local_object(section, name)
            for section in self.config.content.integrations
            for name in (*self.config.objects[section.id], *self._defaults(section))
        }
        problems = []
        for name in self.config.content.locals:
            if name not in used:
                close = difflib.get_close_matches(name, sorted(used), n=1)
                remedy = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(used))}"
                problems.append(Problem(f"locals.{name}", "unused", "no object is mapped to this local object", remedy))
        if problems:
            raise configuration_fault(self.config.path, problems)

    async def open(self, section: IntegrationSection, object_name: str) -> RecordStore:
        """The side that an object is synced with.

        :raises UsageProblemError: the file has none for it, or with an option that the record store does not know.
        """
        name = self._side(section, object_name)
        if name not in self._opened:
            options = self.config.local_options(name)
            open_records = self.registry.load(RECORDS, self.config.locals[name].type)
            problems = list(_option_problems(open_records, options, self.config.local_path(name)))
            if problems:
                raise configuration_fault(self.config.path, problems)
            side = cast("AbstractAsyncContextManager[RecordStore]", open_records(**options))
            self._opened[name] = await self.stack.enter_async_context(side)
        return self._opened[name]

    def _side(self, section: IntegrationSection, object_name: str) -> str:
        name, file = self.local_object(section, object_name), self.config.path.name
        if name in self.config.locals:
            return name
        if not self.config.content.locals:
            if self.config.content.local is None:
                raise UsageProblemError(f"{file} has no [local] section: say where the local records are")
            # A file's only side is that of all it maps.
            return SUBSCRIBERS
        table = "[local]" if name == SUBSCRIBERS else f"[locals.{name}]"
        there = ", ".join(self.config.locals)
        raise UsageProblemError(
            f"{file} has no local side for {section.id} {object_name}: add {table}, or name another local_object in its"
            f" mapping (there are: {there})"
        )

    def _defaults(self, section: IntegrationSection) -> Mapping[str, ObjectMapping]:
        return self.registry.provider(section.provider).default_mappings()


def _option_problems(
    open_records: Callable[..., object], options: Mapping[str, object], path: str
) -> Iterator[Problem]:
    """The options that a record store does not know, and those that it needs and did not get."""
    known = {
        name: one
        for name, one in inspect.signature(open_records).parameters.items()
        if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)
    }
    takes_any = any(one.kind is one.VAR_KEYWORD for one in inspect.signature(open_records).parameters.values())
    for name in options:
        if name not in known and not takes_any:
            remedy = f"there are: {', '.join(known)}"
            yield Problem(f"{path}.{name}", "unknown_key", "is not an option of this type", remedy)
    for name, one in known.items():
        if one.default is one.empty and name not in options:
            yield Problem(f"{path}.{name}", "missing", "is missing")
