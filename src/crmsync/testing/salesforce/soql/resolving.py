"""Which field a path means, and how to read it from a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.rendering import getter
from crmsync.testing.salesforce.soql.parents import Parent, parent_of
from crmsync.testing.salesforce.soql.parsing import error_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crmsync.testing.salesforce.schema import FieldDef, ObjectDef
    from crmsync.testing.salesforce.soql import syntax
    from crmsync.testing.salesforce.store import Row, Table

_ADVICE_FIELD = (
    "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please"
    " reference your WSDL or the describe call for the appropriate names."
)
_ADVICE_RELATIONSHIP = (
    "If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship"
    " name. Please reference your WSDL or the describe call for the appropriate names."
)
_ADVICE_OBJECT = (
    "If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference"
    " your WSDL or the describe call for the appropriate names."
)


@frozen
class Resolver:
    """Resolves the paths of one query. ``tables`` are the org's, for parent relationships."""

    query: syntax.Query
    table: Table
    tables: Mapping[str, Table]

    def error_at(self, path: syntax.Path, message: str) -> str:
        """Return the message with the caret under the path."""
        return error_at(self.query.text, path.position, message)

    def names(self, path: syntax.Path) -> tuple[str, ...]:
        """Return a path's parts without the query's alias or object name in front."""
        first = path.parts[0].lower()
        own = {self.query.object_name.lower(), (self.query.alias or "").lower()}
        if len(path.parts) > 1 and first in own and first not in self.table.definition.by_relationship:
            return path.parts[1:]
        return path.parts

    def resolve(self, path: syntax.Path) -> tuple[FieldDef, Callable[[Row], Any]]:
        """Return the field that a path ends in and the function that reads it from a row of the query's object.

        :raises CallError: INVALID_FIELD.
        """
        names = self.names(path)
        if len(names) == 1:
            field = self.field(self.table.definition, names[0], path)
            return field, getter(self.table.definition, field)
        definition = self.table.definition
        follow: Callable[[Row], Row | None] = lambda row: row  # noqa: E731 - the start of the chain built below
        for name in names[:-1]:
            link, parent = self.parent(definition, name, path)
            follow, definition = _chain(follow, link.name, parent), parent.definition
        field = self.field(definition, names[-1], path)
        read = getter(definition, field)
        return field, lambda row: None if (found := follow(row)) is None else read(found)

    def field(self, definition: ObjectDef, name: str, path: syntax.Path) -> FieldDef:
        """Return the object's field of this name.

        :raises CallError: INVALID_FIELD.
        """
        field = definition.find(name)
        if field is None:
            message = f"No such column '{name}' on entity '{definition.name}'. {_ADVICE_FIELD}"
            raise CallError(400, "INVALID_FIELD", self.error_at(path, message))
        return field

    def parent(self, definition: ObjectDef, name: str, path: syntax.Path) -> tuple[FieldDef, Parent]:
        """Return the reference field behind a parent relationship, and what it leads to.

        :raises CallError: INVALID_FIELD: there is no such relationship among the objects offered.
        """
        field = definition.by_relationship.get(name.lower())
        parent = None if field is None else parent_of(field, self.tables)
        if field is None or parent is None:
            message = f"Didn't understand relationship '{name}' in field path. {_ADVICE_RELATIONSHIP}"
            raise CallError(400, "INVALID_FIELD", self.error_at(path, message))
        return field, parent


def _chain(follow: Callable[[Row], Row | None], key: str, parent: Parent) -> Callable[[Row], Row | None]:
    find = parent.find
    return lambda row: None if (found := follow(row)) is None else find(found.get(key))


def unsupported_object(query: syntax.Query) -> CallError:
    """The refusal of a query on an object that the org has not."""
    message = f"sObject type '{query.object_name}' is not supported. {_ADVICE_OBJECT}"
    return CallError(400, "INVALID_TYPE", error_at(query.text, query.object_position, message))
