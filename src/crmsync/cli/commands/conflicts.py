"""``crmsync conflicts list``, ``show``, ``resolve`` and ``erase``."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from typing import Annotated, Final

import anyio
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import payloads, record_views, tables
from crmsync.cli.config import load_config
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.options import OfIntegration, OfObject, Selection, Shown, grouped, login_name
from crmsync.cli.output import Output
from crmsync.cli.session import Session, open_session
from crmsync.errors import NotFoundError
from crmsync.models.inbox import ConflictRule, RuleWinner, ValuePattern
from crmsync.models.state import Conflict, ConflictStatus, Decision

_EVERY: Final = 1_000_000
_DURATION: Final = re.compile(r"([0-9]{1,5})([mhdw])")
_UNITS: Final = {
    "m": dt.timedelta(minutes=1),
    "h": dt.timedelta(hours=1),
    "d": dt.timedelta(days=1),
    "w": dt.timedelta(weeks=1),
}

_WINNERS: Final = {**{one.value: one for one in RuleWinner}, "markmail": RuleWinner.LOCAL, "crm": RuleWinner.REMOTE}

app = typer.Typer(help="Look at conflicts, and decide those that wait.", no_args_is_help=True)

ConflictId = Annotated[
    str, typer.Argument(help="The id, from `crmsync conflicts list`; its beginning will do.", metavar="ID")
]


def duration(text: str) -> dt.timedelta:
    """``30m``, ``12h``, ``7d`` or ``2w`` as a duration."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter("say a number and a unit: 30m, 12h, 7d or 2w")
    return int(match[1]) * _UNITS[match[2]]


def winner_of(text: str) -> RuleWinner:
    """Whose value is kept, by any of the words for it."""
    found = _WINNERS.get(text.strip().lower())
    if found is None:
        raise typer.BadParameter("say local (or markmail), remote (or crm), newest, or nonblank")
    return found


Winner = Annotated[
    RuleWinner | None,
    typer.Option(
        "--winner",
        "-w",
        parser=winner_of,
        help="Whose value is kept and written to the other side; markmail is another word for local, crm for remote.",
        metavar="local|remote|newest|nonblank",
    ),
]
OlderThan = Annotated[
    dt.timedelta | None,
    typer.Option("--older-than", parser=duration, help="Met at least this long ago.", metavar="30m|12h|7d|2w"),
]


@app.command("list")
@grouped
def list_(
    *,
    selection: OfObject,
    show_all: Annotated[bool, typer.Option("--all", help="Also those that are decided or settled.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, oldest first.")] = 100,
    output: Shown,
) -> int:
    """List the conflicts that wait for a decision, with both values."""
    return anyio.run(_list, selection, show_all, limit, output)


@app.command()
@grouped
def show(conflict_id: ConflictId, *, selection: OfIntegration, output: Shown) -> int:
    """Show one conflict."""
    return anyio.run(_show, selection, conflict_id, output)


@app.command()
@grouped
def resolve(
    conflict_id: Annotated[str | None, typer.Argument(help="The id, or its beginning.", metavar="ID")] = None,
    *,
    winner: Winner = None,
    value: Annotated[
        str | None, typer.Option("--value", help="Write this to both sides instead; '' for a blank.", metavar="TEXT")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Decide all open conflicts that the options select.")] = False,
    field: Annotated[str | None, typer.Option("--field", help="Of this field, by either name.", metavar="NAME")] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="Parked by this policy.", metavar="NAME")] = None,
    older_than: OlderThan = None,
    values: Annotated[ValuePattern, typer.Option("--values", help="How the values compare.")] = ValuePattern.ANY,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be decided, and decide nothing.")] = False,
    by: Annotated[
        str | None, typer.Option("--by", help="Who decides; by default your login name.", metavar="NAME")
    ] = None,
    selection: OfObject,
    output: Shown,
) -> int:
    """Decide one conflict, or many by rule. The next sync writes the winner to the other side."""
    if (conflict_id is None) is not all_:
        raise UsageProblemError("name one conflict by its id, or say --all")
    if (winner is None) is (value is None):
        raise UsageProblemError("say whose value is kept with --winner, or give another with --value")
    who = login_name() if by is None else by
    if conflict_id is not None:
        if dry_run or field or policy or older_than or values is not ValuePattern.ANY:
            raise UsageProblemError("--field, --policy, --older-than, --values and --dry-run go with --all")
        return anyio.run(_resolve_one, selection, conflict_id, winner, Decision(value=value or None, by=who), output)
    if winner is None:
        raise UsageProblemError("--value decides one conflict, by its id")
    rule = ConflictRule(
        winner=winner,
        object_name=selection.object_name,
        field=field,
        policy=policy,
        older_than=older_than or dt.timedelta(0),
        values=values,
    )
    return anyio.run(_resolve_all, selection, rule, who, dry_run, output)


