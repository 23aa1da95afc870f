"""Plug-ins by entry point: lazy, one door for all, no silent choice."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from crmsync.errors import AmbiguousProviderError, ConfigurationError, UnknownProviderError
from crmsync.models.mappings import ObjectMapping
from crmsync.protocols.provider import CRMProvider, ProviderContext
from crmsync.registry import PROVIDERS, RECORDS, STORAGE, Registry


class AcmeFactory:
    """A third party's factory, as small as the Protocol allows."""

    @property
    def name(self) -> str:
        return "acme"

    def default_mappings(self) -> Mapping[str, ObjectMapping]:
        return {}

    def open(
        self, settings: Mapping[str, Any], credentials: Mapping[str, SecretStr], context: ProviderContext
    ) -> AbstractAsyncContextManager[CRMProvider]:
        raise ConfigurationError("this one opens nothing")


ACME = AcmeFactory()


def entry(name: str, value: str, group: str = PROVIDERS) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=group)


def test_listing_names_is_sorted_and_imports_nothing() -> None:
    registry = Registry([entry("zeta", "no_such_module:thing"), entry("acme", "also_missing:thing")])
    assert registry.names(PROVIDERS) == ["acme", "zeta"]
    assert registry.names(STORAGE) == []
    assert "no_such_module" not in sys.modules


@pytest.mark.parametrize("value", [f"{__name__}:AcmeFactory", f"{__name__}:ACME"], ids=["class", "object"])
def test_a_provider_is_a_factory_or_a_class_of_factories(value: str, request: pytest.FixtureRequest) -> None:
    sys.modules.setdefault(__name__, request.module)
    assert Registry([entry("acme", value)]).provider("acme").name == "acme"


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UnknownProviderError, match=r"'acme' in crmsync.providers \(installed: zeta\)"):
        Registry([entry("zeta", "no_such_module:thing")]).provider("acme")


def test_two_offers_of_one_name_are_an_error_that_names_both() -> None:
    registry = Registry([entry("acme", "first_module:thing"), entry("acme", "second_module:thing")])
    with pytest.raises(AmbiguousProviderError, match="first_module:thing, second_module:thing"):
        registry.provider("acme")


def test_one_distribution_seen_twice_is_no_ambiguity() -> None:
    twice = [entry("join", "posixpath:join", RECORDS)] * 2
    assert Registry(twice).load(RECORDS, "join")("a", "b") == "a/b"


def test_what_is_no_factory_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigurationError, match="'join' of unknown is not a ProviderFactory"):
        Registry([entry("join", "posixpath:join")]).provider("join")


def test_a_fault_inside_a_plug_in_is_not_hidden() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        Registry([entry("acme", "no_such_module:thing")]).load(PROVIDERS, "acme")


def test_ours_come_through_the_same_door_as_a_third_party_s() -> None:
    registry = Registry()
    assert {"memory", "salesforce"} <= set(registry.names(PROVIDERS))
    assert {"memory", "postgresql", "sqlite"} <= set(registry.names(STORAGE))
    assert {"csv", "sql"} <= set(registry.names(RECORDS))
    assert registry.origin(PROVIDERS, "salesforce").startswith("crmsync ")


def test_what_is_installed_is_read_once_by_each_registry(tmp_path: Path) -> None:
    registry = Registry()
    known = registry.names(PROVIDERS)
    metadata = tmp_path / "acme-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[{PROVIDERS}]\nacme = acme:factory\n", encoding="utf-8")
    sys.path.append(str(tmp_path))
    try:
        assert registry.names(PROVIDERS) == known
        assert Registry().names(PROVIDERS) == sorted([*known, "acme"])
    finally:
        sys.path.remove(str(tmp_path))
