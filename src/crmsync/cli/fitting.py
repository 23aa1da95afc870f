"""A table that never breaks a word: ids are there to be copied, and a terminal may have 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

_BETWEEN: Final = 2
_PAIR: Final = 2
_LONGEST_ID: Final = 64
"""Longer words are no ids, which are there to be copied: they may be broken."""


class Whole:
    """A text that wraps between words alone: one that is longer than the terminal is wide stays whole.

    Print it uncropped.
    """

    def __init__(self, text: Text) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render within the terminal's width, or that of the longest word."""
        longest = min(_LONGEST_ID, self._text.__rich_measure__(console, options).minimum)
        yield from console.render(self._text, options.update(width=max(options.max_width, longest)))


class FittingTable(Table):
    """A plain table of texts; on a terminal too narrow for its longest words, each row is a block of lines instead.

    Where there is no room for a word beside its name either, names and texts follow each other, and a word that is
    longer than the terminal is wide stays whole all the same. Print it uncropped. Add rows of `Text` only.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as a table if every word can stay whole, else as blocks, else as running text."""
        columns = [[Text(str(column.header)), *map(_text, column.cells)] for column in self.columns]
        sizes = [[cell.__rich_measure__(console, options) for cell in cells] for cells in columns]
        most = [max(size.maximum for size in column) for column in sizes]
        least = [
            wide if column.no_wrap else min(_LONGEST_ID, max(size.minimum for size in measured))
            for column, measured, wide in zip(self.columns, sizes, most, strict=True)
        ]
        room = options.max_width - _BETWEEN * len(columns)
        if sum(least) > room:
            longest = max(least)
            named = all(cells[0] for cells in columns)
            if named and max(cells[0].cell_len for cells in columns) + _BETWEEN + longest <= options.max_width:
                yield from self._blocks(columns)
            else:
                yield from self._running(columns)
            return
        if sum(least) <= room < sum(most):
            for column, width in zip(self.columns, _widths(least, most, room), strict=True):
                column.width = width
        yield from super().__rich_console__(console, options)

    def _blocks(self, columns: Sequence[Sequence[Text]]) -> Iterator[RenderableType]:
        if self.title:
            yield Text(str(self.title), style=self.title_style or "")
        names = [cells[0] for cells in columns]
        for row in zip(*(cells[1:] for cells in columns), strict=True):
            block = Table.grid(padding=(0, _BETWEEN, 0, 0))
            block.add_column(style="dim", no_wrap=True)
            block.add_column(overflow="fold")
            for name, cell in zip(names, row, strict=True):
                if cell:
                    block.add_row(name, cell)
            yield Text()
            yield block
        yield Text()

    def _running(self, columns: Sequence[Sequence[Text]]) -> Iterator[RenderableType]:
        """Each text after its name. Of two columns without a second name the first one's texts are names themselves."""
        if self.title:
            yield Text(str(self.title), style=self.title_style or "")
        names, *rows = zip(*columns, strict=True)
        if len(names) == _PAIR and not names[-1]:
            yield from (Whole(Text.assemble((name.plain, "dim"), " ", text)) for name, text in (names, *rows))
            yield Text()
            return
        for row in rows:
            yield Text()
            named = (cell for cell in zip(names, row, strict=True) if cell[1])
            yield from (Whole(Text.assemble((name.plain, "dim"), " " if name else "", text)) for name, text in named)
        yield Text()


def _text(cell: RenderableType) -> Text:
    assert isinstance(cell, Text)
    return cell


def _widths(least: Sequence[int], most: Sequence[int], room: int) -> list[int]:
    """The least that each column needs, and what is left for whichever of those that want more is narrowest."""
    widths = list(least)
    for _ in range(room - sum(least)):
        wanting = [place for place, width in enumerate(widths) if width < most[place]]
        widths[min(wanting, key=widths.__getitem__)] += 1
    return widths
