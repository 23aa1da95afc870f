"""The org's records, its sign-in and its bulk jobs as a JSON document, and the file that keeps them between starts."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.bulk import saved_state as bulk_state
from crmsync.testing.salesforce.times import parse_datetime, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crmsync.testing.salesforce.org import SalesforceOrg

FORMAT: Final = 1


def dump_state(org: SalesforceOrg) -> dict[str, Any]:
    """Return records, serial numbers, counters, sign-in and jobs of an org. Late rows are taken as committed."""
    with org.lock:
        return {
            "format": FORMAT,
            "created": stamp(org.created),
            "api_calls": org.api_calls,
            "delete_log_start": {name: stamp(moment) for name, moment in org.delete_log_start.items()},
            "oauth": org.oauth.dump(),
            "bulk": bulk_state.dump(org.bulk),
            "objects": {
                name: {"serial": table.serial, "rows": list(table.all_newest())} for name, table in org.tables.items()
            },
        }


def load_state(org: SalesforceOrg, state: Mapping[str, Any]) -> None:
    """Replace the records of an org by a dumped state's. Values of fields that the org has not are dropped.

    :raises ValueError: the document is not such a state. The org is then as before.
    """
    if state.get("format") != FORMAT or not isinstance(state.get("objects"), dict):
        raise ValueError("not a state of this emulator")
    with org.lock:
        if "bulk" in state:
            bulk_state.load(org.bulk, state["bulk"], org.tables)
        if "oauth" in state:
            org.oauth.load(state["oauth"])
        for name, saved in state["objects"].items():
            if name in org.tables:
                _fill(org, name, saved)
        org.api_calls = int(state.get("api_calls", 0))
        starts = {name: parse_datetime(text) for name, text in state.get("delete_log_start", {}).items()}
        org.delete_log_start = {name: moment for name, moment in starts.items() if moment is not None}
        created = parse_datetime(str(state.get("created", "")))
        org.created = min(org.created, created) if created else org.created


def _fill(org: SalesforceOrg, name: str, saved: Mapping[str, Any]) -> None:
    table = org.tables[name]
    table.clear()
    known = table.definition.fields
    for row in saved["rows"]:
        table.put({key: value for key, value in row.items() if key in known or key.startswith("$")})
    table.serial = int(saved["serial"])


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
    state = json.loads(text)
    load_state(org, state if isinstance(state, dict) else {})
    return True
