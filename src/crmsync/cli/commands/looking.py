"""``crmsync status``, ``logs``, ``fields`` and ``providers``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import anyio
import attrs
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import payloads, tables
from crmsync.cli.config import load_config
from crmsync.cli.exits import ExitCode
from crmsync.cli.options import OfIntegration, OfObject, Selection, Shown, grouped
from crmsync.cli.output import Output
from crmsync.cli.session import Target, open_session
from crmsync.models.runs import ObjectStatus
from crmsync.models.state import CallUsage, SyncLog
from crmsync.registry import PROVIDERS, RECORDS, STORAGE, Registry


@grouped
def status(*, selection: OfIntegration, output: Shown) -> int:
    """Show how many records are in step, and what needs attention."""
    return anyio.run(_status, selection, output)


@grouped
def logs(
    *,
    selection: OfObject,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many runs, newest first.")] = 20,
    output: Shown,
) -> int:
    """List the runs, newest first."""
    return anyio.run(_logs, selection, limit, output)


@grouped
def fields(
    object_name: Annotated[
        str | None, typer.Argument(help="The CRM's object, such as Contact. By default all that are mapped.")
    ] = None,
    *,
    selection: OfIntegration,
    output: Shown,
) -> int:
    """List the fields that the CRM offers to this credential."""
    return anyio.run(_fields, attrs.evolve(selection, object_name=object_name), output)


@grouped
def providers(output: Shown) -> int:
    """List the installed providers, storages and local sides."""
    registry = Registry()
    groups = {"providers": PROVIDERS, "storages": STORAGE, "local": RECORDS}
    found = {
        title: [{"name": name, "from": registry.origin(group, name)} for name in registry.names(group)]
        for title, group in groups.items()
    }
    rows = [(title, entry["name"], entry["from"]) for title, entries in found.items() for entry in entries]
    output.result(found, tables.table("kind", "name", "from", rows=rows))
    return ExitCode.SUCCESS


async def _status(selection: Selection, output: Output) -> int:
    config = load_config(selection.path)
    found: list[tuple[str, ObjectStatus]] = []
    usage: dict[str, tuple[CallUsage, int | None]] = {}
    async with open_session(config) as session:
        for section in await session.known(selection.integration):
            found += [(section.id, one) for one in await session.crm.status(section.id)]
            usage[section.id] = (await session.crm.call_usage(section.id), section.max_calls_per_day)
    payload = {
        "integrations": {
            name: [one.model_dump(mode="json") for owner, one in found if owner == name] for name, _ in found
        },
        "api_calls": {name: payloads.call_usage_payload(*calls) for name, calls in usage.items()},
    }
    calls_views = [tables.call_usage_view(name, *calls) for name, calls in usage.items()]
    drift = [view for owner, one in found for view in tables.drift_views(owner, one)]
    output.result(payload, *tables.status_views(found), *drift, *calls_views, *_hints([one for _, one in found]))
    return ExitCode.SUCCESS


def _hints(found: Sequence[ObjectStatus]) -> list[Text]:
    """Where to look at what waits."""
    conflicts = sum(one.conflicts for one in found)
    rejects = sum(one.rejected + one.quarantined for one in found)
    decisions = "wait for a decision, or for the sync that writes it"
    hints = {
        f"{conflicts} record(s) {decisions}: `crmsync conflicts list --all`": conflicts,
        f"{rejects} record(s) could not be synced: `crmsync rejects list`": rejects,
    }
    return [Text(hint, style="yellow") for hint, number in hints.items() if number]


async def _logs(selection: Selection, limit: int, output: Output) -> int:
    config = load_config(selection.path)
    found: list[SyncLog] = []
    async with open_session(config) as session:
        for section in await session.known(selection.integration):
            found += await session.crm.logs(section.id, selection.object_name, limit=limit)
    found = sorted(found, key=lambda log: log.started_at, reverse=True)[:limit]
    output.result({"logs": [payloads.log_payload(log) for log in found]}, tables.logs_table(found))
    return ExitCode.SUCCESS


async def _fields(selection: Selection, output: Output) -> int:
    config = load_config(selection.path)
    async with open_session(config) as session:
        section = config.integration(selection.integration)
        await session.register(section)
        names = [selection.object_name] if selection.object_name else session.objects(section)
        found = [await session.describe(Target(section, name)) for name in names]
    views: list[RenderableType] = []
    for each in found:
        views += [tables.fields_table(each.schema), *tables.warning_views(each.warnings)]
    output.result({"objects": [payloads.description_payload(each) for each in found]}, *views)
    return ExitCode.SUCCESS
