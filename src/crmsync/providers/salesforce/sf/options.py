"""Where the CLI is, and how it may be used."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator


class SfOptions(BaseModel):
    """The table ``sf`` of a connection's settings.

    ``command`` is the program, or the program with its first arguments (``["node", "/opt/sf/bin/run.js"]``); no shell
    reads it. ``org`` is the user name or alias of an org that the CLI is logged in to. ``home`` is the directory that
    holds such logins, for a CLI that logged in with ``HOME`` set to it; by default the user's own home directory, or
    without ``org`` an empty one that is removed afterwards. ``time_limit`` is in seconds for each command.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    command: tuple[str, ...] = ("sf",)
    org: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.@+][A-Za-z0-9_.@+-]*$", max_length=255)
    home: Path | None = None
    time_limit: float = Field(default=120.0, gt=0)

    @field_validator("command", mode="before")
    @classmethod
    def _is_a_program(cls, value: object) -> object:
        words = (value,) if isinstance(value, str) else value
        if not isinstance(words, list | tuple) or not words or not all(isinstance(w, str) and w for w in words):
            raise ValueError("must be a program, or a list that begins with one")
        return tuple(words)
