"""``crmsync audit list``, ``verify`` and ``export``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Final, TextIO

import anyio
import typer
from pydantic import ValidationError
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import tables
from crmsync.cli.config import load_config
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.options import InFile, OfIntegration, Selection, Shown, grouped
from crmsync.cli.output import Output, plain
from crmsync.cli.session import open_session
from crmsync.models.audit import AuditAnchor, AuditEntry, AuditVerification, entry_json

app = typer.Typer(help="Who did what: list it, prove that it is whole, export it.", no_args_is_help=True)

_STDOUT: Final = "-"
_LONGEST_LINE: Final = 50_000_000
"""Bytes of an anchor's line; it has some 130 for each integration."""


@app.command("list")
@grouped
def list_(
    *,
    selection: OfIntegration,
    action: Annotated[str | None, typer.Option("--action", help="Only this action.", metavar="NAME")] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many at most: the last ones.", min=1)] = 100,
    output: Shown,
) -> int:
    """List the last entries of the audit log, oldest first."""
    return anyio.run(_list, selection, action, limit, output)


@app.command()
@grouped
def verify(
    *,
    anchor: Annotated[
        Path | None,
        typer.Option("--anchor", help="An earlier export: nothing that it has may be gone.", metavar="FILE"),
    ] = None,
    selection: InFile,
    output: Shown,
) -> int:
    """Look whether any entry was changed, removed, put elsewhere or cut off."""
    return anyio.run(_verify, selection, anchor, output)


@app.command()
@grouped
def export(
    file: Annotated[str, typer.Argument(help="The file to write, a new one; - is stdout.", metavar="FILE")],
    *,
    selection: OfIntegration,
    output: Shown,
) -> int:
    """Write the audit log as JSON Lines, at last its anchor: a signed line to verify the log with later."""
    return anyio.run(_export, selection, file, output)


async def _list(selection: Selection, action: str | None, limit: int, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        found = await session.crm.audit_log(selection.integration, action=action, limit=limit)
    rows = [_row(entry) for entry in found]
    view: RenderableType = tables.table("time", "who", "from", "integration", "what", "result", "details", rows=rows)
    output.result(
        {"entries": [entry_json(entry) for entry in found]}, view if rows else Text("nothing was written down")
    )
    return ExitCode.SUCCESS


async def _verify(selection: Selection, anchor: Path | None, output: Output) -> int:
    known = None if anchor is None else _anchor(anchor)
    async with open_session(load_config(selection.path)) as session:
        found = await session.crm.verify_audit(known)
    output.result({**found.model_dump(mode="json"), "ok": found.ok}, *_verification_views(found))
    return ExitCode.SUCCESS if found.ok else ExitCode.FAILURE


async def _export(selection: Selection, file: str, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        if file == _STDOUT:
            await session.crm.export_audit(sys.stdout.write, selection.integration)
            return ExitCode.SUCCESS
        with _new_file(Path(file)) as stream:
            count = await session.crm.export_audit(stream.write, selection.integration)
    output.result({"entries": count, "file": file}, Text(f"wrote {count} entries and their anchor to {plain(file)}"))
    return ExitCode.SUCCESS


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """A file that was not there before, for its owner alone; gone again if what is to be in it fails."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageProblemError(f"{path} cannot be created: {error.strerror}") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            yield stream
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _anchor(file: Path) -> AuditAnchor:
    """The last line of an export."""
    try:
        with file.open("rb") as stream:
            last = b""
            while line := stream.readline(_LONGEST_LINE):
                last = line if line.strip() else last
        return AuditAnchor.model_validate(json.loads(last)["anchor"])
    except OSError as error:
        raise UsageProblemError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError, ValidationError):
        raise UsageProblemError(
            f"the last line of {file} is no anchor: give what `crmsync audit export` wrote"
        ) from None


def _row(entry: AuditEntry) -> tuple[str, ...]:
    event = entry.event
    details = json.dumps(dict(event.details), ensure_ascii=False) if event.details else ""
    what = f"{event.action} {event.entity_type}".strip()
    when = f"{event.at:%Y-%m-%d %H:%M:%S}"
    return when, event.actor.name, event.actor.origin, event.integration_id, what, event.result, details


def _verification_views(found: AuditVerification) -> list[RenderableType]:
    since = f", and has all that it had on {found.anchored:%Y-%m-%d %H:%M} UTC" if found.anchored else ""
    if found.ok:
        return [Text(f"{found.entries} entries in {found.chains} chains: the log is whole{since}")]
    rows = [(fault.integration_id, str(fault.sequence), fault.code, fault.message) for fault in found.faults]
    head = Text(f"{found.entries} entries in {found.chains} chains: somebody has changed the log", style="bold red")
    return [head, tables.table("integration", "entry", "code", "what is wrong", rows=rows)]
