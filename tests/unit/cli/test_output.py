"""One JSON object on stdout, or text that is safe on a terminal."""

from __future__ import annotations

import json

import pytest

from crmsync.cli.output import Format, Output, plain
from crmsync.errors import AuthenticationError, MappingError
from crmsync.models.problems import Problem


@pytest.mark.parametrize(
    "text, shown",
    [
        ("Gonçalves 北斗 عبد", "Gonçalves 北斗 عبد"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\x00", "a\\nb\\r\\x00"),
        ("safe\u202egpj.exe", "safe\\u202egpj.exe"),
        ("joined\u200cwords 👩\u200d💻", "joined\u200cwords 👩\u200d💻"),
        (12, "12"),
    ],
)
def test_what_could_disturb_a_terminal_is_shown_as_an_escape(text: object, shown: str) -> None:
    assert plain(text) == shown


def test_json_is_one_object_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    Output(Format.JSON).result({"a": ("Köhler", {"x"}, "\ud800"), "b": 1}, "never shown")
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"a": ["Köhler", ["x"], "\ud800"], "b": 1}
    assert captured.out.isascii()
    assert captured.err == ""


def test_notes_and_views_stay_out_of_json_mode(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(Format.JSON)
    output.note("a note")
    output.show("a view")
    assert capsys.readouterr() == ("", "")


def test_an_error_in_json_mode_is_the_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    Output(Format.JSON).error(AuthenticationError("refused"), beside={"runs": []})
    said = json.loads(capsys.readouterr().out)
    assert said["runs"] == []
    assert said["error"]["code"] == "authentication"


def test_an_error_for_people_goes_to_stderr_with_every_problem_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    problems = [Problem("fields[0]", "a", "first fault", "do this"), Problem("fields[1]", "b", "second\x1b fault")]
    Output(Format.HUMAN).error(MappingError(problems))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "fields[0]: first fault (do this)" in captured.err
    assert "fields[1]: second\\x1b fault" in captured.err
    assert "what to do:" in captured.err


def test_markup_in_a_message_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    Output(Format.HUMAN).error(AuthenticationError("[bold]x[/bold] :smile:"))
    assert "[bold]x[/bold] :smile:" in capsys.readouterr().err
