"""Calls side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from crmsync.errors import CRMError

T = TypeVar("T")


async def together(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """The results in order. None is cut short because another one failed: the first error is raised after all."""
    results: dict[int, T] = {}
    errors: list[CRMError] = []

    async def run(place: int) -> None:
        try:
            results[place] = await calls[place]()
        except CRMError as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        for place in range(len(calls)):
            group.start_soon(run, place)
    if errors:
        raise errors[0]
    return [results[place] for place in range(len(calls))]
