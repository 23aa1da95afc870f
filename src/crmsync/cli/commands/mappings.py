"""``crmsync mapping``: the group, and its ``preview``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio
import attrs
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import payloads, tables
from crmsync.cli.commands import mapping_check, mapping_evaluate, mapping_records, mapping_suggest, mapping_templates
from crmsync.cli.config import load_config
from crmsync.cli.exits import UsageProblemError
from crmsync.cli.interruption import run_interruptible
from crmsync.cli.options import OfObject, Selection, Shown, grouped
from crmsync.cli.output import Output, plain
from crmsync.cli.progress import ProgressObserver
from crmsync.cli.run_exits import exit_code_of_runs
from crmsync.cli.session import open_session
from crmsync.models.plans import EndedField, FieldEffect, MappingPreview
from crmsync.models.records import Side

app = typer.Typer(
    help="Look at a mapping, and at what a changed one would do, before it does it.", no_args_is_help=True
)
app.command()(mapping_check.check)
app.command()(mapping_evaluate.evaluate)
app.command()(mapping_records.diff)
app.command()(mapping_templates.schema)
app.add_typer(mapping_templates.app, name="template")
app.command()(mapping_suggest.suggest)


@app.command()
@grouped
def preview(
    *,
    record: Annotated[
        str | None, typer.Option("--record", help="One record, by either side's id.", metavar="ID")
    ] = None,
    email: Annotated[str | None, typer.Option("--email", help="One record, by its address.", metavar="ADDRESS")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A record that a .json file holds.", metavar="FILE")
    ] = None,
    side: Annotated[Side, typer.Option("--side", help="Whose fields the file holds.")] = Side.LOCAL,
    selection: OfObject,
    output: Shown,
) -> int:
    """Compare the file's mappings with those of the last sync, and show what the next one would write, by field.

    With a record, show instead what the file's mapping makes of it, both ways, and why.
    """
    choice = mapping_records.RecordChoice(record, email, file, side)
    if choice.given:
        return anyio.run(mapping_records.preview_one, selection, choice, output)
    return run_interruptible(_preview, selection, output)


async def _preview(selection: Selection, output: Output) -> int:
    config = load_config(selection.path)
    progress = ProgressObserver(output.err)
    found: list[tuple[str, str, MappingPreview]] = []
    async with open_session(config, [progress]) as session:
        known = {section.id for section in await session.known(selection.integration)}
        targets = await session.opened(selection)
        if selection.object_name is None:
            # What the file maps by the provider's defaults has nothing to compare.
            targets = [one for one in targets if one[0].object_name in config.objects[one[0].integration.id]] or targets
        for target, local in targets:
            name, section = target.object_name, config.objects[target.integration.id].get(target.object_name)
            if target.integration.id not in known:
                raise UsageProblemError(
                    f"{target.integration.id} was never synced: see what a sync does by `crmsync plan`"
                )
            if section is None or section.mapping is None:
                raise UsageProblemError(f"the file has no mapping for {name} to compare")
            await session.check(target, local)
            with progress.drawing(enabled=output.interactive), session.locating(target):
                made = await session.crm.preview_mapping(
                    target.integration.id, name, section.mapping, local, options=config.content.run
                )
            found.append((target.integration.id, name, made))
            output.show(*_views(made))
    output.result({"previews": [_payload(*one) for one in found]})
    return exit_code_of_runs([made.plan.report.status for _, _, made in found])


def _views(made: MappingPreview) -> Iterator[RenderableType]:
    if made.changes:
        yield from tables.mapping_change_views(made.changes)
    else:
        yield Text("the mapping is the one of the last sync")
    yield from (Text(_ending(one), style="yellow") for one in made.ended)
    if effects := made.plan.effects():
        yield tables.table("written to", "field", "records", "new ones", "overwritten", rows=_effects(effects))
    yield from tables.report_views(made.plan.report)


def _ending(one: EndedField) -> str:
    waiting = f"{one.conflicts} conflict(s) that wait" if one.conflicts else ""
    rejected = f"{one.rejects} reject(s) because of it" if one.rejects else ""
    return f"with {plain(one.field)} end {' and '.join(filter(None, (waiting, rejected)))}"


def _effects(effects: Sequence[FieldEffect]) -> list[tuple[object, ...]]:
    names = {Side.LOCAL: "local", Side.REMOTE: "CRM"}
    return [(names[one.side], one.field, one.writes, one.creates, one.overwrites) for one in effects]


def _payload(integration_id: str, object_name: str, made: MappingPreview) -> dict[str, Any]:
    return {
        "integration_id": integration_id,
        "object": object_name,
        "changes": [attrs.asdict(one) for one in made.changes],
        "ended": [attrs.asdict(one) for one in made.ended],
        "effects": [{**attrs.asdict(one), "side": one.side.value} for one in made.plan.effects()],
        "report": payloads.report_payload(made.plan.report),
    }
