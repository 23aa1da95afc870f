"""What is told of the vault's keys; never a key."""

from __future__ import annotations

from pydantic import Field

from crmsync.models.schema import PublicModel


class VaultKey(PublicModel):
    """A key-encryption key. ``secrets`` is how many integrations' secrets are under it.

    ``first`` is the one that new data keys are wrapped with; ``present`` is False of one that secrets need and the
    vault has not.
    """

    id: str
    first: bool = False
    present: bool = True
    secrets: int = Field(default=0, ge=0)


class KeyOverview(PublicModel):
    """The keys of a vault and those that secrets need.

    ``outdated`` counts secrets in an old format or not bound to the vault's environment; ``foreign`` those bound to
    another one; ``damaged`` those that are no sealed text.
    """

    source: str
    environment: str = ""
    keys: tuple[VaultKey, ...]
    outdated: int = 0
    foreign: int = 0
    damaged: int = 0


class KeyCheck(PublicModel):
    """Whether every stored secret opens. ``faults`` are by integration id."""

    checked: int
    faults: dict[str, str] = Field(default_factory=dict)


class KeyRotation(PublicModel):
    """What a rotation did. ``rewrapped`` are now under ``key_id``, ``unchanged`` were already.

    ``faults`` are by integration id: secrets that did not open, and stay as they are.
    """

    key_id: str
    rewrapped: int = 0
    unchanged: int = 0
    faults: dict[str, str] = Field(default_factory=dict)


class KeyRetirement(PublicModel):
    """No stored secret needs the key. ``removed``: it was taken out of its source; else that is left to you."""

    key_id: str
    removed: bool
