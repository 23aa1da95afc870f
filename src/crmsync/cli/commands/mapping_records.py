"""What ``crmsync mapping preview`` shows of one record, and ``crmsync mapping diff``."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import attrs
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import payloads, tables
from crmsync.cli.config import load_config
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.object_mappings import parse_objects
from crmsync.cli.options import OfObject, Selection, Shown, grouped
from crmsync.cli.output import Output, plain
from crmsync.cli.session import Session, Target, open_session
from crmsync.cli.targets import one_target
from crmsync.mapping.documents import read_document
from crmsync.models.mappings import ObjectMapping
from crmsync.models.previews import FieldDifference, FieldFate, FieldPreview, MappingDiff, RecordPreview
from crmsync.models.records import Side

_NAMES: Final = {Side.LOCAL: "local", Side.REMOTE: "CRM"}
_STYLES: Final = {FieldFate.REJECTED: "bold red", FieldFate.WRITTEN: "green"}
_RECORDS_SHOWN: Final = 20


@attrs.frozen
class RecordChoice:
    """Which record to preview: by id, by address, or given in a file as the fields of ``side``."""

    record_id: str | None
    email: str | None
    file: Path | None
    side: Side

    @property
    def given(self) -> bool:
        """Whether one is meant at all."""
        return any(each is not None for each in (self.record_id, self.email, self.file))


@grouped
def diff(
    old: Annotated[Path, typer.Argument(help="A configuration file, or a mapping document.", metavar="OLD")],
    new: Annotated[Path, typer.Argument(help="Another one.", metavar="NEW")],
    *,
    sample: Annotated[int, typer.Option("--sample", min=1, max=10_000, help="How many records to try it on.")] = 100,
    selection: OfObject,
    output: Shown,
) -> int:
    """Compare two mappings, and what they make of a sample of your records: which fields would come out differently."""
    return anyio.run(_diff, selection, (old, new), sample, output)


async def preview_one(selection: Selection, choice: RecordChoice, output: Output) -> int:
    """Show one record through the file's mapping, both ways."""
    config = load_config(selection.path)
    fields = _fields_of(choice.file) if choice.file is not None else None
    async with open_session(config) as session:
        target = one_target(session, selection)
        await _meet(session, target)
        section = config.objects[target.integration.id].get(target.object_name)
        local = await session.local(target)
        await session.check(target, local)
        with session.locating(target):
            made = await session.crm.preview_record(
                target.integration.id,
                target.object_name,
                local,
                record_id=choice.record_id,
                email=choice.email,
                fields=fields,
                side=choice.side,
                mapping=section.mapping if section else None,
            )
    output.result({"preview": _preview_payload(made)}, *_preview_views(made))
    rejected = any(each.fate is FieldFate.REJECTED for each in (*made.to_crm, *made.to_local))
    return ExitCode.PARTIAL if rejected else ExitCode.SUCCESS


async def _meet(session: Session, target: Target) -> None:
    """Let the bookkeeping know an integration that was never synced."""
    if not await session.known(target.integration.id):
        await session.register(target.integration)


def _fields_of(file: Path) -> dict[str, Any]:
    """A record in a JSON file."""
    content = _parsed(file, as_json=True)
    if not isinstance(content, dict):
        raise UsageProblemError(f"{file} does not hold one record: an object of fields in JSON")
    return content


def _parsed(file: Path, *, as_json: bool) -> Any:
    try:
        text = file.read_text(encoding="utf-8-sig")
        return json.loads(text) if as_json else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblemError(f"{file} cannot be read: {getattr(error, 'strerror', 'it is not UTF-8')}") from None
    except (ValueError, RecursionError):
        raise UsageProblemError(f"{file} is not valid {'JSON' if as_json else 'TOML'}") from None


def _preview_views(made: RecordPreview) -> Iterator[RenderableType]:
    ids = f"local {plain(made.markmail_id or '(none)')}, CRM {plain(made.crm_id or '(none)')}"
    yield Text.assemble((plain(made.object_name), "bold"), f": {ids}")
    if made.rejected:
        yield Text("the record as a whole would be rejected", style="bold red")
    for title, fields in (("to the CRM", made.to_crm), ("from the CRM", made.to_local)):
        yield tables.table(title, "value", "becomes", "in", "now holds", "", rows=map(_preview_row, fields))
    if made.round_trip:
        yield Text("one side has no such record: the way back starts from what the first way makes", style="dim")


