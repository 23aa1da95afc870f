"""Options that several commands share."""

from __future__ import annotations

import getpass
import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final

import attrs
import typer

from crmsync.cli.config import DEFAULT_NAME
from crmsync.cli.output import Format, Output
from crmsync.models.runs import RunOptions


@attrs.frozen
class Selection:
    """What a command is about: a configuration file, and perhaps one integration and one object of it."""

    path: Path
    integration: str | None = None
    object_name: str | None = None


@attrs.frozen(init=False)
class Group:
    """Marks a parameter of a command that stands for several options: ``made_of`` them, by these names."""

    made_of: Callable[..., object]
    options: tuple[inspect.Parameter, ...]

    def __init__(self, made_of: Callable[..., object], *options: inspect.Parameter) -> None:
        self.__attrs_init__(made_of, options)

    def take(self, given: dict[str, Any]) -> object:
        """Make the parameter's value of its options' values, which are taken out of what is given."""
        return self.made_of(**{option.name: given.pop(option.name) for option in self.options})


def option(name: str, annotation: object, default: object) -> inspect.Parameter:
    """One option of a group: its name there, its type with what Typer is to know of it, and its default."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_PATH: Final = option(
    "path",
    Annotated[
        Path, typer.Option("--config", "-c", envvar="CRMSYNC_CONFIG", help="The configuration file.", metavar="FILE")
    ],
    Path(DEFAULT_NAME),
)
_INTEGRATION: Final = option(
    "integration",
    Annotated[str | None, typer.Option("--integration", "-i", help="One integration by its id.", metavar="ID")],
    None,
)
_OBJECT: Final = option(
    "object_name",
    Annotated[
        str | None,
        typer.Option("--object", "-o", help="One object by the CRM's name, such as Contact.", metavar="NAME"),
    ],
    None,
)
_FORMAT: Final = option(
    "format_",
    Annotated[Format, typer.Option("--format", help="Tables for people, or one JSON object on stdout.")],
    Format.HUMAN,
)

InFile = Annotated[Selection, Group(Selection, _PATH)]
OfIntegration = Annotated[Selection, Group(Selection, _PATH, _INTEGRATION)]
OfObject = Annotated[Selection, Group(Selection, _PATH, _INTEGRATION, _OBJECT)]
Shown = Annotated[Output, Group(Output, _FORMAT)]


def grouped(command: Callable[..., int]) -> Callable[..., int]:
    """A command with the options in place of the parameters that stand for them, such as ``selection: OfObject``."""
    signature = inspect.signature(command, eval_str=True)
    groups = {one.name: group for one in signature.parameters.values() if (group := _group_of(one.annotation))}
    options = [
        option
        for one in signature.parameters.values()
        for option in (groups[one.name].options if one.name in groups else (one,))
    ]

    @wraps(command)
    def with_options(*arguments: Any, **given: Any) -> int:
        made = {name: group.take(given) for name, group in groups.items()}
        return command(*arguments, **given, **made)

    # What the parser reads instead of the command's own.
    with_options.__dict__["__signature__"] = signature.replace(parameters=options)
    with_options.__annotations__ = {option.name: option.annotation for option in options}
    return with_options


def _group_of(annotation: object) -> Group | None:
    return next((one for one in getattr(annotation, "__metadata__", ()) if isinstance(one, Group)), None)


def run_options(defaults: RunOptions, given: Mapping[str, Any]) -> RunOptions:
    """The file's ``[run]`` with what the command line says; None says nothing."""
    return defaults.model_copy(update={name: value for name, value in given.items() if value is not None})


def login_name() -> str:
    """Who is at the command line: the login name, or nothing where there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
