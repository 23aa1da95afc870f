"""The command tree. The module of a command is imported when that command is given: none waits for the others."""

from __future__ import annotations

import importlib
from collections.abc import Container
from typing import Annotated, Any, Final

import attrs
import typer

_EPILOG: Final = (
    "Exit codes: 0 success; 1 failure; 2 the command line or the configuration is at fault; 3 partial (records were"
    " rejected or conflicts wait for a decision, everything else is in step); 4 a guard stopped the run before it did"
    " harm; 130 interrupted. Add --debug to any command for the traceback of an error."
)


@attrs.frozen
class Place:
    """Where a command is: a module of `crmsync.cli.commands`, and there a function or a group of commands.

    ``summary`` is what it says of itself first; it stands here, too, so that help imports nothing.
    """

    home: str
    summary: str

    def load(self) -> Any:
        """Import it: a function, or a `typer.Typer`."""
        module, _, name = self.home.partition(":")
        return getattr(importlib.import_module(f"crmsync.cli.commands.{module}"), name)


PLACES: Final = {
    "demo": Place(
        "demo:demo",
        "Watch a two-way sync: a Salesforce emulator, made-up people, edits on both sides, three runs.",
    ),
    "init": Place("beginning:init", "Write a configuration file to begin with, and a key file."),
    "connect": Place("connecting:connect", "Sign in to a CRM, or store credentials, and test the connection."),
    "disconnect": Place("connecting:disconnect", "Revoke the credentials at the CRM and forget them."),
    "fields": Place("looking:fields", "List the fields that the CRM offers to this credential."),
    "plan": Place("runs:plan", "Show what a sync would write on each side. Writes nothing."),
    "sync": Place("runs:sync", "Bring both sides in step. Run it again at any time: it goes on where it stopped."),
    "verify": Place(
        "verifying:verify",
        "Compare both sides completely, whatever is known of them."
        " Run it after a sync: what changed since counts, too.",
    ),
    "status": Place("looking:status", "Show how many records are in step, and what needs attention."),
    "history": Place(
        "history:history",
        "Show what syncs wrote, field by field. Objects with `history_days` in the configuration have a history.",
    ),
    "undo": Place("history:undo", "Take back what a run wrote on both sides, as far as nobody changed it since."),
    "pause": Place(
        "links:pause", "Refuse syncs until `crmsync resume`. Changes are taken in by the first sync after it."
    ),
    "resume": Place("links:resume", "Allow syncs again."),
    "logs": Place("looking:logs", "List the runs, newest first."),
    "providers": Place("looking:providers", "List the installed providers, storages and local sides."),
    "emulator": Place("emulating:app", "Run a Salesforce emulator to try things on, until Ctrl-C."),
    "conflicts": Place("conflicts:app", "Look at conflicts, and decide those that wait."),
    "rejects": Place(
        "rejects:app",
        "Look at the records that could not be synced; retry them, ignore them, choose a counterpart.",
    ),
    "links": Place("links:app", "Look at which records belong together; link and separate them by hand."),
    "mapping": Place("mappings:app", "Look at a mapping, and at what a changed one would do, before it does it."),
    "stops": Place("stops:app", "Look at what stopped runs would have done; approve or drop it."),
    "db": Place("databases:app", "Look after the bookkeeping's database."),
    "keys": Place("keys:app", "The keys that encrypt stored credentials: look at them, rotate them."),
    "audit": Place("audit:app", "Who did what: list it, prove that it is whole, export it."),
    "privacy": Place("privacy:app", "What is held about a person; erase a person; where values are kept."),
}
"""In the order in which help lists them."""


def command_tree(given: Container[str]) -> typer.Typer:
    """The tree for a command line of these words; the commands that are not among them are there by summary only."""
    tree = typer.Typer(
        name="crmsync",
        help="Keep your records and a CRM in step, both ways.\n\nNew here? Run `crmsync demo`, then `crmsync init`.",
        epilog=_EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    tree.callback()(_program)
    for name, place in PLACES.items():
        found = place.load() if name in given else _summarised
        if isinstance(found, typer.Typer):
            tree.add_typer(found, name=name)
        else:
            tree.command(name, help=None if name in given else place.summary)(found)
    return tree


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - no command needs it

        typer.echo(f"crmsync {version('crmsync')}")
        raise typer.Exit


def _program(
    *,
    version_: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def _summarised() -> None:
    """Stand for a command that is not given."""
    raise NotImplementedError
