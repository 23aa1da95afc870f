"""``crmsync verify``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Final

import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import tables
from crmsync.cli.config import load_config
from crmsync.cli.exits import UsageProblemError
from crmsync.cli.in_turn import RunsInTurn
from crmsync.cli.interruption import run_interruptible
from crmsync.cli.options import OfObject, Selection, Shown, grouped
from crmsync.cli.output import Output, plain
from crmsync.cli.progress import ProgressObserver
from crmsync.cli.session import open_session
from crmsync.models.runs import RunStatus
from crmsync.models.verification import VerifyOptions, VerifyReport

_ROWS: Final = 50
_PERCENT: Final = 100


@grouped
def verify(
    *,
    selection: OfObject,
    sample: Annotated[
        str | None, typer.Option("--sample", help="Compare a share of the pairs, such as 5%, not everything.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Chooses another sample.")] = 0,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what is found, by the mapping's rules.")] = False,
    output: Shown,
) -> int:
    """Compare both sides completely, whatever is known of them. Run it after a sync: what changed since counts, too."""
    options = VerifyOptions(sample=_share(sample), seed=seed, repair=repair)
    return run_interruptible(_verify, selection, options, output)


def _share(given: str | None) -> float | None:
    """A share as people write it: ``5%``, or ``0.05``.

    :raises UsageProblemError: it is none.
    """
    if given is None:
        return None
    text = given.strip()
    try:
        share = float(text.removesuffix("%")) / (_PERCENT if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageProblemError(f"--sample takes a share such as 5% or 0.05, not {given!r}")
    return share


async def _verify(selection: Selection, options: VerifyOptions, output: Output) -> int:
    config = load_config(selection.path)
    progress = ProgressObserver(output.err)
    reports: list[VerifyReport] = []
    turns = RunsInTurn(output)
    with turns.ending():
        async with open_session(config, [progress]) as session:
            due = await session.opened(selection)
            # Only what is written has to be there before what builds on it.
            for target, local in turns.each(due, session.parents) if options.repair else turns.each(due):
                await session.register(target.integration)
                await session.check(target, local)
                run = partial(session.crm.verify, target.integration.id, target.object_name, local, verify=options)
                with turns.noting(target), progress.drawing(enabled=output.interactive), session.locating(target):
                    await session.adopt(target, local)
                    reports.append(await run(options=config.content.run))
                    turns.statuses.append(_status(reports[-1]))
                    output.show(*_views(reports[-1]))
    return turns.end({"verifications": [one.model_dump(mode="json") for one in reports]})


def _status(report: VerifyReport) -> RunStatus:
    if report.consistent:
        return RunStatus.SUCCESS
    return report.repaired.status if report.repaired else RunStatus.PARTIAL


def _views(report: VerifyReport) -> Iterator[RenderableType]:
    share = "" if report.sample is None else f" (a sample of {report.sample:.3g})"
    verdict = "in step" if report.pairs or report.sample is None else "nothing was compared"
    if not report.consistent:
        verdict = f"{sum(report.counts.values())} finding(s)"
    waiting = f", {report.waiting} wait" if report.waiting else ""
    yield Text(
        f"{plain(report.integration_id)} {plain(report.entity_type)}: {report.pairs} pairs of {report.fields} fields"
        f" compared{share}{waiting}: {verdict}; {report.api_calls} API calls",
        style="green" if verdict == "in step" else "yellow",
    )
    if report.consistent:
        return
    counts = [(kind.value, "", count) for kind, count in report.counts.items() if not _of_fields(report, kind)]
    counts += [(kind.value, name, n) for name, kinds in report.by_field.items() for kind, n in kinds.items()]
    yield tables.table("what", "field", "records", rows=counts, tight=("what", "records"))
    rows = [(one.kind.value, one.markmail_id or "", one.crm_id or "", one.field or "") for one in report.findings]
    yield tables.table("what", "local id", "CRM id", "field", rows=rows[:_ROWS])
    if len(rows) > _ROWS:
        yield Text(f"{len(rows) - _ROWS} more; --format json lists {len(rows)}", style="dim")
    if report.repaired is None:
        yield Text("put right what the mapping's rules decide with `crmsync verify --repair`", style="dim")
    else:
        yield from tables.report_views(report.repaired)


def _of_fields(report: VerifyReport, kind: object) -> bool:
    return any(kind in kinds for kinds in report.by_field.values())
