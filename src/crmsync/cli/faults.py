"""Validation faults as problems with a TOML path, and never with the value at fault."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from crmsync.models.problems import Problem

_MESSAGES: Final = {"missing": "is missing", "string_type": "must be a string", "bool_type": "must be true or false"}


def problems_of(error: ValidationError, model: type[BaseModel], path: str = "") -> Iterator[Problem]:
    """Every fault that ``model`` found, under the path. An unknown key suggests the nearest known one."""
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        loc, kind = fault["loc"], fault["type"]
        where = toml_path(loc, path)
        if kind == "extra_forbidden":
            close = difflib.get_close_matches(str(loc[-1]), _known_names(model, loc), n=1)
            yield Problem(where, "unknown_key", "is not a known key", f"did you mean {close[0]}?" if close else "")
            continue
        message = _MESSAGES.get(kind) or fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
        yield Problem(where, kind, message)


def toml_path(loc: Sequence[int | str], path: str = "") -> str:
    """``("integrations", 0, "id")`` as ``integrations[0].id``."""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".") or "(the file)"


def _known_names(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """The keys that the table at fault may have."""
    for part in loc[:-1]:
        if isinstance(part, str):
            field = model.model_fields.get(part)
            inner = _model_in(field.annotation) if field else None
            if inner is None:
                return []
            model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
