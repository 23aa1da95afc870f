"""``crmsync mapping suggest``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import anyio
import attrs
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import tables
from crmsync.cli.config import load_config
from crmsync.cli.config_text import field_line, key
from crmsync.cli.exits import ExitCode
from crmsync.cli.options import OfObject, Selection, Shown, grouped
from crmsync.cli.output import Output, plain
from crmsync.cli.session import Session, Target, open_session
from crmsync.mapping.suggestions import PROPOSED
from crmsync.models.suggestions import FieldSuggestion, MappingSuggestion

_SHOWN: Final = 12


@attrs.frozen
class _Asking:
    """What was asked for beside the selection."""

    samples: int
    scorers: tuple[str, ...]
    share_samples: bool
    least: float
    toml: bool


@attrs.frozen
class _Suggested:
    """What is suggested for one object. ``mapped`` are the file's pairs, local name to CRM name."""

    target: Target
    found: MappingSuggestion
    mapped: Mapping[str, str]

    def news(self) -> list[FieldSuggestion]:
        """The suggestions that the file says nothing of yet, neither of the one field nor of the other."""
        taken = set(self.mapped.values())
        return [one for one in self.found.fields if one.local_field not in self.mapped and one.crm_field not in taken]


@grouped
def suggest(
    *,
    selection: OfObject,
    samples: Annotated[
        int, typer.Option("--samples", min=0, max=2000, help="Look at the values of so many records of each side, too.")
    ] = 0,
    scorer: Annotated[
        list[str] | None, typer.Option("--scorer", help="Ask an installed scorer as well; may be given again.")
    ] = None,
    share_samples: Annotated[
        bool, typer.Option("--share-samples", help="Show the scorers values of records: personal data.")
    ] = False,
    least: Annotated[
        float, typer.Option("--least", min=0, max=1, help="The score from which on a pair is suggested.")
    ] = PROPOSED,
    toml: Annotated[
        bool, typer.Option("--toml", help="Print lines for the file: those that it does not have yet.")
    ] = False,
    output: Shown,
) -> int:
    """Suggest which fields of both sides correspond, with a score and the reason for each. Changes nothing."""
    asking = _Asking(samples, tuple(scorer or ()), share_samples, least, toml)
    return anyio.run(_suggest, selection, asking, output)


async def _suggest(selection: Selection, asking: _Asking, output: Output) -> int:
    config = load_config(selection.path)
    found: list[_Suggested] = []
    async with open_session(config) as session:
        known = {section.id for section in await session.known(selection.integration)}
        for target in _targets(session, selection):
            if target.integration.id not in known:
                await session.register(target.integration)
                known.add(target.integration.id)
            found.append(await _suggested(session, target, asking))
    views = [] if asking.toml else [view for one in found for view in _views(one)]
    output.result({"suggestions": [_payload(one) for one in found]}, *views)
    if asking.toml and not output.json:
        typer.echo("\n".join(line for one in found for line in _toml(one)))
    return ExitCode.SUCCESS


def _targets(session: Session, selection: Selection) -> Iterator[Target]:
    """What is configured; or one object, whether the file maps it or not yet."""
    if selection.object_name is None:
        yield from session.targets(selection)
    else:
        for section in session.sections(selection.integration):
            yield Target(section, selection.object_name)


async def _suggested(session: Session, target: Target, asking: _Asking) -> _Suggested:
    found = await session.crm.suggest_mapping(
        target.integration.id,
        target.object_name,
        await session.local(target),
        samples=asking.samples,
        scorers=asking.scorers,
        share_samples=asking.share_samples,
        least=asking.least,
    )
    section = session.config.objects[target.integration.id].get(target.object_name)
    fields = section.mapping.fields if section is not None and section.mapping is not None else ()
    return _Suggested(target, found, {field.markmail_field: field.crm_field for field in fields})


def _views(one: _Suggested) -> Iterator[RenderableType]:
    rows = [
        (each.local_field, each.crm_field, f"{each.score:.2f}", "; ".join(each.reasons), _standing(one, each))
        for each in one.found.fields
    ]
    title = f"{plain(one.target.integration.id)} {plain(one.target.object_name)}"
    yield tables.table("your field", "CRM field", "score", "because", "in the file", rows=rows, title=title)
    if one.found.unmatched:
        yield Text(f"nothing found for: {_listed(list(one.found.unmatched))}")
    if one.found.left_over:
        yield Text(f"fields of the CRM without a counterpart: {_listed(list(one.found.left_over))}", style="dim")
    if one.news():
        yield Text("nothing was changed: add what is right to the file (--toml prints the lines)")


def _standing(one: _Suggested, suggestion: FieldSuggestion) -> str:
    held = one.mapped.get(suggestion.local_field)
    if held is None:
        return ""
    return "yes" if held == suggestion.crm_field else f"{held} instead"


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return plain(", ".join(names[:_SHOWN]) + rest)


def _toml(one: _Suggested) -> Iterator[str]:
    yield f"# below [integrations.objects.{key(one.target.object_name)}.fields] of {plain(one.target.integration.id)}"
    for each in one.news():
        yield f"{field_line(each.mapping())}  # {each.score:.2f}: {plain('; '.join(each.reasons))}"


def _payload(one: _Suggested) -> dict[str, Any]:
    news = {each.local_field for each in one.news()}
    return {
        "integration_id": one.target.integration.id,
        "object": one.target.object_name,
        "fields": [
            {
                **attrs.asdict(each),
                "in_file": one.mapped.get(each.local_field),
                "toml": field_line(each.mapping()) if each.local_field in news else "",
            }
            for each in one.found.fields
        ],
        "unmatched": {
            name: [attrs.asdict(each) for each in alternatives] for name, alternatives in one.found.unmatched.items()
        },
        "left_over": list(one.found.left_over),
    }
