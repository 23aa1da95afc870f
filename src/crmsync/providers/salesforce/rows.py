"""Records out of rows of JSON and of CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

import attrs

from crmsync.errors import UnexpectedResponseError
from crmsync.models.records import MISSING, Record
from crmsync.models.schema import FieldType
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.accounts.names import COMPANY
from crmsync.providers.salesforce.compounds import assembled
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.schema import OPT_OUT, SObject
from crmsync.providers.salesforce.values import Reader, json_reader, parse_datetime, text_reader

MASTER: Final = "MasterRecordId"
"""Names, on the loser of a merge, the record that was kept."""
CONVERTED: Final = "IsConverted"
CONVERTED_INTO: Final = "ConvertedContactId"
IS_PERSON: Final = "IsPersonAccount"
"""True of a contact that is a person account's. Only orgs with person accounts have it."""


@attrs.frozen(slots=True)
class RowReader:
    """Reads rows of one object. ``user_id`` is ours, None if unknown; ``key_field`` holds the external key, if any.

    A person account's contact has no company: the name of its account is its own, and is left out.
    """

    sobject: SObject
    key_field: str | None
    user_id: str | None

    @property
    def living(self) -> soql.Soql | None:
        """What a record of a pass over everything meets, if there is such a thing; later passes tell what ceased to.

        Of converted leads those come along that opted out, since their contact may not say so (see `_gone`).
        """
        if not self.sobject.follows_conversion:
            return None
        unconverted = soql.compare(CONVERTED, "=", value=False)
        told = OPT_OUT in self.sobject.fields
        return soql.some(unconverted, soql.compare(OPT_OUT, "=", value=True)) if told else unconverted

    def columns(self, fields: Iterable[str], *, deleted: bool = False) -> tuple[str, ...]:
        """What to ask for, so that `record` can say everything about these fields. Unreadable ones are left out."""
        extra = ["Id", "SystemModstamp", "LastModifiedById"]
        if COMPANY in (fields := tuple(fields)):
            extra.append(IS_PERSON)
        if self.sobject.follows_conversion:
            extra += [CONVERTED, CONVERTED_INTO]
        if self.key_field:
            extra.append(self.key_field)
        if deleted:
            extra += ["IsDeleted", MASTER]
        if deleted or self.sobject.follows_conversion:
            extra.append(OPT_OUT)
        return self.sobject.readable((*extra, *fields))

    def records(self, rows: Iterable[Any], fields: Sequence[str]) -> list[Record]:
        """Rows as records with these fields.

        :raises UnexpectedResponseError: a row is not what was asked for.
        """
        known = self.sobject.fields
        columns = self.sobject.readable(fields)
        wanted = [(name, *_path(name), json_reader(known[name].type)) for name in columns]
        tells_deleted = "IsDeleted" not in fields
        assemble = self._assembler(fields)
        return [self._record(row, wanted, assemble, tells_deleted=tells_deleted) for row in rows]

    def _assembler(self, fields: Iterable[str]) -> _Assemble | None:
        """What makes compounds of the values of their parts, and takes masks out, if any of these fields needs it."""
        known = [self.sobject.fields[name] for name in fields if name in self.sobject.fields]
        compounds = [field for field in known if field.parts]
        if not compounds and all(field.type is not FieldType.ENCRYPTED for field in known):
            return None
        parts = {part.name for field in compounds for part in field.parts.values()} - set(fields)

        def assemble(values: dict[str, object]) -> dict[str, object]:
            made = {field.name: assembled(field, values) for field in compounds}
            held = {**values, **made}
            return {name: value for name, value in held.items() if value is not MISSING and name not in parts}

        return assemble

    def _record(
        self, row: Any, wanted: Sequence[_Column], assemble: _Assemble | None, *, tells_deleted: bool
    ) -> Record:
        try:
            record_id = full_id(row["Id"])
            if record_id is None:
                raise ValueError("Id")
            stamp = row.get("SystemModstamp")
            modified = parse_datetime(stamp) if stamp else None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnexpectedResponseError("a record of Salesforce's answer is not as documented") from error
        values = _values(row, wanted)
        values = assemble(values) if assemble else values
        if row.get(IS_PERSON) is True:
            values.pop(COMPANY, None)
        deleted = tells_deleted and row.get("IsDeleted") is True
        if deleted or (self.sobject.follows_conversion and row.get(CONVERTED) is True):
            return self._gone(record_id, values, row, modified)
        return self._living(record_id, values, row, modified)

    def csv_records(self, header: Sequence[str], rows: Iterable[Sequence[str]], fields: Sequence[str]) -> list[Record]:
        """Rows of a query job's CSV as records with these fields; the header has all their `columns`.

        Null is an empty cell there, and no field of Salesforce's holds an empty text.

        :raises UnexpectedResponseError: a row is not what was asked for.
        """
        places = {name: place for place, name in enumerate(header)}
        known = self.sobject.fields
        wanted = [(name, places[name], text_reader(known[name].type)) for name in self.sobject.readable(fields)]
        assemble = self._assembler(fields)
        names = ("LastModifiedById", self.key_field, CONVERTED_INTO)
        own = [(name, places[name]) for name in names if name is not None and name in places]
        converted = places.get(CONVERTED) if self.sobject.follows_conversion else None
        opted_out, person = places.get(OPT_OUT), places.get(IS_PERSON)
        id_place, stamp_place = places.get("Id", -1), places.get("SystemModstamp")
        records = []
        for row in rows:
            try:
                record_id = full_id(row[id_place])
                stamp = row[stamp_place] if stamp_place is not None else ""
                modified = parse_datetime(stamp) if stamp else None
                values = {name: (read(row[place]) if row[place] else None) for name, place, read in wanted}
            except (LookupError, ValueError, ArithmeticError) as error:
                raise UnexpectedResponseError("a record of Salesforce's CSV is not as documented") from error
            if record_id is None:
                raise UnexpectedResponseError("a record of Salesforce's CSV has no id")
            meta = {name: row[place] or None for name, place in own}
            values = assemble(values) if assemble else values
            if person is not None and row[person] == "true":
                values.pop(COMPANY, None)
            if converted is not None and row[converted] == "true":
                told = opted_out is not None and row[opted_out] == "true"
                records.append(self._gone(record_id, values, {**meta, OPT_OUT: told}, modified))
            else:
                records.append(self._living(record_id, values, meta, modified))
        return records

    def _living(
        self, record_id: str, values: dict[str, object], row: Mapping[str, Any], modified: datetime | None
    ) -> Record:
        editor = _editor(row)
        return Record(
            id=record_id,
            fields=values,
            key=self._key(row),
            modified_at=modified,
            modified_by=editor,
            modified_by_self=self._by_self(editor),
        )

    def _gone(
        self, record_id: str, values: dict[str, object], row: Mapping[str, Any], modified: datetime | None
    ) -> Record:
        """A tombstone. Of what was folded into another record it tells what that held last, and always an opt-out.

        Into an existing contact, a lead's conversion writes only what is blank ("convertLead()", SOAP API Developer
        Guide), and a flag never is: an opt-out may have stayed behind.
        """
        survivor, editor = row.get(MASTER) or row.get(CONVERTED_INTO), _editor(row)
        told = {**values, OPT_OUT: True} if row.get(OPT_OUT) is True else values
        return Record(
            id=record_id,
            fields=told if survivor else {},
            key=self._key(row),
            modified_at=modified,
            modified_by=editor,
            modified_by_self=self._by_self(editor),
            deleted=True,
            merged_into=full_id(survivor) if isinstance(survivor, str) else None,
        )

    def _key(self, row: Mapping[str, Any]) -> str | None:
        key = row.get(self.key_field) if self.key_field else None
        return key if isinstance(key, str) else None

    def _by_self(self, editor: str | None) -> bool | None:
        return None if self.user_id is None or editor is None else editor == self.user_id


