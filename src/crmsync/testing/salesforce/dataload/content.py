"""The data of a batch as rows of text by the names of their columns.

"Prepare CSV Files", "Valid XML and JSON Records" and "Relationship Fields in Records", Bulk API 2.0 and Bulk API
Developer Guide: what a record does not have stays as it is; null is ``#N/A`` in CSV, ``null`` in JSON and
``xsi:nil="true"`` in XML.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from crmsync.testing.salesforce.bulk.columns import NULL
from crmsync.testing.salesforce.bulk.csv_text import Dialect, UnreadableCsvError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAMESPACE: Final = "http://www.force.com/2009/06/asyncapi/dataload"
_NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_CSV: Final = Dialect("COMMA", "LF")


class UnreadableBatchError(Exception):
    """A batch cannot be worked on at all, with the message of the state that it thereby gets."""


def read_rows(content_type: str, data: bytes) -> list[dict[str, str]]:
    """Return the rows of a batch. A column that a row does not have is not in it, or empty.

    :raises UnreadableBatchError: it is not of its content type.
    """
    try:
        rows = {"CSV": _csv_rows, "JSON": _json_rows, "XML": _xml_rows}[content_type](data)
    except UnreadableCsvError as error:
        raise UnreadableBatchError(str(error)) from error
    if not rows:
        raise UnreadableBatchError("InvalidBatch : Batch contains no records")
    return rows


def _csv_rows(data: bytes) -> list[dict[str, str]]:
    header, *rows = [*_CSV.rows(data)] or [[]]
    return [dict(zip(header, row, strict=False)) for row in rows]


def _json_rows(data: bytes) -> list[dict[str, str]]:
    try:
        records = json.loads(data)
    except ValueError:
        records = None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise UnreadableBatchError("InvalidBatch : Failed to parse JSON: a batch is an array of objects")
    return [dict(_json_cells(record)) for record in records]


def _json_cells(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in record.items():
        if isinstance(value, dict) and name != "attributes":
            yield from _json_cells(value, f"{prefix}{name}.")
        elif name != "attributes":
            yield prefix + name, _json_text(value)


def _json_text(value: Any) -> str:
    if value is None:
        return NULL
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _xml_rows(data: bytes) -> list[dict[str, str]]:
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        raise UnreadableBatchError("InvalidBatch : Failed to parse XML") from None
    return [dict(_xml_cells(record)) for record in root if local_name(record) == "sObject"]


def _xml_cells(record: Element, prefix: str = "") -> Iterator[tuple[str, str]]:
    for element in record:
        name, parent = local_name(element), element.find(f"{{{NAMESPACE}}}sObject")
        if parent is not None:
            yield from _xml_cells(parent, f"{prefix}{name}.")
        elif name != "type":
            yield prefix + name, NULL if element.get(_NIL) == "true" else element.text or ""


def local_name(element: Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]
