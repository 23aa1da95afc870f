"""``crmsync mapping evaluate``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import payloads
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.options import Shown, grouped
from crmsync.cli.output import plain
from crmsync.mapping import Evaluation
from crmsync.mapping import evaluate as evaluated
from crmsync.models.records import MISSING
from crmsync.models.schema import FieldType


@grouped
def evaluate(
    expression: Annotated[str, typer.Argument(help='The expression, such as first & " " & upper(last).')],
    *,
    record: Annotated[str, typer.Option("--record", help="The record as a JSON object; - reads it from stdin.")] = "{}",
    given: Annotated[
        list[str] | None, typer.Option("--set", help="A field and its value as NAME=TEXT; any number of them.")
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="A field and its type as NAME=TYPE, such as born=date.")
    ] = None,
    output: Shown,
) -> int:
    """Try an expression of a computed field on one record: its value, what it is made of, and what undoes it."""
    fields = {**_record(record), **dict(_pairs(given, "--set"))}
    found = evaluated(expression, fields, types={name: _type(kind) for name, kind in _pairs(types, "--type")})
    output.result(_payload(found), *_views(found))
    return ExitCode.PARTIAL if found.failure else ExitCode.SUCCESS


def _record(text: str) -> dict[str, Any]:
    try:
        record = json.loads(sys.stdin.read() if text == "-" else text, parse_float=Decimal)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise UsageProblemError('--record must be a JSON object, such as \'{"first": "Ada"}\'')
    return record


def _pairs(given: Sequence[str] | None, option: str) -> Iterator[tuple[str, str]]:
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageProblemError(f"{option} takes NAME=VALUE, and this is not one")
        yield name, value


def _type(kind: str) -> FieldType:
    try:
        return FieldType(kind)
    except ValueError:
        raise UsageProblemError(f"--type: there are {', '.join(FieldType)}") from None


def _payload(found: Evaluation) -> dict[str, Any]:
    shown = found.value is not MISSING
    return {
        "value": payloads.value(found.value) if shown else None,
        "shown": shown,
        "failure": found.failure or None,
        "type": found.type.value,
        "fields": list(found.fields),
        "expression": found.expression,
        "inverse": dict(found.inverse),
        "obstacle": found.obstacle or None,
    }


def _views(found: Evaluation) -> Iterator[RenderableType]:
    if found.failure:
        yield Text.assemble(("no value: ", "bold red"), plain(found.failure))
    elif found.value is MISSING:
        yield Text("no value: a field that it needs is not shown", style="yellow")
    else:
        yield Text(plain(json.dumps(payloads.value(found.value), ensure_ascii=False)), style="bold")
    yield Text(plain(f"a {found.type}, made of {', '.join(found.fields) or 'no field'}"), style="dim")
    if found.obstacle:
        yield Text(plain(f"can only be read: {found.obstacle}"), style="dim")
    for name, undone in found.inverse.items():
        yield Text(plain(f"a write changes {name}: {undone}"), style="dim")
