"""Records out of JSON rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from crmsync.errors import UnexpectedResponseError
from crmsync.models.records import MISSING, Record
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.values import TextReader, parse_datetime, read_value, text_reader

MASTER: Final = "MasterRecordId"
"""Names, on the loser of a merge, the record that was kept."""
CONVERTED: Final = "IsConverted"
CONVERTED_INTO: Final = "ConvertedContactId"


@attrs.frozen(slots=True)
class RowReader:
    """Reads rows of one object. ``user_id`` is ours, None if unknown; ``key_field`` holds the external key, if any."""

    sobject: SObject
    key_field: str | None
    user_id: str | None

    @property
    def living(self) -> soql.Soql | None:
        """What a record of a pass over everything meets, if there is such a thing; later passes tell what ceased to."""
        return soql.compare(CONVERTED, "=", value=False) if self.sobject.follows_conversion else None

    def columns(self, fields: Iterable[str], *, deleted: bool = False) -> tuple[str, ...]:
        """What to ask for, so that `record` can say everything about these fields. Unreadable ones are left out."""
        extra = ["Id", "SystemModstamp", "LastModifiedById"]
        if self.sobject.follows_conversion:
            extra += [CONVERTED, CONVERTED_INTO]
        if self.key_field:
            extra.append(self.key_field)
        if deleted:
            extra += ["IsDeleted", MASTER]
        return self.sobject.readable((*extra, *fields))

    def record(self, row: Any, fields: Sequence[str]) -> Record:
        """A row as a record with these fields.

        :raises UnexpectedResponseError: the row is not what was asked for.
        """
        try:
            record_id = full_id(row["Id"])
            if record_id is None:
                raise ValueError("Id")
            stamp = row.get("SystemModstamp")
            modified = parse_datetime(stamp) if stamp else None
        except (KeyError, TypeError, ValueError) as error:
            raise UnexpectedResponseError("a record of Salesforce's answer is not as documented") from error
        if row.get("IsDeleted") is True and "IsDeleted" not in fields:
            return self._gone(record_id, row, modified)
        if self.sobject.follows_conversion and row.get(CONVERTED) is True:
            return self._gone(record_id, row, modified)
        known = self.sobject.fields
        return Record(
            id=record_id,
            fields={
                name: read_value(known[name], value)
                for name in fields
                if name in known and (value := _at(row, name)) is not MISSING
            },
            key=self._key(row),
            modified_at=modified,
            modified_by=_editor(row),
            modified_by_self=self._by_self(row),
        )

    def csv_records(self, header: Sequence[str], rows: Iterable[Sequence[str]], fields: Sequence[str]) -> list[Record]:
        """Rows of a query job's CSV as records with these fields; the header has all their `columns`.

        Null is an empty cell there, and no field of Salesforce's holds an empty text.

        :raises UnexpectedResponseError: a row is not what was asked for.
        """
        places = {name: place for place, name in enumerate(header)}
        known = self.sobject.fields
        wanted = [(name, places[name], text_reader(known[name].type)) for name in fields if name in known]
        own = [(name, places[name]) for name in ("LastModifiedById", self.key_field) if name in places]
        return [self._csv_record(row, places, wanted, own) for row in rows]

    def _csv_record(
        self,
        row: Sequence[str],
        places: Mapping[str, int],
        wanted: Sequence[tuple[str, int, TextReader]],
        own: Sequence[tuple[str, int]],
    ) -> Record:
        try:
            record_id = full_id(row[places["Id"]])
            if record_id is None:
                raise ValueError("Id")
            stamp = row[places["SystemModstamp"]] if "SystemModstamp" in places else ""
            modified = parse_datetime(stamp) if stamp else None
            values = {name: (read(row[place]) if row[place] else None) for name, place, read in wanted}
        except (LookupError, ValueError, ArithmeticError) as error:
            raise UnexpectedResponseError("a record of Salesforce's CSV is not as documented") from error
        meta = {name: row[place] or None for name, place in own}
        return Record(
            id=record_id,
            fields=values,
            key=self._key(meta),
            modified_at=modified,
            modified_by_self=self._by_self(meta),
        )

    def _gone(self, record_id: str, row: Mapping[str, Any], modified: Any) -> Record:
        survivor = row.get(MASTER) or row.get(CONVERTED_INTO)
        return Record(
            id=record_id,
            key=self._key(row),
            modified_at=modified,
            modified_by=_editor(row),
            modified_by_self=self._by_self(row),
            deleted=True,
            merged_into=full_id(survivor) if isinstance(survivor, str) else None,
        )

    def _key(self, row: Mapping[str, Any]) -> str | None:
        key = row.get(self.key_field) if self.key_field else None
        return key if isinstance(key, str) else None

    def _by_self(self, row: Mapping[str, Any]) -> bool | None:
        editor = _editor(row)
        return None if self.user_id is None or editor is None else editor == self.user_id


def _editor(row: Mapping[str, Any]) -> str | None:
    """The user who changed the record last."""
    editor = row.get("LastModifiedById")
    return full_id(editor) if isinstance(editor, str) else None


def _at(row: Mapping[str, Any], name: str) -> Any:
    """The value of a field, also of a parent's; None where there is no parent, MISSING where the row has no such."""
    relation, _, field = name.partition(".")
    value = row.get(relation, MISSING)
    if not field or value is None or value is MISSING:
        return value
    return value.get(field, MISSING) if isinstance(value, Mapping) else MISSING
