"""The number of calls on their way at once."""

from __future__ import annotations

from contextlib import suppress

import anyio
import pytest

from crmsync.errors import RejectedError, UnavailableError
from crmsync.providers.salesforce.flight import Flight

pytestmark = pytest.mark.anyio


async def pressed(flight: Flight) -> None:
    with suppress(UnavailableError):
        async with flight.slot():
            await anyio.lowlevel.checkpoint()
            raise UnavailableError("busy")


async def went_well(flight: Flight, times: int) -> None:
    for _ in range(times):
        async with flight.slot():
            pass


async def test_pressure_halves_it_down_to_one() -> None:
    flight = Flight(10)
    widths = []
    for _ in range(5):
        await pressed(flight)
        widths.append(flight.width)
    assert widths == [5, 2, 1, 1, 1]


async def test_calls_refused_together_count_once() -> None:
    flight = Flight(8)
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(pressed, flight)
    assert flight.width == 4


async def test_it_grows_by_one_for_each_round_that_went_well_up_to_its_most() -> None:
    flight = Flight(4)
    await pressed(flight)
    await pressed(flight)
    await went_well(flight, 1)
    assert flight.width == 2
    await went_well(flight, 2)
    assert flight.width == 3
    await went_well(flight, 100)
    assert flight.width == 4


async def test_an_error_that_is_no_pressure_changes_nothing() -> None:
    flight = Flight(4)
    with pytest.raises(RejectedError):
        async with flight.slot():
            raise RejectedError("bad row")
    assert flight.width == 4


async def test_it_never_lets_more_in_than_its_width() -> None:
    flight = Flight(4)
    await pressed(flight)
    inside = most = 0

    async def call() -> None:
        nonlocal inside, most
        async with flight.slot():
            inside += 1
            most = max(most, inside)
            await anyio.lowlevel.checkpoint()
            inside -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(call)
    assert most == 2
