"""The promise that one integration's methods neither see nor touch another's rows: every method of the protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from typing import Any, Final, TypeAlias

import attrs
import pytest
from typing_extensions import get_protocol_members

from crmsync.errors import LeaseLostError, NotFoundError, StorageError
from crmsync.models.erasure import PersonIds
from crmsync.models.history import FieldChange, RecordChange
from crmsync.models.integrations import Integration
from crmsync.models.problems import Problem
from crmsync.models.records import OperationKind, Side
from crmsync.models.state import (
    Acknowledgement,
    Allowance,
    ConflictSelection,
    Cursors,
    Decision,
    Lease,
    RemoteJob,
)
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.repository_audit import event, note
from crmsync.testing.repository_stops import DIGEST, plan, record, stop
from crmsync.testing.repository_subject import (
    CONTACT,
    NOW,
    OURS,
    THEIRS,
    TTL,
    RepositorySubject,
    conflict,
    entry,
    integration,
    lease_of,
    link,
    log,
    shadows,
)

DAY: Final = date(2026, 11, 26)
SECRET: Final = "of the others"
"""Stands in every row of the other integration, and in none of ours."""

_PERSON: Final = PersonIds(frozenset({"m3"}), frozenset({"c3"}))

Case: TypeAlias = Callable[[SyncRepository, Lease], Awaitable[object]]

UNSCOPED: Final[Mapping[str, str]] = {
    "delete_template": "templates belong to nobody",
    "get_template": "templates belong to nobody",
    "save_template": "templates belong to nobody",
    "list_templates": "templates belong to nobody",
    "scan_sealed": "the rotation of keys goes through all integrations",
    "replace_sealed": "the rotation of keys goes through all integrations",
    "audit_heads": "who verifies the audit log looks at every chain",
    "audit_keys": "one key signs all chains",
    "add_audit_key": "one key signs all chains",
    "replace_audit_key": "one key signs all chains",
}
"""The methods that no integration owns, and why."""

CASES: Final[Mapping[str, Case]] = {
    "save_integration": lambda r, _: r.save_integration(integration(OURS, user_id="changed")),
    "get_integration": lambda r, _: r.get_integration(OURS),
    "change_integration": lambda r, _: r.change_integration(
        OURS, lambda one: one.model_copy(update={"settings": {"changed": True}})
    ),
    "list_integrations": lambda r, _: r.list_integrations("user of ours"),
    "renew_lease": lambda r, lease: r.renew_lease(lease, now=NOW, ttl=2 * TTL),
    "links_by_local": lambda r, _: r.links_by_local(OURS, CONTACT, ["m1", "m2", "m3"]),
    "links_by_remote": lambda r, _: r.links_by_remote(OURS, CONTACT, ["c1", "c2", "c3"]),
    "scan_links": lambda r, _: r.scan_links(OURS, CONTACT),
    "count_links": lambda r, _: r.count_links(OURS, CONTACT),
    "get_cursors": lambda r, _: r.get_cursors(OURS, CONTACT),
    "add_journal": lambda r, lease: r.add_journal(lease, [entry("op1"), entry("op4")]),
    "list_journal": lambda r, _: r.list_journal(OURS, CONTACT),
    "add_remote_job": lambda r, lease: r.add_remote_job(lease, RemoteJob("750A", "Lead", "update", 9, NOW)),
    "list_remote_jobs": lambda r, _: r.list_remote_jobs(OURS, CONTACT),
    "remove_remote_job": lambda r, lease: r.remove_remote_job(lease, "750A"),
    "acknowledge": lambda r, lease: r.acknowledge(
        lease,
        Acknowledgement(
            links=(link(1, crm_id="c9"), link(4)),
            removed_links=("m2",),
            conflicts=(conflict(1, local_value="changed"),),
            resolved_conflicts=("k2",),
            done=("op1", "op2"),
            cursors=Cursors("9", "9", "9"),
        ),
    ),
    "add_log": lambda r, _: r.add_log(log(1, entity_count=99)),
    "list_logs": lambda r, _: r.list_logs(OURS),
    "purge_logs": lambda r, _: r.purge_logs(OURS, CONTACT, started_before=NOW + timedelta(days=9)),
    "reserve_calls": lambda r, _: r.reserve_calls(OURS, DAY, 5, needed=1, limit=None),
    "return_calls": lambda r, _: r.return_calls(OURS, DAY, 1, allowance=Allowance(1, 2, NOW)),
    "get_call_usage": lambda r, _: r.get_call_usage(OURS, DAY),
    "list_conflicts": lambda r, _: r.list_conflicts(OURS),
    "get_conflict": lambda r, _: r.get_conflict(OURS, "k1"),
    "decide_conflicts": lambda r, _: r.decide_conflicts(
        OURS, {"k1": Decision(Side.LOCAL), "k3": Decision(Side.LOCAL)}, now=NOW
    ),
    "erase_conflict_values": lambda r, _: r.erase_conflict_values(OURS, ConflictSelection(), now=NOW),
    "note_stop": lambda r, _: r.note_stop(stop(run_id="run-9")),
    "list_stops": lambda r, _: r.list_stops(OURS),
    "save_stopped_plan": lambda r, _: r.save_stopped_plan(OURS, CONTACT, plan(), [record(7)]),
    "stopped_records": lambda r, _: r.stopped_records(OURS, CONTACT, 0),
    "approve_stop": lambda r, _: r.approve_stop(OURS, CONTACT, DIGEST, by="Ann", now=NOW),
    "remove_stop": lambda r, _: r.remove_stop(OURS, CONTACT),
    "append_audit": lambda r, _: r.append_audit(note(event(OURS))),
    "audit_entries": lambda r, _: r.audit_entries(OURS),
    "audited": lambda r, _: r.audited(lambda _: note(event(OURS))).remove_stop(OURS, CONTACT),
    "list_changes": lambda r, _: r.list_changes(OURS, CONTACT),
    "purge_changes": lambda r, _: r.purge_changes(OURS, CONTACT, written_before=NOW + timedelta(days=9)),
    "erase_person": lambda r, lease: r.erase_person(lease, _PERSON, [b"mark", b"more"], now=NOW),
    "erased_among": lambda r, _: r.erased_among(OURS, [b"mark", b"other"]),
    "count_erased": lambda r, _: r.count_erased(OURS),
    "forget_erased": lambda r, _: r.forget_erased(OURS, [b"mark", b"more"]),
    "erase_changes": lambda r, _: r.erase_changes(OURS, CONTACT, ["m1", "c1", "m3", "c3"]),
    # These end what the others need.
    "acquire_lease": lambda r, _: r.acquire_lease(OURS, CONTACT, "late", now=NOW + 2 * TTL, ttl=TTL),
    "release_lease": lambda r, lease: r.release_lease(lease),
    "delete_integration": lambda r, _: r.delete_integration(OURS),
}
"""A call of each method on our integration, which has the ids that the other has; a new method needs one here."""


class IsolationPromises(RepositorySubject):
    """Two integrations hold rows of the same objects and ids. What is done to one leaves the other as it is."""

    async def test_every_method_of_the_protocol_has_its_case(self, repository: SyncRepository) -> None:
        assert isinstance(repository, SyncRepository)
        assert {*CASES, *UNSCOPED} == get_protocol_members(SyncRepository)

    async def test_no_method_shows_or_touches_another_integration(self, repository: SyncRepository) -> None:
        theirs = await fill(repository, THEIRS, SECRET)
        ours = await fill(repository, OURS, "of ours")
        before = await contents(repository, THEIRS)
        for method, call in CASES.items():
            shown = await call(repository, ours)
            assert SECRET not in _all_of(shown), method
            assert await contents(repository, THEIRS) == before, method
        assert (await repository.renew_lease(theirs, now=NOW, ttl=TTL)).fence == theirs.fence

    async def test_no_method_finds_what_only_another_integration_has(self, repository: SyncRepository) -> None:
        """Ours is empty: no lease, no row. What the other holds under the same ids is not found, and stays."""
        await fill(repository, THEIRS, SECRET)
        before = await contents(repository, THEIRS)
        for method, call in CASES.items():
            if method in {"save_integration", "acquire_lease"}:
                continue
            try:
                shown = await call(repository, Lease(OURS, CONTACT, "worker-1", 1, NOW + TTL))
            except (NotFoundError, LeaseLostError) as error:
                shown = error
            assert SECRET not in _all_of(shown), method
        assert await contents(repository, THEIRS) == before

    async def test_a_row_of_another_integration_is_refused_under_our_lease(self, repository: SyncRepository) -> None:
        await fill(repository, THEIRS, SECRET)
        ours = await fill(repository, OURS, "of ours")
        before = await contents(repository, THEIRS)
        there = (THEIRS, CONTACT)
        for page in (
            Acknowledgement(links=(link(1, there),)),
            Acknowledgement(conflicts=(conflict(1, there),)),
            Acknowledgement(changes=(_change(there, ""),)),
        ):
            with pytest.raises(StorageError):
                await repository.acknowledge(ours, page)
        with pytest.raises(StorageError):
            await repository.add_journal(ours, [entry("op1", there)])
        assert await contents(repository, THEIRS) == before


async def fill(repository: SyncRepository, name: str, text: str) -> Lease:
    """Rows of every kind, with the same ids in each integration, and a text of its own."""
    scope = (name, CONTACT)
    mine = integration(name, user_id=f"user {text}").model_copy(update={"settings": {"text": text}})
    await repository.save_integration(mine)
    lease = await lease_of(repository, scope)
    await repository.add_journal(lease, [entry(f"op{n}", scope, crm_id=text) for n in (1, 2, 3)])
    await repository.add_remote_job(lease, RemoteJob("750A", text, "insert", 1, NOW))
    problem = Problem("Email", "too_long", text)
    page = Acknowledgement(
        links=tuple(link(n, scope, problems=(problem,), **shadows()) for n in (1, 2, 3)),
        conflicts=tuple(conflict(n, scope, local_value=text) for n in (1, 2, 3)),
        changes=(_change(scope, text),),
        cursors=Cursors(text, text, "v"),
    )
    await repository.acknowledge(lease, page)
    await repository.erase_person(lease, PersonIds(frozenset({"gone"})), [b"mark", text.encode()], now=NOW)
    await repository.append_audit(note(event(name, details={"text": text})))
    await repository.add_log(log(1, scope, error_details={"text": text}))
    await repository.reserve_calls(name, DAY, 10, needed=1, limit=None)
    await repository.note_stop(stop(scope, message=text))
    await repository.save_stopped_plan(*scope, plan(), [attrs.evolve(record(1), markmail_id=text)])
    return lease


async def contents(repository: SyncRepository, name: str) -> Mapping[str, object]:
    """Everything that there is of an integration."""
    scope = (name, CONTACT)
    return {
        "integration": await repository.get_integration(name),
        "links": await repository.scan_links(*scope),
        "cursors": await repository.get_cursors(*scope),
        "journal": await repository.list_journal(*scope),
        "jobs": await repository.list_remote_jobs(*scope),
        "conflicts": await repository.list_conflicts(name),
        "logs": await repository.list_logs(name),
        "audit log": await repository.audit_entries(name),
        "calls": await repository.get_call_usage(name, DAY),
        "stops": await repository.list_stops(name),
        "stopped records": await repository.stopped_records(*scope, 0),
        "erased": await repository.erased_among(name, [b"mark", b"more", SECRET.encode()]),
        "changes": await repository.list_changes(*scope),
    }


def _all_of(shown: object) -> str:
    """Everything that a result holds, what no ``repr`` shows included."""
    kind: type[Any] = type(shown)
    if attrs.has(kind):
        return _all_of([getattr(shown, field.name) for field in attrs.fields(kind)])
    match shown:
        case Integration():
            return _all_of(shown.model_dump())
        case Mapping():
            return _all_of(list(shown.items()))
        case list() | tuple():
            return " ".join(map(_all_of, shown))
        case _:
            return repr(shown)


def _change(scope: tuple[str, str], text: str) -> RecordChange:
    fields = (FieldChange("first_name", text, text, ""),)
    return RecordChange(*scope, "run-1", Side.REMOTE, OperationKind.UPDATE, "m1", "c1", fields, NOW)
