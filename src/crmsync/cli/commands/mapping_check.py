"""``crmsync mapping check``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Final

import anyio
import attrs
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import tables
from crmsync.cli.config import IntegrationSection, load_config
from crmsync.cli.config_text import field_line, setting_line
from crmsync.cli.exits import ExitCode
from crmsync.cli.object_mappings import ObjectSection
from crmsync.cli.options import OfObject, Selection, Shown, grouped
from crmsync.cli.output import Output, plain
from crmsync.cli.session import Session, Target, open_session
from crmsync.errors import CRMError
from crmsync.mapping import fixed
from crmsync.models.checks import Coverage, FieldUse, MappingCheck, MappingFinding, Severity
from crmsync.models.mappings import ObjectMapping
from crmsync.models.problems import Problem
from crmsync.models.records import Side
from crmsync.protocols.records import RecordStore

_STYLES: Final = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
_NAMES: Final = {Side.LOCAL: "local", Side.REMOTE: "CRM"}
_SHOWN: Final = 12


@attrs.frozen
class _Checked:
    """A check of one object, with the paths of the file. ``toml`` holds the lines that mend a finding, by its place."""

    target: Target
    check: MappingCheck
    findings: tuple[MappingFinding, ...]
    toml: Mapping[int, str]


@grouped
def check(
    *,
    selection: OfObject,
    accept: Annotated[
        bool, typer.Option("--accept", help="Take the CRM's schema as it is now: what changed is no longer reported.")
    ] = False,
    output: Shown,
) -> int:
    """Check the file's mappings against both sides: every fault at once, each with what mends it, and what is covered.

    No record is read or written. The exit code is 2 if a sync would refuse a mapping.
    """
    return anyio.run(_check, selection, accept, output)


async def _check(selection: Selection, accept: bool, output: Output) -> int:
    config = load_config(selection.path)
    found: list[_Checked] = []
    async with open_session(config) as session:
        known = {section.id for section in await session.known(selection.integration)}
        for target, local in await session.opened(selection):
            if target.integration.id not in known:
                await session.register(target.integration)
                known.add(target.integration.id)
            if accept:
                await session.crm.accept_schema(target.integration.id, target.object_name)
            found.append(await _checked(session, target, local))
    output.result({"checks": [_payload(one) for one in found]}, *(view for one in found for view in _views(one)))
    faulty = any(finding.severity is Severity.ERROR for one in found for finding in one.findings)
    return ExitCode.USAGE if faulty else ExitCode.SUCCESS


async def check_of_connection(session: Session, section: IntegrationSection) -> dict[str, MappingCheck]:
    """The checks of an integration's mappings, by object, as far as they can be made right after it was connected."""
    found = {}
    for name in session.objects(section):
        with suppress(CRMError):  # what hinders the check is for the check itself to tell; connected it is
            target = Target(section, name)
            found[name] = (await _checked(session, target, await session.local(target))).check
            if found[name].ok:
                await session.adopt(target, None)
    return found


def verdict_views(checks: Mapping[str, MappingCheck]) -> Iterator[Text]:
    """A line for each object whose mapping a sync would refuse."""
    for name, found in checks.items():
        if not found.ok:
            faults = len(found.of(Severity.ERROR))
            text = f"  the mapping of {plain(name)} has {faults} fault(s): see `crmsync mapping check`"
            yield Text(text, style="yellow")


def verdicts(checks: Mapping[str, MappingCheck]) -> dict[str, dict[str, Any]]:
    """The JSON form of these lines."""
    counted = (Severity.ERROR, Severity.WARNING)
    return {
        name: {"ok": found.ok, **{f"{severity}s": len(found.of(severity)) for severity in counted}}
        for name, found in checks.items()
    }


