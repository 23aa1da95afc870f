"""``crmsync mapping template`` and ``crmsync mapping schema``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from rich.text import Text

from crmsync.cli import tables
from crmsync.cli.config import Config, load_config
from crmsync.cli.config_edit import rewrite_objects
from crmsync.cli.config_text import inline
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.options import InFile, OfIntegration, OfObject, Selection, Shown, grouped
from crmsync.cli.output import Output, plain
from crmsync.cli.session import open_session
from crmsync.mapping.documents import DocumentForm, write_document
from crmsync.models.integrations import MappingTemplate
from crmsync.models.mappings import FieldMapping
from crmsync.models.templates import document_of, mapping_schema

NameArgument = Annotated[str, typer.Argument(help="The template's name.")]
ProviderOption = Annotated[
    str | None,
    typer.Option("--provider", help="The kind of CRM; by default that of the file's integration.", metavar="NAME"),
]

app = typer.Typer(help="Keep mappings under a name, hand them on, and use them again.", no_args_is_help=True)


def schema() -> int:
    """Print the JSON Schema of mapping documents, which `template export` writes and `template import` reads."""
    sys.stdout.write(json.dumps(mapping_schema(), indent=2) + "\n")
    return ExitCode.SUCCESS


@app.command("list")
@grouped
def list_(
    *,
    provider: Annotated[str | None, typer.Option("--provider", help="Only this kind of CRM.", metavar="NAME")] = None,
    selection: InFile,
    output: Shown,
) -> int:
    """List the templates: the providers' own, and those that were saved."""
    return anyio.run(_list, selection.path, provider, output)


@app.command()
@grouped
def show(name: NameArgument, *, provider: ProviderOption = None, selection: OfIntegration, output: Shown) -> int:
    """Show what a template maps."""
    return anyio.run(_show, selection, (provider, name), output)


@app.command()
@grouped
def save(
    name: NameArgument,
    *,
    description: Annotated[str, typer.Option("--description", help="What it is for.", metavar="TEXT")] = "",
    selection: OfObject,
    output: Shown,
) -> int:
    """Save the file's mappings of an integration, or of one object of it, as a template."""
    return anyio.run(_save, selection, name, description, output)


@app.command()
@grouped
def apply(
    name: NameArgument,
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Also objects that the file maps already.")] = False,
    selection: OfObject,
    output: Shown,
) -> int:
    """Write a template's mappings into the configuration file. Look at them by `mapping check` and `preview` then."""
    return anyio.run(_apply, selection, name, replace, output)


@app.command()
@grouped
def export(
    name: NameArgument,
    *,
    to: Annotated[
        Path | None, typer.Option("--to", help="Write to this file, .toml or .json; else to stdout.", metavar="FILE")
    ] = None,
    as_: Annotated[DocumentForm | None, typer.Option("--as", help="The language; by default the file's.")] = None,
    provider: ProviderOption = None,
    selection: OfIntegration,
) -> int:
    """Write a template as a document in TOML or JSON."""
    return anyio.run(_export, selection, (provider, name), to, as_)


@app.command("import")
@grouped
def import_(
    file: Annotated[Path, typer.Argument(help="A document in TOML or JSON.", metavar="FILE")],
    *,
    name: Annotated[str | None, typer.Option("--name", help="Save it under another name.", metavar="NAME")] = None,
    selection: InFile,
    output: Shown,
) -> int:
    """Save the template that a document holds."""
    return anyio.run(_import, selection.path, file, name, output)


@app.command()
@grouped
def delete(name: NameArgument, *, provider: ProviderOption = None, selection: OfIntegration, output: Shown) -> int:
    """Forget a template that was saved; mappings that were made of it stay."""
    return anyio.run(_delete, selection, (provider, name), output)


async def _list(path: Path, provider: str | None, output: Output) -> int:
    async with open_session(load_config(path)) as session:
        found = await session.crm.templates(provider)
    rows = [
        (one.provider, one.name, ", ".join(one.mappings), "the provider's" if one.is_default else "", one.description)
        for one in found
    ]
    output.result(
        {"templates": [_summary(one) for one in found]},
        tables.table("provider", "name", "objects", "", "description", rows=rows),
    )
    return ExitCode.SUCCESS


async def _show(selection: Selection, named: tuple[str | None, str], output: Output) -> int:
    config = load_config(selection.path)
    async with open_session(config) as session:
        found = await session.crm.template(_provider(config, selection, named[0]), named[1])
    views = [
        tables.table("local field", "CRM field", "settings", rows=_rows(mapping.fields), title=plain(name))
        for name, mapping in found.mappings.items()
    ]
    output.result({"template": {**_summary(found), "document": _document(found)}}, *views)
    return ExitCode.SUCCESS


