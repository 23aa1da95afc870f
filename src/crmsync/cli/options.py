"""Options that several commands share."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer

from crmsync.cli.config import DEFAULT_NAME
from crmsync.cli.output import Format
from crmsync.models.runs import RunOptions

DEFAULT_CONFIG = Path(DEFAULT_NAME)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="CRMSYNC_CONFIG", help="The configuration file.", metavar="FILE")
]
FormatOption = Annotated[Format, typer.Option("--format", help="Tables for people, or one JSON object on stdout.")]
IntegrationOption = Annotated[
    str | None, typer.Option("--integration", "-i", help="One integration by its id.", metavar="ID")
]
ObjectOption = Annotated[
    str | None, typer.Option("--object", "-o", help="One object by the CRM's name, such as Contact.", metavar="NAME")
]


@attrs.frozen
class Selection:
    """What a command is about: a configuration file, and perhaps one integration and one object of it."""

    path: Path
    integration: str | None = None
    object_name: str | None = None


def run_options(defaults: RunOptions, given: Mapping[str, Any]) -> RunOptions:
    """The file's ``[run]`` with what the command line says; None says nothing."""
    return defaults.model_copy(update={name: value for name, value in given.items() if value is not None})


def login() -> str:
    """Who sits at the keyboard, as far as the system knows; else empty."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def login_name() -> str:
    """Who is at the command line: the login name, or nothing where there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
