from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.errors import ConfigurationError, StorageError
from crmsync.security.sealed_stream import CHUNK, opened, sealed
from crmsync.security.vault import Vault

VAULT = Vault.from_key(Vault.generate_key())
OVERHEAD = len(b"".join(sealed(VAULT, [])))


def parts_of(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 17])
@pytest.mark.parametrize("size", [1000, CHUNK, 10 * CHUNK])
def test_what_was_sealed_comes_back_however_it_is_cut(length: int, size: int) -> None:
    content = os.urandom(length)
    stream = b"".join(sealed(VAULT, parts_of(content, size)))
    assert b"".join(opened(VAULT, parts_of(stream, 777))) == content
    assert len(stream) == OVERHEAD + length + 20 * max(0, -(-length // CHUNK) - 1)


def test_nothing_of_the_content_shows() -> None:
    assert b"secret" not in b"".join(sealed(VAULT, [b"secret" * 1000]))


@given(st.data())
def test_a_stream_that_was_changed_anywhere_does_not_come_to_its_end(data: st.DataObject) -> None:
    stream = bytearray(b"".join(sealed(VAULT, [bytes(2 * CHUNK)])))
    place = data.draw(st.integers(0, len(stream) - 1))
    stream[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((StorageError, ConfigurationError)):
        list(opened(VAULT, [bytes(stream)]))


@given(st.integers(1, 4 * CHUNK))
def test_a_stream_without_its_end_is_refused(cut: int) -> None:
    stream = b"".join(sealed(VAULT, [bytes(3 * CHUNK + 100)]))
    with pytest.raises(StorageError, match=r"no backup|damaged or incomplete"):
        list(opened(VAULT, [stream[: max(0, len(stream) - cut)]]))


def test_chunks_that_were_left_out_moved_doubled_or_added_are_refused() -> None:
    header, *chunks = sealed(VAULT, [os.urandom(3 * CHUNK)])
    other = list(sealed(VAULT, [os.urandom(CHUNK)]))
    first, second, last = chunks
    for changed in (
        [first, last],
        [second, first, last],
        [first, first, second, last],
        [first, second],
        [first, second, last, last],
        [first, second, last, b"\0"],
        [*other[1:], first, second, last],
        [first, other[1], last],
    ):
        with pytest.raises(StorageError, match="damaged or incomplete"):
            list(opened(VAULT, [header, *changed]))


def test_another_key_is_named_and_anything_else_is_no_backup() -> None:
    stream = b"".join(sealed(VAULT, [b"x"]))
    with pytest.raises(ConfigurationError, match=VAULT.key_ids[0]):
        list(opened(Vault.from_key(Vault.generate_key()), [stream]))
    with pytest.raises(StorageError, match="no backup"):
        list(opened(VAULT, [b"PK\x03\x04" + bytes(100)]))
    with pytest.raises(StorageError, match="newer crmsync"):
        list(opened(VAULT, [stream[:8] + b"\x02" + stream[9:]]))
