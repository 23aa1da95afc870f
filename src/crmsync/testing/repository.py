"""The promises of `SyncRepository` as tests, to be subclassed by whoever implements one.

    class TestShopRepository(RepositoryContract):
        @pytest.fixture(autouse=True)
        def place(self, tmp_path):
            self.path = tmp_path

        def open(self):
            return open_shop_repository(self.path)

The tests run on every event loop that the ``anyio_backend`` fixture offers. A promise that a repository cannot keep is
marked as an expected failure with the reason (override the test, mark it, call ``super()``); it is never removed. With
``pytest.register_assert_rewrite("crmsync.testing")`` in a ``conftest.py`` pytest explains failing assertions.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from crmsync.errors import ConcurrentUpdateError, MissingExtraError, NotFoundError, RejectedError

if find_spec("pytest") is None:
    raise MissingExtraError("crmsync.testing.repository", "testing")


import anyio
import pytest

from crmsync.models.integrations import Integration, MappingTemplate
from crmsync.models.mappings import MatchKeys, ObjectMapping, always_use_crm, two_way
from crmsync.models.state import Acknowledgement, Cursors
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.repository_audit import AuditPromises
from crmsync.testing.repository_calls import CallPromises
from crmsync.testing.repository_conflicts import DETAILS, ConflictPromises, LogPromises
from crmsync.testing.repository_erasure import ErasurePromises
from crmsync.testing.repository_history import HistoryPromises
from crmsync.testing.repository_isolation import IsolationPromises
from crmsync.testing.repository_jobs import JobPromises
from crmsync.testing.repository_journal import JournalPromises
from crmsync.testing.repository_leases import LeasePromises
from crmsync.testing.repository_links import LinkPromises
from crmsync.testing.repository_sealed import SealedPromises
from crmsync.testing.repository_stops import StopPromises
from crmsync.testing.repository_subject import (
    ABROAD,
    CONTACT,
    NOW,
    OURS,
    TEXTS,
    THEIRS,
    RepositorySubject,
    assert_utc,
    conflict,
    entry,
    ids_in,
    integration,
    lease_of,
    link,
    log,
)
from crmsync.testing.repository_templates import TemplatePromises
from crmsync.testing.repository_turns import TurnPromises

__all__ = ["RepositoryContract"]


class IntegrationPromises(RepositorySubject):
    """Integrations are kept whole, and everything of one goes with it."""

    async def test_an_integration_is_read_back_as_it_was_saved(self, repository: SyncRepository) -> None:
        full = Integration(
            id="full",
            user_id="O'Brien",
            provider="salesforce",
            org_id="00D000000000001",
            credentials="ciphertext:é",
            settings=dict(DETAILS),
            field_mappings={CONTACT: _mapping()},
            sync_enabled=False,
            last_sync_at=NOW,
            created_at=NOW.astimezone(ABROAD),
            updated_at=NOW,
        )
        await repository.save_integration(full)
        found = await repository.get_integration("full")
        assert found == full
        assert_utc(found.last_sync_at, found.created_at, found.updated_at)

    async def test_saving_again_replaces_and_keeps_what_belongs_to_it(self, repository: SyncRepository) -> None:
        await _fill(repository, (OURS, CONTACT))
        renewed = integration(OURS, user_id="user-2").model_copy(update={"settings": {"a": 1}})
        await repository.save_integration(renewed)
        assert await repository.get_integration(OURS) == renewed
        assert await _contents(repository, (OURS, CONTACT)) == _FILLED

    async def test_what_is_stored_shares_nothing_with_the_caller(self, repository: SyncRepository) -> None:
        settings: dict[str, Any] = {"list": [1]}
        given = integration("mine").model_copy(update={"settings": settings})
        await repository.save_integration(given)
        settings["list"].append(2)
        (await repository.get_integration("mine")).settings["list"].append(3)
        assert (await repository.get_integration("mine")).settings == {"list": [1]}

    async def test_changes_at_the_same_time_all_take_effect(self, repository: SyncRepository) -> None:
        async def add(name: str) -> None:
            await repository.change_integration(OURS, lambda one: _with_setting(one, name))

        async with anyio.create_task_group() as tasks:
            for name in "abcdef":
                tasks.start_soon(add, name)
        assert set((await repository.get_integration(OURS)).settings) == set("abcdef")
        assert (await repository.get_integration(THEIRS)).settings == {}

    async def test_a_change_returns_what_it_saved_and_keeps_what_belongs_to_it(
        self, repository: SyncRepository
    ) -> None:
        await _fill(repository, (OURS, CONTACT))
        saved = await repository.change_integration(OURS, lambda one: _with_setting(one, "a"))
        assert saved == await repository.get_integration(OURS)
        assert await _contents(repository, (OURS, CONTACT)) == _FILLED

    async def test_a_change_that_fails_changes_nothing(self, repository: SyncRepository) -> None:
        def fail(one: Integration) -> Integration:
            one.settings["a"] = 1
            raise RejectedError("no")

        with pytest.raises(RejectedError):
            await repository.change_integration(OURS, fail)
        assert (await repository.get_integration(OURS)).settings == {}
        with pytest.raises(NotFoundError, match="nobody"):
            await repository.change_integration("nobody", lambda one: one)

    async def test_an_unknown_integration_is_not_found(self, repository: SyncRepository) -> None:
        with pytest.raises(NotFoundError, match="nobody"):
            await repository.get_integration("nobody")
        with pytest.raises(NotFoundError, match="nobody"):
            await repository.delete_integration("nobody")

    async def test_integrations_are_listed_by_id_for_all_or_for_one_user(self, repository: SyncRepository) -> None:
        for integration_id in ("b", "B", "é", *TEXTS):
            await repository.save_integration(integration(integration_id, user_id="user's"))
        ids = [found.id for found in await repository.list_integrations()]
        assert ids == sorted(["b", "B", "é", *TEXTS, OURS, THEIRS])
        assert {found.id for found in await repository.list_integrations("user's")} == {"b", "B", "é", *TEXTS}
        assert await repository.list_integrations("nobody") == []

    async def test_a_deleted_integration_takes_everything_with_it(self, repository: SyncRepository) -> None:
        lease = await _fill(repository, (OURS, CONTACT))
        await _fill(repository, (THEIRS, CONTACT))
        await repository.delete_integration(OURS)
        with pytest.raises(NotFoundError):
            await repository.get_integration(OURS)
        with pytest.raises(ConcurrentUpdateError):
            await repository.acknowledge(lease, Acknowledgement(links=(link(9),)))
        await repository.save_integration(integration(OURS))
        assert await _contents(repository, (OURS, CONTACT)) == ([], Cursors(), [], [], [])
        with pytest.raises(ConcurrentUpdateError):
            await repository.add_journal(lease, [entry("9")])
        assert await _contents(repository, (THEIRS, CONTACT)) == _FILLED

    async def test_everything_is_still_there_when_it_is_opened_again(self, repository: SyncRepository) -> None:
        """For a repository that outlives its process (``persistent``)."""
        if not self.persistent:
            return
        first = await _fill(repository, (OURS, CONTACT))
        template = MappingTemplate(id="t", provider="p", name="n", mappings={}, created_at=NOW)
        await repository.save_template(template)
        async with self.open() as reopened:
            assert await reopened.get_integration(OURS) == integration(OURS)
            assert await _contents(reopened, (OURS, CONTACT)) == _FILLED
            assert await reopened.list_templates() == [template]
            assert (await lease_of(reopened)).fence == first.fence + 1
        assert await _contents(repository, (OURS, CONTACT)) == _FILLED


@pytest.mark.anyio
class RepositoryContract(
    IntegrationPromises,
    TemplatePromises,
    LeasePromises,
    LinkPromises,
    JournalPromises,
    ConflictPromises,
    LogPromises,
    CallPromises,
    JobPromises,
    StopPromises,
    HistoryPromises,
    SealedPromises,
    AuditPromises,
    ErasurePromises,
    TurnPromises,
    IsolationPromises,
):
    """Subclass, and override `open`."""


_FILLED = (["m1", "m2"], Cursors("l", "r", "v"), ["op-2"], ["k1"], ["run-1"])


async def _fill(repository: SyncRepository, scope: tuple[str, str]) -> Any:
    lease = await lease_of(repository, scope)
    await repository.add_journal(lease, [entry("op-1", scope), entry("op-2", scope)])
    page = Acknowledgement(
        links=(link(1, scope), link(2, scope)),
        conflicts=(conflict(1, scope),),
        done=("op-1",),
        cursors=Cursors("l", "r", "v"),
    )
    await repository.acknowledge(lease, page)
    await repository.add_log(log(1, scope))
    return lease


async def _contents(repository: SyncRepository, scope: tuple[str, str]) -> tuple[object, ...]:
    return (
        await ids_in(repository, scope),
        await repository.get_cursors(*scope),
        [waiting.op_id for waiting in await repository.list_journal(*scope)],
        [found.id for found in await repository.list_conflicts(scope[0])],
        [found.id for found in await repository.list_logs(scope[0])],
    )


def _with_setting(integration: Integration, name: str) -> Integration:
    return integration.model_copy(update={"settings": {**integration.settings, name: True}})


def _mapping() -> ObjectMapping:
    return ObjectMapping(
        fields=(
            two_way("first_name", "FirstName", value_map={"a'": "é"}),
            always_use_crm("score", "Score__c", default=0),
        ),
        match=MatchKeys(local_email="", remote_email="E"),
        delete_guard_share=0.25,
    )
