"""A keyring that is no system's, for the tests of what keeps keys in one."""

from __future__ import annotations

from keyring.backend import KeyringBackend
from keyring.errors import PasswordSetError

from crmsync.security.keys.os_keyring import KeyringKeys


class DictRing(KeyringBackend):
    """A keyring in memory."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise PasswordSetError("a text that quotes the password")
        self.held[service, username] = password


def ring_keys() -> KeyringKeys:
    """Keys in a keyring of their own."""
    return KeyringKeys("test", backend=DictRing())
