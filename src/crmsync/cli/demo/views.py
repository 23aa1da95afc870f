"""What the demo shows people, act by act."""

from __future__ import annotations

from collections import Counter

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from crmsync.cli import tables
from crmsync.cli.demo.convergence import Comparison
from crmsync.cli.demo.edits import Day
from crmsync.cli.demo.population import Population
from crmsync.cli.demo.scenario import Course, Look


def opening(population: Population, url: str) -> list[RenderableType]:
    """Where we are, and what stands on both sides."""
    here, there = len(population.subscribers), len(population.contacts)
    return [
        Text.assemble("A Salesforce emulator runs at ", (url, "bold")),
        Text(
            f"It has {there} contacts, a table of ours {here} subscribers; many are the same people, not quite alike."
        ),
        Text(
            f"On purpose, {len(population.spoilt)} rows hold a value that the CRM refuses, and"
            f" {len(population.doubled)} e-mail addresses stand twice on one side."
        ),
    ]


def act(title: str, course: Course) -> list[RenderableType]:
    """The last run under a heading; of its problems only how many there are of each kind."""
    report = course.reports[-1]
    views = [Text(f"\n{title}", style="bold cyan"), *tables.report_views(report.model_copy(update={"problems": ()}))]
    kinds = Counter(problem.code for problem in report.problems)
    if kinds:
        counted = ", ".join(f"{count} {code}" for code, count in kinds.most_common())
        views.append(Text(f"{report.problem_count} records hold what someone must mend ({counted})", style="yellow"))
    return views


def edits(day: Day) -> Text:
    """What people did between two runs."""
    return Text(
        f"\nThen people work: {len(day.local)} subscribers and {len(day.remote)} contacts are edited"
        f" ({len(day.apart)} on both sides in different fields, {len(day.clashes)} on both sides in the same field),"
        f" {len(day.opted_out)} opt out in the CRM, {len(day.deleted_here) + len(day.deleted_there)} are deleted,"
        " and one is new on each side."
    )


def merged(before: Look, after: Look) -> Table:
    """One person before and after: each side's own value, and what both hold now. Only what differed or changed."""
    rows = []
    for name in after.local:
        values = [tables.shown_value(side.get(name)) for side in (before.local, before.remote, after.local)]
        if len(set(values)) > 1:
            rows.append((name, *values))
    return tables.table("field", "ours, before", "CRM, before", "both, after", rows=rows, title=before.title)


def ending(course: Course, seconds: float, peak_mb: float, kept: str | None) -> list[RenderableType]:
    """The verdict, and where to go next."""
    comparison = course.comparison
    pairs = comparison.pairs if comparison else 0
    if course.converged:
        verdict = Text.assemble(
            ("\nIn step: ", "bold green"),
            f"both sides were read again and {pairs} pairs hold the same; the last run wrote nothing.",
        )
    else:
        verdict = Text.assemble(
            ("\nNOT in step", "bold red"), ": please report this, with the output of --format json."
        )
    cost = f"{seconds:.1f} s in all, {_calls(course)}, peak memory of this process {peak_mb:.0f} MB."
    following = (
        f"Look around with `crmsync status --config {kept}`, or try your own CSV: `crmsync emulator` tells how."
        if kept
        else "Next: try your own CSV. `crmsync emulator` starts an org to play with and tells the next commands."
    )
    left_out = [Text(_left_out(comparison))] if comparison else []
    return [verdict, *left_out, Text(cost, style="dim"), Text(f"\n{following}", style="bold")]


def _left_out(comparison: Comparison) -> str:
    """What was spoilt on purpose: records that wait, as the runs say, and pairs that lack a value only."""
    waiting = comparison.excused - 2 * comparison.excused_pairs
    return (
        f"Left out of that is what was spoilt on purpose: {waiting} records that every run tries again until mended,"
        f" and {comparison.excused_pairs} pair(s) linked without an e-mail address that the CRM would refuse."
    )


def _calls(course: Course) -> str:
    """The calls of each run as its report says, and as the CRM counted them if that is fewer."""
    said = " + ".join(str(report.remote.api_calls) for report in course.reports)
    counted = " + ".join(map(str, course.api_calls))
    # It asks for no login to list its versions, and counts that no more than who signed in.
    fewer = f" (the CRM counts {counted}: asking for its versions and the user is free)" if counted != said else ""
    return f"{said} API calls{fewer}"
