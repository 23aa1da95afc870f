"""What `crmsync init --csv` finds out about a reader's own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.cli.csv_header import inspect_csv
from crmsync.cli.exits import UsageProblemError


def written(tmp_path: Path, content: bytes | str) -> Path:
    path = tmp_path / "people.csv"
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def test_columns_rows_and_the_likeliest_key_are_found(tmp_path: Path) -> None:
    text = "Email,City,CustomerId\na@x.example,Oslo,2\nb@x.example,Oslo,1\n"
    found = inspect_csv(written(tmp_path, text))
    assert found.columns == ("Email", "City", "CustomerId")
    assert found.keys == ("CustomerId", "Email")
    assert (found.rows, found.delimiter, found.encoding) == (2, ",", "utf-8")


def test_a_customers_number_is_a_likelier_key_than_an_address_in_any_language(tmp_path: Path) -> None:
    text = "Vorname,Courriel,Kundennummer\nAnn,a@x.example,7\nBob,b@x.example,9\n"
    assert inspect_csv(written(tmp_path, text)).keys == ("Kundennummer", "Courriel", "Vorname")


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_are_recognised(tmp_path: Path, delimiter: str) -> None:
    path = written(tmp_path, f"id{delimiter}name\n1{delimiter}Smith, John\n")
    assert inspect_csv(path).delimiter == delimiter
    assert inspect_csv(path).columns == ("id", "name")


def test_a_file_from_windows_is_recognised_by_its_encoding(tmp_path: Path) -> None:
    assert inspect_csv(written(tmp_path, "id,name\n1,Köhler\n".encode("cp1252"))).encoding == "cp1252"


def test_a_byte_order_mark_belongs_to_no_column(tmp_path: Path) -> None:
    found = inspect_csv(written(tmp_path, b"\xef\xbb\xbf" + "id,name\n1,Köhler\n".encode()))
    assert (found.columns, found.encoding) == (("id", "name"), "utf-8")


def test_a_column_with_blank_or_repeated_values_is_no_key(tmp_path: Path) -> None:
    assert inspect_csv(written(tmp_path, "id,email\n1,\n1,x@x.example\n")).keys == ()


@pytest.mark.parametrize(
    "content, said",
    [
        ("", "at least one row"),
        ("id,name\n", "at least one row"),
        ("id,id\n1,2\n", "no name twice"),
        ('id,name\n1,"broken\n', "not a readable CSV"),
    ],
)
def test_a_file_that_nothing_can_be_proposed_from_says_why(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(UsageProblemError, match=said):
        inspect_csv(written(tmp_path, content))


def test_an_absent_file_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(UsageProblemError, match="cannot be read"):
        inspect_csv(tmp_path / "none.csv")
