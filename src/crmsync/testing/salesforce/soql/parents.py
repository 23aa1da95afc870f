"""What a relationship leads to: the records of one object, or those of several behind the object ``Name``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from attrs import frozen

from crmsync.testing.salesforce.rendering import attributes
from crmsync.testing.salesforce.schema import FieldDef, ObjectDef

if TYPE_CHECKING:
    from crmsync.testing.salesforce.store import Row, Table

Find: TypeAlias = Callable[["str | None"], "Row | None"]

#: "Object Reference", page "Name": what a reference to records of several objects shows of them.
NAME: Final = ObjectDef(
    name="Name",
    label="Name",
    label_plural="Names",
    key_prefix="",
    fields={
        entry.name: entry
        for entry in (
            FieldDef(name="Id", type="id", length=18, nillable=False),
            FieldDef(name="Type", type="picklist", length=40),
            FieldDef(name="Name", length=255),
            FieldDef(name="FirstName", length=40),
            FieldDef(name="LastName", length=80),
            FieldDef(name="Title", length=128),
            FieldDef(name="Email", type="email", length=80),
            FieldDef(name="Phone", type="phone", length=40),
            FieldDef(name="Username", length=80),
            FieldDef(name="Alias", length=8),
            FieldDef(name="IsActive", type="boolean", nillable=False, default=False),
        )
    },
    createable=False,
    deletable=False,
)


@frozen
class Parent:
    """The far end of a relationship: the fields it shows, how to find a row by its id, and a row's URL."""

    definition: ObjectDef
    find: Find
    url: Callable[[Row, str], str]


def parent_of(link: FieldDef, tables: Mapping[str, Table]) -> Parent | None:
    """Return what a reference field leads to among the objects offered."""
    targets = [tables[name] for name in link.references if name in tables]
    if not targets:
        return None
    if link.is_polymorphic:
        return Parent(NAME, _find_any(targets), lambda row, version: _url_any(targets, row, version))
    table = targets[0]
    rows = table.rows
    return Parent(
        table.definition,
        lambda key: None if key is None else rows.get(key),
        lambda row, version: attributes(table.definition, row["Id"], version)["url"],
    )


def _find_any(targets: list[Table]) -> Find:
    def find(key: str | None) -> Row | None:
        for table in targets:
            row = None if key is None else table.rows.get(key)
            if row is not None:
                return {**row, "Type": table.name}
        return None

    return find


def _url_any(targets: list[Table], row: Row, version: str) -> str:
    table = next(target for target in targets if target.name == row["Type"])
    return attributes(table.definition, row["Id"], version)["url"]
