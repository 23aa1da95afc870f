"""Mapping documents as text: TOML for people, JSON for programs, both of one form."""

from __future__ import annotations

import enum
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from crmsync.errors import MappingError
from crmsync.models.problems import Problem
from crmsync.models.templates import MappingDocument

_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class DocumentForm(enum.StrEnum):
    """The languages in which a document can be written."""

    TOML = "toml"
    JSON = "json"


def write_document(document: MappingDocument, form: DocumentForm) -> str:
    """The document's text. What has its default is left out."""
    content = {"format": document.format, **document.model_dump(mode="json", exclude_defaults=True, exclude={"format"})}
    if form is DocumentForm.JSON:
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return "\n".join(_toml(content)) + "\n"


def read_document(text: str, form: DocumentForm | None = None) -> MappingDocument:
    """Read a document; ``form`` None: it is JSON if it begins with a brace.

    :raises MappingError: it is no document; ``problems`` has every fault with its path.
    """
    if form is None:
        form = DocumentForm.JSON if text.lstrip("\ufeff \t\r\n").startswith("{") else DocumentForm.TOML
    try:
        content = json.loads(text) if form is DocumentForm.JSON else tomllib.loads(text)
    except ValueError as error:  # both parsers' errors are; what they say holds no more than a place and a kind
        raise MappingError([Problem("", f"not_{form}", f"the text is not {form.upper()}: {_place(error)}")]) from None
    except RecursionError:
        raise MappingError([Problem("", f"not_{form}", f"the {form.upper()} is nested too deeply")]) from None
    try:
        return MappingDocument.model_validate(content)
    except ValidationError as error:
        raise MappingError(list(_problems(error))) from None


def _place(error: ValueError) -> str:
    """Where a text breaks off, without a word of it."""
    line, column = getattr(error, "lineno", None), getattr(error, "colno", None)
    return f"line {line}, column {column}" if line and column else "see its form in the reference"


def _problems(error: ValidationError) -> Iterator[Problem]:
    for fault in error.errors(include_url=False, include_input=False):
        path = ""
        for part in fault["loc"]:
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
        yield Problem(path, fault["type"], fault["msg"], "see `crmsync mapping schema`")


def _toml(content: Mapping[str, Any], path: Sequence[str] = ()) -> Iterator[str]:
    """Lines of TOML: plain values first, then tables and arrays of tables. A short table stands on one line."""
    nested = {name: value for name, value in content.items() if _is_nested(value)}
    for name, value in content.items():
        if name not in nested:
            yield f"{_key(name)} = {_inline(value)}"
    for name, value in nested.items():
        where = ".".join(map(_key, (*path, name)))
        for table in [value] if isinstance(value, Mapping) else value:
            yield ""
            yield f"[{where}]" if isinstance(value, Mapping) else f"[[{where}]]"
            yield from _toml(table, (*path, name))


def _is_nested(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(isinstance(each, Mapping | list) for each in value.values())
    return isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _inline(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int() | float():
            return repr(value)
        case Mapping():
            return "{ " + ", ".join(f"{_key(name)} = {_inline(each)}" for name, each in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(_inline, value)) + "]"
    msg = f"TOML has no form for {type(value).__name__}"
    raise TypeError(msg)


def _key(name: str) -> str:
    return name if name and _BARE.issuperset(name) else _text(name)


def _text(text: str) -> str:
    # JSON's escapes are TOML's too; TOML also wants DEL escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
