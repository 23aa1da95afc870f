"""CSV as Bulk API 2.0 takes and gives it: six delimiters, two line endings, doubled quotes, UTF-8."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DELIMITERS: Final = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS: Final = {"LF": "\n", "CRLF": "\r\n"}


class UnreadableCsvError(Exception):
    """The data cannot be read at all, with the error message of the job that thereby fails."""


@frozen
class Dialect:
    """The form of a job's data. The names are the API's: ``COMMA``, ``LF``."""

    column_delimiter: str
    line_ending: str

    @property
    def delimiter(self) -> str:
        """The character between values."""
        return DELIMITERS[self.column_delimiter]

    @property
    def end(self) -> str:
        """The characters after a row."""
        return LINE_ENDINGS[self.line_ending]

    def rows(self, data: bytes) -> Iterator[list[str]]:
        """Yield the rows of some data, the header first; blank lines are none.

        :raises UnreadableCsvError: it is not CSV, or not UTF-8.
        """
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
        try:
            for row in csv.reader(text, delimiter=self.delimiter):
                if row:
                    yield row
        except (csv.Error, UnicodeDecodeError) as error:
            kind = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise UnreadableCsvError(f"ClientInputError : Failed to parse CSV data: {kind}") from error

    def require_line_ending(self, data: bytes) -> None:
        """Refuse data whose header line ends otherwise than it was announced.

        The job fails with this message in any client's reports of such jobs.

        :raises UnreadableCsvError: it does.
        """
        line, found, _ = data.partition(b"\n")
        if found and line.endswith(b"\r") != (self.line_ending == "CRLF"):
            message = f"LineEnding is invalid on user data. Current LineEnding setting is {self.line_ending}"
            raise UnreadableCsvError(f"ClientInputError : {message}")

    def quoted(self, values: Iterable[str]) -> str:
        """Return a row with every value in quotes, without its ending."""
        return '"' + f'"{self.delimiter}"'.join([value.replace('"', '""') for value in values]) + '"'

    def plain(self, values: Sequence[str]) -> str:
        """Return a row with quotes only where a value needs them, without its ending."""
        stream = io.StringIO()
        # With this ending, and not with a shorter one, the writer puts quotes around every kind of line break.
        csv.writer(stream, delimiter=self.delimiter, lineterminator="\r\n").writerow(values)
        return stream.getvalue().removesuffix("\r\n")
