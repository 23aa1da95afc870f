"""A file that is read and replaced as a whole: atomically, and only if it is still what was read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from crmsync.errors import AccessDeniedError, UnavailableError

_SETTLED_NS = 2_000_000_000
_LOOKS = 5


class WholeFile:
    """One file, which other programs may save at any time. All methods block; they are for worker threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: tuple[tuple[int, ...], str] | None = None

    def read(self, unless: str = "") -> tuple[bytes | None, str]:
        """The content (None if it still is the one with the digest ``unless``) and its digest.

        :raises UnavailableError: it is not there, or cannot be read now.
        :raises AccessDeniedError: reading it is not permitted.
        """
        with _translated("read"):
            signature = _signature(self.path)
            if self._known == (signature, unless):
                return None, unless
            content = self.path.read_bytes()
            for _ in range(_LOOKS):
                before, signature = signature, _signature(self.path)
                if before == signature:
                    break
                # Saved while it was read: what was read may be half of the one and half of the other.
                content = self.path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            # A save within the clock's grain of another leaves the same time, so only an old time proves anything.
            settled = time.time_ns() - signature[0] > _SETTLED_NS
            self._known = (signature, digest) if settled else None
            return (None if digest == unless else content), digest

    def replace(self, content: bytes, digest: str) -> bool:
        """Put this content in the place of the one with this digest; False, and no effect, if the file has another now.

        The new file is on the disk before it takes the old one's place, with its mode. A process that is killed may
        leave a hidden ``.tmp`` file behind. Between the last look and the replacement lie microseconds: a save by a
        program that takes no lock could still be lost there.

        :raises UnavailableError: the disk is full, or the file cannot be written now.
        :raises AccessDeniedError: writing in the folder is not permitted.
        """
        target = Path(os.path.realpath(self.path))
        with _translated("write"):
            if not os.access(target, os.W_OK):
                raise PermissionError
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    _copy_ownership(target, Path(name))
                    os.fsync(file.fileno())
                self._known = None
                if self.read(digest)[1] != digest:
                    return False
                os.replace(name, target)  # noqa: PTH105 - a name, of a file that is not ours to wrap
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)  # noqa: PTH108 - as above
            self._known = None
            _sync_folder(target.parent)
            return True

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other stores, in this and in other processes, from replacing the file. Programs of others do not ask."""
        if sys.platform == "win32":
            yield
            return
        import fcntl  # noqa: PLC0415 - not on every platform

        while True:
            with _translated("read"), open(self.path, "rb") as file:  # noqa: PTH123 - for its descriptor
                with contextlib.suppress(OSError):
                    # Some network file systems have no locks; then only the last look before replacing is left.
                    fcntl.flock(file, fcntl.LOCK_EX)
                current = os.fstat(file.fileno()).st_ino == self.path.stat().st_ino
                # If another store replaced the file while we waited, the lock is on what it was.
                if current:
                    yield
                    return


def _signature(path: Path) -> tuple[int, ...]:
    state = path.stat()
    return (state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino, state.st_dev)


def _copy_ownership(source: Path, target: Path) -> None:
    state = source.stat()
    target.chmod(stat.S_IMODE(state.st_mode))
    if hasattr(os, "chown"):
        with contextlib.suppress(PermissionError):
            os.chown(target, state.st_uid, state.st_gid)


def _sync_folder(folder: Path) -> None:
    """Make the replacement itself outlast a power failure, where folders can be synced."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UnavailableError("there is no such file") from None
    except IsADirectoryError:
        raise UnavailableError("this is a folder, not a file") from None
    except PermissionError:
        raise AccessDeniedError(f"no permission to {doing} it (or another program keeps it open)") from None
    except OSError as error:
        if error.errno == errno.EROFS:
            raise AccessDeniedError("the file system is read-only") from None
        raise UnavailableError(f"it cannot be {doing}: {error.strerror or 'input/output error'}") from None