async def _checked(session: Session, target: Target, local: RecordStore) -> _Checked:
    section = session.config.objects[target.integration.id].get(target.object_name)
    mapping = section.mapping if section else None
    check = await session.crm.check_mapping(target.integration.id, target.object_name, local, mapping=mapping)
    if section is None or mapping is None:
        shown = section.problems if section else ()
        return _Checked(target, check, (*map(_of_file, shown), *check.findings), {})
    in_file = tuple(_of_file(problem) for problem in section.problems)
    at_fault = {finding.path for finding in in_file}
    sides = tuple(one for one in (_located(each, section) for each in check.findings) if one.path not in at_fault)
    findings = (*in_file, *sides)
    lines = {place: line for place, one in enumerate(findings) if (line := _toml(one, mapping))}
    return _Checked(target, check, findings, lines)


def _of_file(problem: Problem) -> MappingFinding:
    """A fault that the file shows without asking anybody."""
    return MappingFinding(
        path=problem.path,
        code=problem.code,
        severity=Severity.ERROR,
        message=problem.message,
        remedy=problem.remedy,
    )


def _located(finding: MappingFinding, section: ObjectSection) -> MappingFinding:
    """A finding with the path that it has in the file."""
    there = section.located(Problem(finding.path, finding.code, finding.message, finding.remedy))
    return finding.model_copy(update={"path": there.path, "message": there.message})


def _toml(finding: MappingFinding, mapping: ObjectMapping) -> str:
    """The lines of the file with which the finding is mended."""
    fix = finding.fix
    if fix is None:
        return ""
    mended = fixed(mapping, [fix])
    lines = [field_line(field) for field in fix.add]
    if fix.index is not None:
        return "\n".join([field_line(mended.fields[fix.index]), *lines])
    rest = mended.model_dump(mode="json", include=set(fix.settings))
    return "\n".join([*(setting_line(name, value) for name, value in rest.items()), *lines])


def _views(one: _Checked) -> Iterator[RenderableType]:
    errors, warnings = (
        sum(finding.severity is severity for finding in one.findings) for severity in (Severity.ERROR, Severity.WARNING)
    )
    verdict = ("would be refused", "bold red") if errors else ("is accepted", "bold green")
    name = f"{plain(one.target.integration.id)} {plain(one.target.object_name)}"
    yield Text.assemble((name, "bold"), ": the mapping ", verdict, f" ({errors} fault(s), {warnings} warning(s))")
    for place, finding in enumerate(one.findings):
        yield _finding(finding, one.toml.get(place, ""))
    yield from (_coverage(each) for each in one.check.coverage)


def _finding(finding: MappingFinding, toml: str) -> Text:
    text = Text.assemble(
        (f"  {finding.severity} ", _STYLES[finding.severity]),
        (plain(finding.path), "bold"),
        f": {plain(finding.message)} [{plain(finding.code)}]",
    )
    if finding.remedy:
        text.append(f"\n      {plain(finding.remedy)}", style="dim")
    for line in toml.splitlines():
        text.append(f"\n      {plain(line)}", style="green")
    return text


def _coverage(coverage: Coverage) -> RenderableType:
    uses = (FieldUse.MAPPED, FieldUse.OFF, FieldUse.MATCHED, FieldUse.UNMAPPED)
    rows = [(str(use), len(names), _listed(names)) for use in uses if (names := coverage.names(use))]
    if coverage.missing:
        rows.append(("required, not mapped", len(coverage.missing), _listed(coverage.missing)))
    title = f"{_NAMES[coverage.side]} fields of {plain(coverage.object_name)}"
    return tables.table(title, "", "which", rows=rows)


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest


def _payload(one: _Checked) -> dict[str, Any]:
    drifted = {(each.code, each.message) for each in one.check.drift}
    return {
        "integration_id": one.target.integration.id,
        "object": one.target.object_name,
        "ok": all(finding.severity is not Severity.ERROR for finding in one.findings),
        "findings": [
            {
                **finding.model_dump(mode="json", exclude={"fix"}),
                "drift": (finding.code, finding.message) in drifted,
                "toml": one.toml.get(place, ""),
            }
            for place, finding in enumerate(one.findings)
        ],
        "coverage": [{**each.model_dump(mode="json"), "missing": list(each.missing)} for each in one.check.coverage],
    }
