"""The contract of an observer: progress bars, logs, metrics."""

from __future__ import annotations

from typing import Protocol

from crmsync.models.events import SyncEvent


class Observer(Protocol):
    """Hears what a run did. Called from the event loop: it returns at once and raises nothing."""

    def notify(self, event: SyncEvent) -> None:
        """Take note of one event."""
        ...
