from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.errors import StorageError
from crmsync.service.backups import compressed, inflated_lines


@given(st.lists(st.binary(max_size=200).map(lambda line: line.replace(b"\n", b"")), max_size=50), st.integers(1, 50))
def test_lines_come_back_however_the_stream_is_cut(lines: list[bytes], size: int) -> None:
    stream = b"".join(compressed(line + b"\n" for line in lines))
    parts = (stream[start : start + size] for start in range(0, len(stream), size))
    assert list(inflated_lines(parts)) == lines


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\x00" * 100,
        zlib.compress(b"a\nb\n")[:-1],
        zlib.compress(b"a\nb\n") + b"\x00",
        zlib.compress(b"a\nb"),
        b"".join(compressed([b"x" * 1000 + b"\n"]))[:10] + b"\xff" * 20,
    ],
)
def test_a_stream_that_is_broken_is_refused(stream: bytes) -> None:
    with pytest.raises(StorageError, match="damaged or incomplete"):
        list(inflated_lines([stream]))


def test_a_stream_that_inflates_without_end_is_refused_in_little_memory() -> None:
    """Zeros without end, one line that is longer than any row, a megabyte for each kilobyte."""

    def bomb() -> Iterator[bytes]:
        compressor = zlib.compressobj()
        while True:
            yield compressor.compress(bytes(1 << 20))

    tracemalloc.start()
    try:
        with pytest.raises(StorageError, match="damaged or incomplete"):
            list(inflated_lines(bomb()))
        assert tracemalloc.get_traced_memory()[1] < 2 * (1 << 25)
    finally:
        tracemalloc.stop()
