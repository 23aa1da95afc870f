"""``crmsync init``."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer
from rich.text import Text

from crmsync.cli import tables
from crmsync.cli.config_text import Beginning, config_text
from crmsync.cli.csv_header import CsvHeader, inspect_csv
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.options import InFile, Shown, grouped
from crmsync.cli.output import plain
from crmsync.cli.proposal import propose
from crmsync.cli.session import new_key
from crmsync.cli.sign_in import PLACEHOLDER
from crmsync.models.mappings import ObjectMapping
from crmsync.registry import RECORDS, Registry

KEY_NAME: Final = "crmsync.key"
_EXAMPLE_URL: Final = f"https://{PLACEHOLDER}.my.salesforce.com"
_CREDENTIAL_VARIABLE: Final = "SF_TOKEN"
_PEOPLE: Final = {"Lead": "lead", "Person": "lead_then_contact"}
"""What Salesforce's setting ``people`` has to be for an object of people other than contacts."""


@grouped
def init(
    *,
    selection: InFile,
    provider: Annotated[
        str, typer.Option("--provider", help="The kind of CRM; see `crmsync providers`.")
    ] = "salesforce",
    object_name: Annotated[str, typer.Option("--object", "-o", help="The CRM's object to map.")] = "Contact",
    instance_url: Annotated[
        str | None, typer.Option("--instance-url", help="Your org's URL, or the emulator's.", metavar="URL")
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Your CSV: its columns are looked at and mapped by name.", metavar="FILE"),
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="The CSV's column that identifies a row.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing configuration file.")] = False,
    output: Shown,
) -> int:
    """Write a configuration file to begin with, and a key file."""
    path = selection.path
    if path.exists() and not force:
        msg = f"{path} exists already: edit it, or replace it with --force"
        raise UsageProblemError(msg)
    default = _default_mapping(provider, object_name)
    local, mapping, unmapped = _local_side(csv, key, default, path.parent)
    text = config_text(
        Beginning(
            provider=provider,
            key=f"file:{KEY_NAME}",
            local=local,
            local_types=Registry().names(RECORDS),
            settings=_settings(provider, instance_url, object_name),
            credentials={"access_token": f"env:{_CREDENTIAL_VARIABLE}"} if provider == "salesforce" else {},
            objects={object_name: mapping},
            unmapped=unmapped,
        )
    )
    key_file = path.parent / KEY_NAME
    made_key = write_key(key_file)
    _write(path, text)
    payload = {
        "config": str(path),
        "key_file": str(key_file),
        "key_made": made_key,
        "mapped": {field.markmail_field: field.crm_field for field in mapping.fields},
        "unmapped": list(unmapped),
    }
    output.result(payload, *_init_views(path, key_file, made_key, mapping, unmapped), *_next_views(provider))
    return ExitCode.SUCCESS


def _default_mapping(provider: str, object_name: str) -> ObjectMapping:
    defaults = Registry().provider(provider).default_mappings()
    if object_name not in defaults:
        msg = f"{provider} has no default mapping for {object_name!r} (there are: {', '.join(defaults)})"
        raise UsageProblemError(msg)
    return defaults[object_name]


def _local_side(
    csv: Path | None, key: str | None, default: ObjectMapping, directory: Path
) -> tuple[dict[str, Any], ObjectMapping, Mapping[str, str]]:
    """The ``[local]`` table, the mapping that goes with it, and the columns that nothing corresponds to."""
    if csv is None:
        return {"type": "csv", "path": "contacts.csv", "key": key or "id"}, default, {}
    header = inspect_csv(csv)
    chosen = _key_column(header, key, csv)
    proposal = propose(header.columns, default, key=chosen)
    if not proposal.mapping.fields:
        msg = (
            f"none of the columns of {csv} resembles a field of the CRM: run `crmsync init` without --csv and map them"
        )
        raise UsageProblemError(msg)
    path = Path(os.path.relpath(csv, directory)).as_posix()
    local: dict[str, Any] = {"type": "csv", "path": path, "key": chosen}
    if header.encoding != "utf-8":
        local["encoding"] = header.encoding
    if header.delimiter != ",":
        local["delimiter"] = header.delimiter
    return local, proposal.mapping, proposal.unmapped


def _key_column(header: CsvHeader, key: str | None, csv: Path) -> str:
    if key is None and not header.keys:
        msg = f"no column of {csv} has a different value in every row, so none identifies a row: add one"
        raise UsageProblemError(msg)
    if key is not None and key not in header.columns:
        msg = f"{csv} has no column {key!r} (there are: {', '.join(header.columns)})"
        raise UsageProblemError(msg)
    if key is not None and key not in header.keys:
        msg = f"the column {key!r} of {csv} has blank or repeated values, so it does not identify a row"
        raise UsageProblemError(msg)
    return key or header.keys[0]


def _settings(provider: str, instance_url: str | None, object_name: str) -> dict[str, Any]:
    if instance_url is None and provider != "salesforce":
        return {}
    settings: dict[str, Any] = {"instance_url": instance_url or _EXAMPLE_URL}
    if provider == "salesforce" and _is_loopback(urlsplit(settings["instance_url"]).hostname or ""):
        settings["allow_insecure_loopback"] = True
    if provider == "salesforce" and object_name in _PEOPLE:
        settings["people"] = _PEOPLE[object_name]
    return settings


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def write_key(path: Path) -> bool:
    """Make a key file that only its owner can read; one that exists is kept, or stored credentials would be lost."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{new_key()}\n")
    return True


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise UsageProblemError(msg) from None


def _init_views(
    config: Path, key_file: Path, made_key: bool, mapping: ObjectMapping, unmapped: Mapping[str, str]
) -> list[Any]:
    rows = [(field.markmail_field, "<->", field.crm_field) for field in mapping.fields]
    kept = "" if made_key else " (it was there already and is kept)"
    views: list[Any] = [
        Text.assemble("wrote ", (str(config), "bold"), " and ", (str(key_file), "bold"), kept),
        tables.table("your field", "", "CRM field", rows=rows),
    ]
    if unmapped:
        views.append(Text(f"not mapped: {', '.join(map(plain, unmapped))}; see {config.name}"))
    return views


def _next_views(provider: str) -> list[Text]:
    signing_in = (
        f"sign in with `crmsync connect salesforce`, or put a token into the variable {_CREDENTIAL_VARIABLE}; then"
    )
    commands = ("crmsync connect --test", "crmsync plan", "crmsync sync")
    return [
        Text(f"next: {signing_in if provider == 'salesforce' else ''}".rstrip()),
        *(Text(f"  {command}", style="bold") for command in commands),
    ]
