"""The runs of one command, one object after another: a stop or a pause of the one is none of the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs
from rich.console import RenderableType

from crmsync.cli.exits import exit_code_for
from crmsync.cli.output import Output
from crmsync.cli.run_exits import exit_code_of_runs
from crmsync.cli.session import Target
from crmsync.cli.stopped_runs import StoppedRuns
from crmsync.errors import CRMError, SyncPausedError
from crmsync.models.runs import RunStatus

_Due = TypeVar("_Due")


def _on_nothing(_: Target) -> Collection[str]:
    return ()


@attrs.define
class RunsInTurn:
    """What the objects of one command came to.

    ``statuses`` are those of the runs that came to their end, in their order: whoever runs an object adds it.
    """

    output: Output
    statuses: list[RunStatus] = attrs.field(factory=list)
    stops: StoppedRuns = attrs.field(factory=StoppedRuns, init=False)
    _objects: int = attrs.field(default=0, init=False)
    _error: CRMError | None = attrs.field(default=None, init=False)

    def each(
        self,
        due: Sequence[tuple[Target, _Due]],
        parents: Callable[[Target], Collection[str]] = _on_nothing,
    ) -> Iterator[tuple[Target, _Due]]:
        """The objects to run, but for those that build on what was stopped, or whose integration is paused."""
        self._objects = len(due)
        return ((target, what) for target, what in due if not self.stops.hold(target, parents(target)))

    @contextmanager
    def noting(self, target: Target) -> Iterator[None]:
        """Tell of a guard's stop, and go on after it; after a pause, too."""
        with self.stops.noting(target, self.output):
            yield

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Keep an error that ends the command, if there is something to tell beside it."""
        try:
            yield
        except CRMError as error:
            if not self.statuses and not self.stops:
                raise
            self._error = error

    def end(self, payload: Mapping[str, Any], *shown: RenderableType) -> int:
        """Give the command's result, and its exit code: that of the worst, of which a pause is none.

        :raises SyncPausedError: nothing that was selected could be run, for this alone.
        """
        nothing_else = not self.statuses and not self.stops.stopped and self._error is None
        if nothing_else and self.stops.paused:
            raise SyncPausedError(self.stops.paused[0])
        whole = {**payload, **self.stops.payload()}
        if self._error is None:
            self.output.result(whole, *shown)
        else:
            self.output.show(*shown)
        if self.stops and self._objects > 1:
            self.output.note(self.stops.summary(ended=self._error is None))
        if self._error is not None:
            self.output.error(self._error, beside=whole)
            return exit_code_for(self._error)
        return exit_code_of_runs([*self.statuses, *self.stops.statuses])
