"""Which field a path means, and how to read it from a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from crmsync.testing.salesforce.errors import CallError
from crmsync.testing.salesforce.rendering import getter
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
        link, parent = self.parent(self.table, names[0], path)
        for name in names[1:-1]:
            step, grand = self.parent(parent, name, path)
            link, parent = _chain(link, parent, step), grand
        field = self.field(parent.definition, names[-1], path)
        read = getter(parent.definition, field)
        rows = parent.rows
        return field, lambda row: None if (found := rows.get(link(row))) is None else read(found)

    def field(self, definition: ObjectDef, name: str, path: syntax.Path) -> FieldDef:
        """Return the object's field of this name.

        :raises CallError: INVALID_FIELD.
        """
        field = definition.find(name)
        if field is None:
            message = f"No such column '{name}' on entity '{definition.name}'. {_ADVICE_FIELD}"
            raise CallError(400, "INVALID_FIELD", self.error_at(path, message))
        return field

    def parent(self, table: Table, name: str, path: syntax.Path) -> tuple[Callable[[Row], Any], Table]:
        """Return how to read the id of a parent from a row, and the parent's table.

        :raises CallError: INVALID_FIELD: there is no such relationship among the objects offered.
        """
        field = table.definition.by_relationship.get(name.lower())
        if field is None or not any(target in self.tables for target in field.references):
            message = f"Didn't understand relationship '{name}' in field path. {_ADVICE_RELATIONSHIP}"
            raise CallError(400, "INVALID_FIELD", self.error_at(path, message))
        key = field.name
        return (lambda row: row.get(key)), self.target(field)

    def target(self, link: FieldDef) -> Table:
        """Return the table that a reference field points into: of several, the first that the emulator has."""
        return next(self.tables[name] for name in link.references if name in self.tables)


def _chain(link: Callable[[Row], Any], parent: Table, step: Callable[[Row], Any]) -> Callable[[Row], Any]:
    rows = parent.rows
    return lambda row: None if (found := rows.get(link(row))) is None else step(found)


def unsupported_object(query: syntax.Query) -> CallError:
    """The refusal of a query on an object that the org has not."""
    message = f"sObject type '{query.object_name}' is not supported. {_ADVICE_OBJECT}"
    return CallError(400, "INVALID_TYPE", error_at(query.text, query.object_position, message))