@app.command()
@grouped
def erase(
    conflict_id: Annotated[str | None, typer.Argument(help="The id, or its beginning.", metavar="ID")] = None,
    *,
    record: Annotated[
        str | None, typer.Option("--record", help="All of the record with this local id.", metavar="ID")
    ] = None,
    settled: Annotated[bool, typer.Option("--settled", help="Those that do not wait any more.")] = False,
    selection: OfIntegration,
    output: Shown,
) -> int:
    """Erase the values of conflicts; what was decided, when and by whom stays."""
    if conflict_id is None and record is None and not settled:
        raise UsageProblemError("name a conflict by its id, or say --record ID or --settled")
    return anyio.run(_erase, selection, conflict_id, record, settled, output)


async def _list(selection: Selection, show_all: bool, limit: int, output: Output) -> int:
    config = load_config(selection.path)
    statuses = tuple(ConflictStatus) if show_all else (ConflictStatus.OPEN,)
    found: list[Conflict] = []
    async with open_session(config) as session:
        for section in await session.known(selection.integration):
            found += await session.crm.conflicts(section.id, selection.object_name, statuses=statuses, limit=limit)
    found = found[:limit]
    views: list[RenderableType] = [
        record_views.conflicts_table(found)
        if found
        else Text("there are no conflicts" if show_all else "no conflict waits for a decision")
    ]
    if any(one.status is ConflictStatus.OPEN for one in found):
        views.append(Text("decide one with `crmsync conflicts resolve ID --winner local` (or crm)", style="dim"))
    payload = {"conflicts": [payloads.conflict_payload(one) for one in found]}
    output.result(payload, *views)
    return ExitCode.SUCCESS


async def _show(selection: Selection, conflict_id: str, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        found = await _find(session, selection.integration, conflict_id)
    output.result({"conflict": payloads.conflict_payload(found)}, record_views.conflict_view(found))
    return ExitCode.SUCCESS


async def _resolve_one(
    selection: Selection, conflict_id: str, winner: RuleWinner | None, given: Decision, output: Output
) -> int:
    async with open_session(load_config(selection.path)) as session:
        found = await _find(session, selection.integration, conflict_id)
        side = ConflictRule(winner=winner).winner_of(found) if winner else None
        if winner and side is None:
            raise UsageProblemError(
                f"of this conflict nobody can tell the {winner} value: say --winner local or remote"
            )
        decided = await session.crm.resolve_conflict(
            found.integration_id, found.id, side, value=given.value, by=given.by
        )
    whose = tables.SIDE_NAMES[side] if side else "the value given"
    text = f"1 conflict decided for {whose}; the next `crmsync sync` writes it"
    output.result({"conflicts": [payloads.conflict_payload(decided)]}, Text(text))
    return ExitCode.SUCCESS


async def _resolve_all(selection: Selection, rule: ConflictRule, by: str, dry_run: bool, output: Output) -> int:
    decided: list[Conflict] = []
    left = 0
    async with open_session(load_config(selection.path)) as session:
        for section in await session.known(selection.integration):
            outcome = await session.crm.resolve_conflicts(section.id, rule, by=by, dry_run=dry_run)
            decided += outcome.decided
            left += len(outcome.left)
    sides = Counter(one.winner for one in decided)
    text = ", ".join(f"{number} for {tables.SIDE_NAMES[side]}" for side, number in sides.items() if side)
    verb = "would be decided" if dry_run else "decided"
    then = "" if dry_run or not decided else "; the next `crmsync sync` writes them"
    views: list[RenderableType] = [record_views.conflicts_table(decided)] if dry_run and decided else []
    views.append(Text(f"{len(decided)} conflict(s) {verb}{f' ({text})' if text else ''}{then}"))
    if left:
        told = (
            f"{left} left: the rule cannot tell whose value is the {rule.winner}; decide with --winner local or remote"
        )
        views.append(Text(told, style="yellow"))
    found = [payloads.conflict_payload(one) for one in decided]
    output.result({"conflicts": found, "left": left, "dry_run": dry_run}, *views)
    return ExitCode.SUCCESS


async def _erase(
    selection: Selection, conflict_id: str | None, record: str | None, settled: bool, output: Output
) -> int:
    erased = 0
    async with open_session(load_config(selection.path)) as session:
        named = await _find(session, selection.integration, conflict_id) if conflict_id is not None else None
        for section in await session.known(selection.integration):
            if named is None or named.integration_id == section.id:
                erased += await session.crm.erase_conflict_values(
                    section.id,
                    conflict_ids=None if named is None else [named.id],
                    record_ids=None if record is None else [record],
                    settled=settled,
                )
    output.result({"erased": erased}, Text(f"the values of {erased} conflict(s) were erased"))
    return ExitCode.SUCCESS


async def _find(session: Session, integration: str | None, given: str) -> Conflict:
    """The conflict of this id, or of the only id that begins so."""
    found: list[Conflict] = []
    for section in await session.known(integration):
        try:
            return await session.crm.conflict(section.id, given)
        except NotFoundError:
            every = await session.crm.conflicts(section.id, statuses=tuple(ConflictStatus), limit=_EVERY)
            found += [one for one in every if one.id.startswith(given)]
    if len(found) > 1:
        raise UsageProblemError(f"{len(found)} conflicts have an id that begins with {given!r}: give more of it")
    if not found:
        raise NotFoundError(f"there is no conflict {given!r}")
    return found[0]