def _rows(fields: Sequence[FieldMapping]) -> list[tuple[str, str, str]]:
    rows = []
    for field in fields:
        given = field.model_dump(mode="json", exclude_defaults=True, exclude={"markmail_field", "crm_field"})
        rows.append((field.markmail_field, field.crm_field, inline(given)[2:-2] if given else ""))
    return rows


async def _save(selection: Selection, name: str, description: str, output: Output) -> int:
    config = load_config(selection.path)
    section = config.integration(selection.integration)
    if config.mapping_problems:
        raise UsageProblemError("mend the mappings first: see `crmsync mapping check`", config.mapping_problems)
    mapped = {each: one.mapping for each, one in config.objects[section.id].items() if one.mapping is not None}
    if selection.object_name is not None:
        mapped = {each: one for each, one in mapped.items() if each == selection.object_name}
    if not mapped:
        what = selection.object_name or "any object"
        raise UsageProblemError(f"{config.path.name} does not map {what} for {section.id}: there is nothing to save")
    async with open_session(config) as session:
        made = await session.crm.save_template(section.provider, name, mapped, description=description)
    output.result({"template": _summary(made)}, Text(f"saved {plain(name)}: {plain(', '.join(made.mappings))}"))
    return ExitCode.SUCCESS


async def _apply(selection: Selection, name: str, replace: bool, output: Output) -> int:
    config = load_config(selection.path)
    section = config.integration(selection.integration)
    async with open_session(config) as session:
        template = await session.crm.template(section.provider, name)
    wanted = [selection.object_name] if selection.object_name else list(template.mappings)
    if absent := [each for each in wanted if each not in template.mappings]:
        there = ", ".join(template.mappings)
        raise UsageProblemError(f"the template {name!r} has no {', '.join(absent)} (it has: {there})")
    chosen = {each: template.mappings[each] for each in wanted}
    written = rewrite_objects(config.path, section.id, chosen, replace=replace)
    kept = [each for each in wanted if each not in written]
    lines = [Text(f"{config.path.name} now maps {plain(each)} as {plain(name)} says") for each in written]
    lines += [Text(f"{plain(each)} is mapped already: say --replace", style="yellow") for each in kept]
    output.result({"written": list(written), "kept": kept}, *lines)
    return ExitCode.SUCCESS if written else ExitCode.USAGE


async def _export(
    selection: Selection, named: tuple[str | None, str], to: Path | None, as_: DocumentForm | None
) -> int:
    config = load_config(selection.path)
    form = as_ or (DocumentForm.JSON if to is not None and to.suffix == ".json" else DocumentForm.TOML)
    async with open_session(config) as session:
        text = await session.crm.export_template(_provider(config, selection, named[0]), named[1], form)
    if to is None:
        sys.stdout.write(text)
        return ExitCode.SUCCESS
    try:
        await anyio.Path(to).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageProblemError(f"{to} cannot be written: {error.strerror}") from None
    return ExitCode.SUCCESS


async def _import(path: Path, file: Path, name: str | None, output: Output) -> int:
    try:
        text = await anyio.Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblemError(f"{file} cannot be read: {getattr(error, 'strerror', 'it is not UTF-8')}") from None
    async with open_session(load_config(path)) as session:
        made = await session.crm.import_template(text, name=name)
    told = f"saved {plain(made.name)} for {plain(made.provider)}: {plain(', '.join(made.mappings))}"
    output.result({"template": _summary(made)}, Text(told))
    return ExitCode.SUCCESS


async def _delete(selection: Selection, named: tuple[str | None, str], output: Output) -> int:
    config = load_config(selection.path)
    provider, name = _provider(config, selection, named[0]), named[1]
    async with open_session(config) as session:
        await session.crm.delete_template(provider, name)
    output.result({"deleted": {"provider": provider, "name": name}}, Text(f"{plain(name)} is forgotten"))
    return ExitCode.SUCCESS


def _provider(config: Config, selection: Selection, given: str | None) -> str:
    return given or config.integration(selection.integration).provider


def _summary(template: MappingTemplate) -> dict[str, Any]:
    return {
        "provider": template.provider,
        "name": template.name,
        "description": template.description,
        "objects": list(template.mappings),
        "is_default": template.is_default,
        "created_at": template.created_at.isoformat(),
    }


def _document(template: MappingTemplate) -> Any:
    return json.loads(write_document(document_of(template), DocumentForm.JSON))
