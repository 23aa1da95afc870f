"""How the steps of a conversion tell what a value loses, before `on_loss` has its say."""

from __future__ import annotations

import attrs

from crmsync.protocols.conversion import LossKind


@attrs.frozen(slots=True)
class Note:
    """One thing that a step could not keep. ``tolerated``: the normal forms ignore it, so it never rejects a value."""

    kind: LossKind
    message: str
    tolerated: bool = False


@attrs.frozen(slots=True)
class Flawed:
    """What a conversion yields when something was lost. ``usable`` False: there is no nearest value to write."""

    value: object = attrs.field(repr=False)
    notes: tuple[Note, ...] = ()
    usable: bool = True


class Refusal(Exception):  # noqa: N818 (a signal between two modules, not an error anyone sees)
    """Raised by a step for a value that has no nearest form at all. Never leaves `crmsync.mapping`."""

    def __init__(self, kind: LossKind, message: str) -> None:
        super().__init__(message)
        self.note = Note(kind, message)


def invalid(message: str) -> Refusal:
    """The refusal of a value that its type cannot read."""
    return Refusal(LossKind.INVALID, message)
