"""``crmsync db upgrade``, ``downgrade``, ``check``, ``backup``, ``restore``, ``isolate``, ``users``, ``sql``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import anyio
import typer
from rich.text import Text

from crmsync.cli.config import Config, load_config
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.options import InFile, Selection, Shown, grouped
from crmsync.cli.output import Output, plain
from crmsync.cli.session import open_session, open_vault
from crmsync.cli.tables import table
from crmsync.models.backups import BackupSummary, RestoreOptions
from crmsync.registry import Registry
from crmsync.service import backups

if TYPE_CHECKING:
    from crmsync.storage.sql.maintenance import Maintenance

app = typer.Typer(help="Look after the bookkeeping's database.", no_args_is_help=True)

RevisionOption = Annotated[
    str | None, typer.Option("--to", help="A revision of the schema; by default the newest.", metavar="REVISION")
]


@app.command()
@grouped
def upgrade(*, to: RevisionOption = None, selection: InFile, output: Shown) -> int:
    """Bring the database to this crmsync's schema. Every command does so by itself; this is for deployments."""
    return anyio.run(_upgrade, selection, to, output)


@app.command()
@grouped
def downgrade(
    revision: Annotated[str, typer.Argument(help="The revision to go back to, or `base`.", metavar="REVISION")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, lose what only later revisions keep.")] = False,
    selection: InFile,
    output: Shown,
) -> int:
    """Go back to the schema of an earlier crmsync. Make a backup before."""
    if not yes:
        raise UsageProblemError("what only later revisions keep would be lost: make a backup, then add --yes")
    return anyio.run(_downgrade, selection, revision, output)


@app.command()
@grouped
def check(*, selection: InFile, output: Shown) -> int:
    """Look for damage in the database, its schema and its rows. Exit code 1 if anything is wrong."""
    return anyio.run(_check, selection, output)


Place = Annotated[str, typer.Argument(help="A file, or s3://bucket/key.", metavar="PLACE")]


@app.command()
@grouped
def backup(place: Place, *, selection: InFile, output: Shown) -> int:
    """Write the whole bookkeeping to a new file or object, under the vault's key. Syncs may go on meanwhile."""
    return anyio.run(_backup, selection, place, output)


@app.command()
@grouped
def restore(
    place: Place,
    *,
    replace: Annotated[bool, typer.Option("--replace", help="What the bookkeeping holds now may go.")] = False,
    running: Annotated[bool, typer.Option("--running", help="Leave syncs as they were; do not pause them.")] = False,
    look: Annotated[bool, typer.Option("--check", help="Only see whether the backup is whole.")] = False,
    selection: InFile,
    output: Shown,
) -> int:
    """Put a backup into an empty bookkeeping, and pause its syncs: look at `crmsync plan`, then `crmsync resume`."""
    options = RestoreOptions(replace=replace, pause=not running)
    return anyio.run(_restore, selection, place, None if look else options, output)


@app.command()
@grouped
def isolate(
    *,
    role: Annotated[
        str | None, typer.Option("--role", help="Let this role work under the policies.", metavar="ROLE")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Drop the policies.")] = False,
    selection: InFile,
    output: Shown,
) -> int:
    """Let PostgreSQL itself keep tenants apart, by row-level security."""
    if undo and role:
        raise UsageProblemError("--undo drops the policies for every role: leave --role out")
    return anyio.run(_isolate, selection, role, undo, output)


@app.command()
@grouped
def users(
    place: Annotated[
        str | None, typer.Argument(help="The users' key: users.id, or app.users.id.", metavar="TABLE.COLUMN")
    ] = None,
    *,
    on_delete: Annotated[
        Literal["restrict", "cascade"], typer.Option("--on-delete", help="What a user's deletion does.")
    ] = "restrict",
    undo: Annotated[bool, typer.Option("--undo", help="Let user_id be any text again.")] = False,
    selection: InFile,
    output: Shown,
) -> int:
    """Let each integration's user_id refer to your application's own table of users."""
    if (place is None) != undo:
        raise UsageProblemError("name the users' key, such as users.id, or give --undo")
    return anyio.run(_users, selection, place, on_delete, output)


@app.command()
@grouped
def sql(
    *,
    start: Annotated[str, typer.Option("--from", help="The database's revision, or `base`.")] = "base",
    to: RevisionOption = None,
    selection: InFile,
    output: Shown,
) -> int:
    """Print the statements of an upgrade, for those who run them by other means. Connects to nothing."""
    from crmsync.storage.sql import revision, schema  # noqa: PLC0415  (an extra of its own)

    script = schema.write_sql(load_config(selection.path).storage, start, to or revision.HEAD)
    output.result({"sql": script}, Text(script.rstrip()))
    return ExitCode.SUCCESS


@asynccontextmanager
async def _database(config: Config) -> AsyncIterator[Maintenance]:
    from crmsync.storage.sql.maintenance import open_maintenance  # noqa: PLC0415  (an extra of its own)

    async with open_maintenance(config.storage) as database:
        yield database


async def _upgrade(selection: Selection, to: str | None, output: Output) -> int:
    async with _database(load_config(selection.path)) as database:
        before = await database.revision()
        await database.upgrade(to or database.newest)
        after = await database.revision()
        name, newest = database.name, database.newest
    said = f"{name} is at revision {after}" if before == after else f"{name} went from revision {before} to {after}"
    output.result({"before": before, "revision": after, "newest": newest}, Text(plain(said)))
    return ExitCode.SUCCESS


async def _downgrade(selection: Selection, to: str, output: Output) -> int:
    async with _database(load_config(selection.path)) as database:
        before = await database.revision()
        await database.downgrade(to)
        said, newest = f"{database.name} went from revision {before} to {to}", database.newest
    output.result({"before": before, "revision": to, "newest": newest}, Text(plain(said)))
    return ExitCode.SUCCESS


async def _users(
    selection: Selection, place: str | None, on_delete: Literal["restrict", "cascade"], output: Output
) -> int:
    async with _database(load_config(selection.path)) as database:
        await (database.reference_users(place, on_delete) if place else database.unreference_users())
    said = f"user_id refers to {place}" if place else "user_id refers to no table any more"
    output.result({"users": place, "on_delete": on_delete if place else None}, Text(plain(said)))
    return ExitCode.SUCCESS


async def _isolate(selection: Selection, role: str | None, undo: bool, output: Output) -> int:
    async with _database(load_config(selection.path)) as database:
        await (database.undo_isolation() if undo else database.isolate(role))
        name = database.name
    said = "does not keep tenants apart any more" if undo else "keeps tenants apart, but for the owner of its tables"
    output.result({"isolated": not undo, "role": role}, Text(f"{plain(name)} {said}"))
    return ExitCode.SUCCESS


async def _check(selection: Selection, output: Output) -> int:
    async with _database(load_config(selection.path)) as database:
        revision, findings = await database.revision(), await database.check()
        name = database.name
    shown = [Text(f"{one.code}: {plain(one.message)}") for one in findings]
    found = [{"code": one.code, "message": one.message} for one in findings]
    output.result({"revision": revision, "findings": found}, *(shown or [Text(f"{plain(name)}: nothing is wrong")]))
    return ExitCode.FAILURE if findings else ExitCode.SUCCESS


async def _backup(selection: Selection, place: str, output: Output) -> int:
    config = load_config(selection.path)
    vault = await open_vault(config, Registry())
    async with _database(config) as database:
        summary = await backups.back_up(database, vault, place)
        is_current = summary.revision == database.newest
    if is_current:
        # An older database is left as it is: a session would upgrade it.
        await _write_down(config, "bookkeeping.backed_up", place)
    _show(output, place, summary, f"{place} holds the bookkeeping of {summary.made_at:%Y-%m-%d %H:%M:%S} UTC")
    return ExitCode.SUCCESS


async def _restore(selection: Selection, place: str, options: RestoreOptions | None, output: Output) -> int:
    config = load_config(selection.path)
    vault = await open_vault(config, Registry())
    async with _database(config) as database:
        if options is None:
            summary = await backups.inspect_backup(database, vault, place)
            said = f"{place} is whole: the bookkeeping of"
        else:
            summary = await backups.restore(database, vault, place, options)
            paused = "; look at `crmsync plan`, then let syncs run by `crmsync resume`" if options.pause else ""
            said = f"{database.name} is restored{paused}. It is that of"
    if options is not None:
        await _write_down(config, "bookkeeping.restored", place)
    _show(output, place, summary, f"{said} {summary.made_at:%Y-%m-%d %H:%M:%S} UTC")
    return ExitCode.SUCCESS


async def _write_down(config: Config, action: str, place: str) -> None:
    """Put it into the audit log."""
    async with open_session(config) as session:
        await session.crm.record_audit(action, place=place)


def _show(output: Output, place: str, summary: BackupSummary, said: str) -> None:
    payload = {
        "place": place,
        "revision": summary.revision,
        "made_at": summary.made_at.isoformat(timespec="seconds"),
        "rows": summary.rows,
    }
    counts = [(name, count) for name, count in summary.rows.items() if count]
    output.result(payload, Text(plain(said)), *([table("table", "rows", rows=counts)] if counts else []))
