"""The promises on sealed texts, through which keys are rotated."""

from __future__ import annotations

import anyio

from crmsync.protocols.repository import SyncRepository
from crmsync.protocols.sealed import SealedChange, SealedText
from crmsync.testing.repository_subject import OURS, TEXTS, THEIRS, RepositorySubject, integration


class SealedPromises(RepositorySubject):
    """Texts are read in pages, and replaced only where nobody has written meanwhile."""

    async def test_texts_are_read_page_by_page_in_the_order_of_ids(self, repository: SyncRepository) -> None:
        for one in TEXTS:
            await seal(repository, one, f"text of {one}")
        found, after = list[SealedText](), ""
        while page := await repository.scan_sealed(after=after, limit=4):
            assert len(page) <= 4
            found += page
            after = page[-1].integration_id
        expected = {OURS: "", THEIRS: "", **{one: f"text of {one}" for one in TEXTS}}
        assert [(one.integration_id, one.text) for one in found] == sorted(expected.items())
        assert await repository.scan_sealed() == found

    async def test_a_text_is_replaced_and_nothing_else_changes(self, repository: SyncRepository) -> None:
        await seal(repository, OURS, "old")
        before = await repository.get_integration(OURS)
        assert await repository.replace_sealed([SealedChange(OURS, "old", "new")]) == {OURS}
        after = await repository.get_integration(OURS)
        assert after == before.model_copy(update={"credentials": "new"})

    async def test_a_text_that_was_written_meanwhile_or_is_gone_is_left_alone(self, repository: SyncRepository) -> None:
        await seal(repository, OURS, "newer")
        await seal(repository, THEIRS, "old")
        changes = [SealedChange(one, "old", "rotated") for one in (THEIRS, OURS, "nobody")]
        assert await repository.replace_sealed(changes) == {THEIRS}
        texts = {one.integration_id: one.text for one in await repository.scan_sealed()}
        assert texts == {OURS: "newer", THEIRS: "rotated"}
        assert await repository.replace_sealed([]) == set()

    async def test_writers_at_once_lose_nothing(self, repository: SyncRepository) -> None:
        await seal(repository, OURS, "0")
        wins = 0

        async def replace() -> None:
            nonlocal wins
            for _ in range(5):
                while True:
                    (text,) = [one.text for one in await repository.scan_sealed() if one.integration_id == OURS]
                    if await repository.replace_sealed([SealedChange(OURS, text, str(int(text) + 1))]):
                        wins += 1
                        break

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(replace)
        assert wins == 20
        assert (await repository.get_integration(OURS)).credentials == "20"

    async def test_no_text_is_shown(self, repository: SyncRepository) -> None:
        await seal(repository, OURS, "ciphertext")
        assert "ciphertext" not in repr(await repository.scan_sealed())
        assert "ciphertext" not in repr(SealedChange(OURS, "ciphertext", "ciphertext"))


async def seal(repository: SyncRepository, integration_id: str, text: str) -> None:
    """Store an integration with this text."""
    await repository.save_integration(integration(integration_id).model_copy(update={"credentials": text}))
