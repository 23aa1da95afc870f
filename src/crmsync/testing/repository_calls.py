"""The promises on the day's budget of API calls, which all processes of an integration share."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from crmsync.errors import NotFoundError
from crmsync.models.state import Allowance, CallUsage
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.repository_subject import NOW, OURS, THEIRS, RepositorySubject, assert_utc, integration

DAY = NOW.date()
NEXT_DAY = DAY + timedelta(days=1)


class CallPromises(RepositorySubject):
    """Calls are taken by whole blocks, never more than the limit, and what was not used comes back."""

    async def test_what_is_reserved_is_counted_for_its_day_and_integration(self, repository: SyncRepository) -> None:
        assert await repository.get_call_usage(OURS, DAY) == CallUsage(OURS, DAY)
        assert await repository.reserve_calls(OURS, DAY, 20, needed=1, limit=None) == 20
        assert await repository.reserve_calls(OURS, DAY, 5, needed=5, limit=100) == 5
        assert (await repository.get_call_usage(OURS, DAY)).taken == 25
        assert (await repository.get_call_usage(OURS, NEXT_DAY)).taken == 0
        assert (await repository.get_call_usage(THEIRS, DAY)).taken == 0

    async def test_the_last_calls_of_a_day_are_given_if_they_are_enough(self, repository: SyncRepository) -> None:
        await repository.reserve_calls(OURS, DAY, 20, needed=1, limit=25)
        assert await repository.reserve_calls(OURS, DAY, 20, needed=6, limit=25) == 0
        assert await repository.reserve_calls(OURS, DAY, 20, needed=5, limit=25) == 5
        assert await repository.reserve_calls(OURS, DAY, 20, needed=1, limit=25) == 0
        assert (await repository.get_call_usage(OURS, DAY)).taken == 25
        assert await repository.reserve_calls(OURS, NEXT_DAY, 20, needed=1, limit=25) == 20

    async def test_a_limit_below_what_was_taken_gives_nothing(self, repository: SyncRepository) -> None:
        await repository.reserve_calls(OURS, DAY, 20, needed=1, limit=None)
        assert await repository.reserve_calls(OURS, DAY, 20, needed=1, limit=10) == 0
        assert (await repository.get_call_usage(OURS, DAY)).taken == 20

    async def test_unused_calls_can_be_taken_again(self, repository: SyncRepository) -> None:
        await repository.reserve_calls(OURS, DAY, 20, needed=1, limit=20)
        await repository.return_calls(OURS, DAY, 7)
        assert (await repository.get_call_usage(OURS, DAY)).taken == 13
        assert await repository.reserve_calls(OURS, DAY, 20, needed=1, limit=20) == 7

    async def test_more_than_was_taken_cannot_come_back(self, repository: SyncRepository) -> None:
        await repository.return_calls(OURS, DAY, 5)
        await repository.reserve_calls(OURS, DAY, 5, needed=1, limit=None)
        await repository.return_calls(OURS, DAY, 9)
        assert (await repository.get_call_usage(OURS, DAY)).taken == 0

    async def test_the_latest_word_of_the_crm_is_kept(self, repository: SyncRepository) -> None:
        late = Allowance(100, 5000, NOW + timedelta(seconds=1))
        await repository.reserve_calls(OURS, DAY, 5, needed=1, limit=None)
        await repository.return_calls(OURS, DAY, 0, allowance=late)
        await repository.return_calls(OURS, DAY, 0, allowance=Allowance(90, 5000, NOW))
        await repository.return_calls(OURS, DAY, 1)
        found = await repository.get_call_usage(OURS, DAY)
        assert found == CallUsage(OURS, DAY, 4, late)
        assert found.allowance is not None
        assert_utc(found.allowance.seen_at)

    async def test_an_integration_that_is_not_there_has_no_calls(self, repository: SyncRepository) -> None:
        with pytest.raises(NotFoundError):
            await repository.reserve_calls("nobody", DAY, 5, needed=1, limit=None)
        await repository.return_calls("nobody", DAY, 5)
        assert (await repository.get_call_usage("nobody", DAY)).taken == 0

    async def test_the_calls_of_an_integration_go_with_it(self, repository: SyncRepository) -> None:
        await repository.reserve_calls(OURS, DAY, 5, needed=1, limit=None)
        await repository.delete_integration(OURS)
        await repository.save_integration(integration())
        assert (await repository.get_call_usage(OURS, DAY)).taken == 0

    async def test_many_who_reserve_at_once_get_the_limit_together_and_no_more(
        self, repository: SyncRepository
    ) -> None:
        assert sum(await _reserved([repository] * 10)) == 25

    async def test_two_openings_share_the_limit(self, repository: SyncRepository) -> None:
        """Two processes, in effect."""
        if not self.persistent:
            return
        async with self.open() as second:
            assert sum(await _reserved([repository, second] * 5)) == 25


async def _reserved(repositories: list[SyncRepository]) -> list[int]:
    """What each gets of 25 when all ask for 4 at the same time."""
    got: list[int] = []

    async def reserve(repository: SyncRepository) -> None:
        got.append(await repository.reserve_calls(OURS, DAY, 4, needed=1, limit=25))

    async with anyio.create_task_group() as tasks:
        for repository in repositories:
            tasks.start_soon(reserve, repository)
    return got
