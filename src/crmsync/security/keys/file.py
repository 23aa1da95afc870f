"""``file:PATH``: keys in a file that only its owner can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from crmsync.errors import ConfigurationError
from crmsync.security.keys.local import LocalKey, TextKeys, as_text


class FileKeys(TextKeys):
    """The keys of a file, one a line; the first encrypts. It must be its owner's alone, and the owner's us or root."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self.name = f"file {self._path}"

    def _read(self) -> str:
        file = self._path
        try:
            with file.open("rb") as stream:
                # Of the open file: what stands under the name may be replaced meanwhile.
                status, content = os.fstat(stream.fileno()), stream.read()
            text = content.decode("ascii")
        except FileNotFoundError:
            msg = (
                f"the vault's key file {file} does not exist: restore yours, or make one by `crmsync keys generate` if"
                " nothing was stored under it"
            )
            raise ConfigurationError(msg) from None
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise ConfigurationError(f"the vault's key file {file} cannot be read: {reason}") from None
        if os.name == "posix":
            _check(file, status)
        return text

    def _present(self) -> Sequence[LocalKey]:
        return self.load() if self._path.exists() else ()

    def _write(self, keys: Sequence[LocalKey]) -> None:
        """Replace the file at once. The new one stands beside it meanwhile, and keeps a second writer out."""
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            msg = f"another command is changing {self._path}; if none is, remove {new} and try again"
            raise ConfigurationError(msg) from None
        except OSError as error:
            raise ConfigurationError(f"{new} cannot be written: {error.strerror}") from None
        try:
            with os.fdopen(handle, "w", encoding="ascii") as stream:
                stream.write(as_text(keys))
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(self._path)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise ConfigurationError(f"{self._path} cannot be written: {error.strerror}") from None
        _flush_directory(self._path.parent)


def _check(file: Path, status: os.stat_result) -> None:
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(f"the vault's key file {file} can be read by others: chmod 600 {file}")
    if status.st_uid not in {0, os.geteuid()}:
        raise ConfigurationError(f"the vault's key file {file} belongs to another user, who can read and change it")


def _flush_directory(directory: Path) -> None:
    """Make the new name survive a power failure, where a directory can be flushed."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