def _editor(row: Mapping[str, Any]) -> str | None:
    """The user who changed the record last."""
    editor = row.get("LastModifiedById")
    return _user(editor) if isinstance(editor, str) else None


_user = lru_cache(maxsize=1024)(full_id)
"""Few users change many records."""


_Assemble: TypeAlias = Callable[[dict[str, object]], dict[str, object]]
_Column: TypeAlias = tuple[str, str, str, Reader]
"""A field's name, its relationship (or itself), the parent's field (or nothing), and what reads its values."""


def _path(name: str) -> tuple[str, str]:
    relation, _, field = name.partition(".")
    return relation, field


def _values(row: Mapping[str, Any], wanted: Sequence[_Column]) -> dict[str, object]:
    """Fields, also of parents; None where there is no parent, and nothing where the row has no such field."""
    values: dict[str, object] = {}
    for name, relation, field, read in wanted:
        value = row.get(relation, MISSING)
        if field and value is not None:
            value = value.get(field, MISSING) if isinstance(value, Mapping) else MISSING
        if value is None:
            values[name] = None
        elif value is not MISSING:
            try:
                values[name] = read(value)
            except (TypeError, ValueError, ArithmeticError) as error:
                raise UnexpectedResponseError(f"the value of {name} is not of its type") from error
    return values
