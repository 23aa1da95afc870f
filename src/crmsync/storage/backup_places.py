"""Where backups are: files, and objects of S3-compatible stores (extra ``backup``)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from crmsync.errors import ConfigurationError, MissingExtraError, StorageError

_S3: Final = "s3://"
_PART: Final = 1 << 20


def write(place: str, content: Iterable[bytes]) -> int:
    """Write a new backup as a whole or not at all; how many bytes it has.

    A file is readable by its owner alone. For S3, address and credentials come from the environment, as for AWS's own
    tools (``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_ACCESS_KEY_ID`` and so on).

    :raises StorageError: there is something already, or it cannot be written.
    :raises ConfigurationError: the place is neither a path nor ``s3://bucket/key``.
    :raises MissingExtraError: the extra ``backup`` is not installed.
    """
    return _write_object(place, content) if _is_object(place) else _write_file(Path(place), content)


def read(place: str) -> Iterator[bytes]:
    """The bytes of a backup, in parts.

    :raises StorageError: it is not there, or cannot be read.
    :raises ConfigurationError: see `write`.
    :raises MissingExtraError: see `write`.
    """
    return _read_object(place) if _is_object(place) else _read_file(Path(place))


def _is_object(place: str) -> bool:
    if "://" in place and not place.startswith(_S3):
        raise ConfigurationError(f"a backup is a file or s3://bucket/key, not {place.partition('://')[0]}://")
    return place.startswith(_S3)


def _write_file(path: Path, content: Iterable[bytes]) -> int:
    if path.exists() or path.is_symlink():
        raise StorageError(f"{path} exists already: name a new file")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise StorageError(f"the backup {path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            size = sum(map(file.write, content))
            file.flush()
            os.fsync(file.fileno())
        # Unlike a renamed file, a link replaces nothing that somebody made meanwhile.
        os.link(partial, path)
        return size
    except FileExistsError:
        raise StorageError(f"{path} exists already: name a new file") from None
    except OSError as error:
        raise StorageError(f"the backup {path} cannot be written: {error.strerror}") from None
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def _read_file(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while part := file.read(_PART):
                yield part
    except OSError as error:
        raise StorageError(f"the backup {path} cannot be read: {error.strerror}") from None


def _write_object(place: str, content: Iterable[bytes]) -> int:
    obstore, store, key = _opened(place)
    size = 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for part in content:
            size += len(part)
            yield part

    try:
        try:
            obstore.head(store, key)
        except FileNotFoundError:
            pass
        else:
            raise StorageError(f"{place} exists already: name a new object")
        obstore.put(store, key, counted())
    except obstore.exceptions.BaseError as error:
        raise _failed(place, error) from None
    return size


def _read_object(place: str) -> Iterator[bytes]:
    obstore, store, key = _opened(place)
    try:
        for part in obstore.get(store, key).stream(min_chunk_size=_PART):
            yield bytes(part)
    except FileNotFoundError:
        raise StorageError(f"the backup {place} is not there") from None
    except obstore.exceptions.BaseError as error:
        raise _failed(place, error) from None


def _opened(place: str) -> tuple[Any, Any, str]:
    try:
        import obstore  # noqa: PLC0415  (an extra of its own)
        from obstore import store  # noqa: PLC0415  (as above)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "obstore":
            raise
        raise MissingExtraError("a backup in an S3-compatible store", "backup") from error
    bucket, _, key = place.removeprefix(_S3).partition("/")
    if not bucket or not key or any(part in {"", ".", ".."} for part in key.split("/")):
        raise ConfigurationError("a backup's place in S3 reads like s3://bucket/folder/name")
    return obstore, store.S3Store(bucket), key


def _failed(place: str, error: Exception) -> StorageError:
    # What the store answered may name the address and the key's id; the kind of the error says enough.
    return StorageError(f"the backup {place} cannot be reached ({type(error).__name__}): check address and credentials")
