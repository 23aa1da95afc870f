"""After all is judged: the last run that wrote is undone, and each site looked at."""

from __future__ import annotations

from collections.abc import Mapping

from crmsync.models.records import OperationKind, Side
from tests.property.engine.knowledge import ACME, BETA
from tests.property.engine.ledger import Effect, plain
from tests.property.engine.promises import Promise
from tests.property.engine.stage import Stage

Values = Mapping[str, tuple[object, object]]


async def take_back(stage: Stage) -> None:
    """What still is as the run left it is as it was before the run; nothing else changed; a plan repeats nothing."""
    told = {change.run_id for remote in (ACME, BETA) for change in await stage.changes(remote)}
    last = next((effect for effect in reversed(stage.ledger.effects) if effect.run_id in told), None)
    if last is None:
        return
    remote = last.remote
    effects = [effect for effect in stage.ledger.effects if effect.run_id == last.run_id]
    links = await stage.links(remote)
    before = stage.sites.snapshot()
    await stage.undo(remote, last.run_id)
    now = stage.sites.snapshot()
    deleted = any(effect.kind is OperationKind.DELETE for effect in effects)
    for side, site in stage.sides(remote):
        linked = {link.markmail_id if side is Side.LOCAL else link.crm_id for link in links}
        records = {effect.record for effect in effects if effect.side is side}
        for record in sorted(records & linked):
            those = [effect for effect in effects if (effect.side, effect.record) == (side, record)]
            _judge_record(stage, those, before[site].get(record), now[site].get(record))
        changed = [r for r in {**before[site], **now[site]} if before[site].get(r) != now[site].get(r)]
        # What was deleted comes back under a new id.
        others = [r for r in changed if r not in records and not (deleted and r not in before[site])]
        stage.hold(
            Promise.UNDO, not others, f"{remote}: the undo changed {others} at {site}, which the run did not write"
        )
    # Where one of several candidates goes, another one may be met.
    if not deleted and not stage.people.odd:
        plan = await stage.plan(remote)
        stage.hold(Promise.UNDO, plan.writes == 0, f"{remote}: after the undo a plan has {plan.writes} writes")


def _judge_record(
    stage: Stage, effects: list[Effect], before: Mapping[str, object] | None, now: Mapping[str, object] | None
) -> None:
    """A record that the run wrote, perhaps more than once."""
    if before is None or any(effect.kind is OperationKind.DELETE for effect in effects):
        return
    told = f"{effects[0].remote}: {effects[0].record} at the {effects[0].side} side"
    as_left: dict[str, tuple[object, object]] = {}
    for effect in effects:
        for name, (old, new) in effect.fields.items():
            as_left[name] = (as_left[name][0] if name in as_left else old, new)
    still = {name: old for name, (old, new) in as_left.items() if plain(before.get(name)) == plain(new)}
    if effects[0].kind is OperationKind.CREATE:
        kept = now is not None
        stage.hold(
            Promise.UNDO, kept is (len(still) < len(as_left)), f"{told} was created, and is {now} after the undo"
        )
        return
    wanted = {name: plain(still.get(name, value)) for name, value in before.items()}
    held = now and {name: plain(now.get(name)) for name in wanted}
    stage.hold(Promise.UNDO, held == wanted, f"{told} is {held} after the undo, not {wanted}")