def _preview_row(field: FieldPreview) -> tuple[object, ...]:
    fate = Text(str(field.fate).replace("_", " "), style=_STYLES.get(field.fate, "dim"))
    for line in [field.why] if field.why else field.losses:
        fate.append(f"\n{plain(line)}", style="dim")
    value, converted, held = map(tables.shown_value, (field.value, field.converted, field.held))
    return field.source, value, converted, field.target, held, fate


def _preview_payload(made: RecordPreview) -> dict[str, Any]:
    def fields(previews: tuple[FieldPreview, ...]) -> list[dict[str, Any]]:
        return [
            {
                **attrs.asdict(each),
                "fate": each.fate.value,
                **{name: payloads.value(getattr(each, name)) for name in ("value", "converted", "held")},
                "losses": list(each.losses),
            }
            for each in previews
        ]

    return {
        "object": made.object_name,
        "markmail_id": made.markmail_id,
        "crm_id": made.crm_id,
        "rejected": made.rejected,
        "round_trip": made.round_trip,
        "to_crm": fields(made.to_crm),
        "to_local": fields(made.to_local),
    }


async def _diff(selection: Selection, files: tuple[Path, Path], sample: int, output: Output) -> int:
    config = load_config(selection.path)
    async with open_session(config) as session:
        target = one_target(session, selection)
        old, new = (_mapping_of(file, target) for file in files)
        await _meet(session, target)
        local = await session.local(target)
        made = await session.crm.diff_mappings(
            target.integration.id, target.object_name, local, old, new, sample=sample
        )
    output.result(_diff_payload(target, made), *_diff_views(made))
    return ExitCode.SUCCESS


def _mapping_of(file: Path, target: Target) -> ObjectMapping:
    """The mapping of the selected object in a configuration file or a document."""
    content = _parsed(file, as_json=file.suffix == ".json")
    name = target.object_name
    if isinstance(content, dict) and "integrations" in content:
        section = load_config(file).objects.get(target.integration.id, {}).get(name)
        if section is not None and section.problems:
            raise UsageProblemError(f"{file} has {len(section.problems)} problem(s)", section.problems)
        mapping = section.mapping if section else None
    elif isinstance(content, dict) and "objects" in content and "format" not in content:
        found = parse_objects(content["objects"], "objects").get(name)
        mapping = found.mapping if found and not found.problems else None
    else:
        mapping = read_document(file.read_text(encoding="utf-8-sig")).objects.get(name)
    if mapping is None:
        raise UsageProblemError(f"{file} does not map {name} for {target.integration.id}")
    return mapping


def _diff_views(made: MappingDiff) -> Iterator[RenderableType]:
    yield from tables.mapping_change_views(made.changes)
    counted = ", ".join(f"{made.compared[side]} records to the {_NAMES[side]} side" for side in Side)
    yield Text(f"compared: {counted}; {len(made.records)} would come out differently")
    rows = [(_NAMES[side], field, count) for (side, field), count in made.by_field().items()]
    if rows:
        yield tables.table("written to", "field", "records", rows=rows)
    shown = made.records[:_RECORDS_SHOWN]
    if shown:
        told = [
            (record.record_id, _NAMES[record.side], field.field, _told(field.before, field.before_why), _after(field))
            for record in shown
            for field in record.fields
        ]
        yield tables.table("record", "written to", "field", "old mapping", "new mapping", rows=told)
    if len(made.records) > len(shown):
        yield Text(f"and {len(made.records) - len(shown)} more: --format json has all of them", style="dim")


def _after(field: FieldDifference) -> Text:
    return _told(field.after, field.after_why)


def _told(value: object, why: str) -> Text:
    return Text(plain(why), style="dim") if why else Text(tables.shown_value(value))


def _diff_payload(target: Target, made: MappingDiff) -> Mapping[str, Any]:
    return {
        "integration_id": target.integration.id,
        "object": target.object_name,
        "changes": [attrs.asdict(one) for one in made.changes],
        "compared": {side.value: count for side, count in made.compared.items()},
        "fields": [
            {"side": side.value, "field": field, "records": count} for (side, field), count in made.by_field().items()
        ],
        "records": [
            {
                "side": record.side.value,
                "record_id": record.record_id,
                "fields": [
                    {
                        **attrs.asdict(field),
                        "before": payloads.value(field.before),
                        "after": payloads.value(field.after),
                    }
                    for field in record.fields
                ],
            }
            for record in made.records
        ],
    }
