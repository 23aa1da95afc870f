"""The org's records, its sign-in and its bulk jobs as a JSON document, and the file that keeps them between starts."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.bulk import saved_state as bulk_state
from crmsync.testing.salesforce.dataload import saved_state as loads_state
from crmsync.testing.salesforce.times import exact_stamp, parse_datetime, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crmsync.testing.salesforce.org import SalesforceOrg
    from crmsync.testing.salesforce.store import Row, Table

FORMAT: Final = 1
#: Objects whose records an org cannot be without.
_KEPT: Final = frozenset({"User", "Organization"})


def dump_state(org: SalesforceOrg) -> dict[str, Any]:
    """Return records, serial numbers, counters, sign-in and jobs of an org. Late rows are taken as committed.

    It is the org between two calls, also while calls are made. Rules, profiles and faults are not in it.
    """
    with org.lock:
        return {
            "format": FORMAT,
            "created": stamp(org.created),
            "now": exact_stamp(org.now()),
            "api_calls": org.api_calls,
            "delete_log_start": {name: stamp(moment) for name, moment in org.delete_log_start.items()},
            "oauth": org.oauth.dump(),
            "bulk": bulk_state.dump(org.bulk),
            "loads": loads_state.dump(org.loads),
            "objects": {
                name: {"serial": table.serial, "rows": list(table.all_newest())} for name, table in org.tables.items()
            },
        }


def load_state(org: SalesforceOrg, state: Mapping[str, Any]) -> None:
    """Replace the records, the sign-in and the jobs of an org by a dumped state's.

    Values of fields that the org has not are dropped, and objects that the state has not are emptied. The org's clock
    is set forward to that of the state, so that nothing lies in its future.

    :raises ValueError: the document is not such a state. The org is then as before.
    """
    _require_format(state)
    with org.lock:
        rows = {name: _rows(table, state["objects"].get(name)) for name, table in org.tables.items()}
        _load_parts(org, state)
        for name, (serial, saved) in rows.items():
            if name in state["objects"] or name not in _KEPT:
                _fill(org.tables[name], serial, saved)
        org.api_calls = int(state.get("api_calls", 0))
        starts = {name: parse_datetime(text) for name, text in state.get("delete_log_start", {}).items()}
        org.delete_log_start = {name: moment for name, moment in starts.items() if moment is not None}
        created = parse_datetime(str(state.get("created", "")))
        org.created = min(org.created, created) if created else org.created
        now = parse_datetime(str(state.get("now", "")))
        if now is not None and now > org.now():
            org.advance((now - org.now()).total_seconds())


def _require_format(state: Mapping[str, Any]) -> None:
    found = state.get("format")
    if isinstance(found, int) and found > FORMAT:
        raise ValueError(f"a state of format {found}, from a newer emulator; this one reads up to format {FORMAT}")
    if found != FORMAT or not isinstance(state.get("objects"), dict):
        raise ValueError("not a state of this emulator")


def _rows(table: Table, saved: Any) -> tuple[int, list[Row]]:
    """Return the serial number and the rows of an object, those of an older emulator with the defaults of new fields.

    :raises ValueError: they are damaged.
    """
    if saved is None:
        return 0, []
    known, defaults = table.definition.fields, table.definition.defaults
    try:
        rows = [
            {**defaults, **{key: value for key, value in row.items() if key in known or key.startswith("$")}}
            for row in saved["rows"]
        ]
        serial = int(saved["serial"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(f"its {table.name} records") from error
    ids = {row["Id"] for row in rows if isinstance(row.get("Id"), str) and isinstance(row.get("SystemModstamp"), str)}
    if len(ids) < len(rows):
        raise _damaged(f"its {table.name} records")
    return serial, rows


def _damaged(what: str) -> ValueError:
    return ValueError(f"a damaged state: {what} cannot be read")


def _load_parts(org: SalesforceOrg, state: Mapping[str, Any]) -> None:
    kept, kept_loads = bulk_state.dump(org.bulk), loads_state.dump(org.loads)
    try:
        if "bulk" in state:
            bulk_state.load(org.bulk, state["bulk"], org.tables)
        if "loads" in state:
            loads_state.load(org.loads, state["loads"], org.tables)
        if "oauth" in state:
            org.oauth.load(state["oauth"])
    except ValueError:
        bulk_state.load(org.bulk, kept, org.tables)
        loads_state.load(org.loads, kept_loads, org.tables)
        raise


def _fill(table: Table, serial: int, rows: list[Row]) -> None:
    table.clear()
    for row in rows:
        table.put(row)
    table.serial = serial


def save_file(org: SalesforceOrg, path: Path) -> None:
    """Write the org's state to a file that is, at every moment, either the old one or the new one, whole."""
    text = json.dumps(dump_state(org), ensure_ascii=False)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_file(org: SalesforceOrg, path: Path) -> bool:
    """Load a state file; ``False`` if there is none.

    :raises ValueError: the file is not a state of this emulator.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    try:
        state = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path.name} is no JSON document, so not a state of this emulator: {error}") from error
    load_state(org, state if isinstance(state, dict) else {})
    return True
