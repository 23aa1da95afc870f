"""Keeps secrets and people out of log records: those of the HTTP client, and of whatever handler asks for it.

A filter of a logger sees only what is logged by that very logger, not by those below it; a filter of a handler sees
everything that the handler writes. `protect_http_loggers` puts one on each logger that the HTTP client has.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping
from typing import Final

HTTP_LOGGERS: Final = (
    "httpx2",
    *(f"httpcore2.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
)
HIDDEN: Final = "[hidden]"

_NO_BREAK: Final = r"[^\s@\"'<>()\[\]{},;:=&?/\\]"
"""What an e-mail address may hold, but for its at sign. Bounded in number below: a long text is no long search."""

_RULES: Final = (
    # The query string of an API call holds SOQL, and with it values of records; that of a sign-in holds codes.
    (re.compile(r"(/services/[^\s\"'?]*\?)[^\s\"']*"), rf"\1{HIDDEN}"),
    (re.compile(r"\bSELECT\s.+?\sFROM\s.*", re.IGNORECASE | re.DOTALL), f"SELECT {HIDDEN}"),
    (re.compile(r"(?i)(\bauthorization\b['\"]?\s*[:=,]\s*b?['\"]?)(?:[a-z]+\s+)?[^\s'\",)}\]]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|oauth|basic)(\s+)[a-z0-9._~+/!=-]{8,}"), rf"\1\2{HIDDEN}"),
    (
        re.compile(
            r"(?i)\b((?:access|refresh|id)_token|assertion|client_secret|code_verifier|password|private_key|sid)"
            r"(b?['\"]?\s*[=:,]\s*b?['\"]?)[^\s&'\",;)}\]]+"
        ),
        rf"\1\2{HIDDEN}",
    ),
    # A session id begins with the org's id; an assertion is a JSON web token.
    (re.compile(r"\b00D[A-Za-z0-9]{1,15}(?:!|%21)[A-Za-z0-9._%-]+"), HIDDEN),
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(rf"{_NO_BREAK}{{1,64}}(?:@|%40){_NO_BREAK}{{1,253}}\.[^\W\d_]{{2,63}}"), HIDDEN),
)


def redacted(text: str) -> str:
    """The text without tokens, Authorization headers, queries of Salesforce and e-mail addresses."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text


class RedactSecrets(logging.Filter):
    """Hides what `redacted` hides in a record's message, its arguments and its traceback. Lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.args:
            record.msg = _safe(record.msg)
        else:
            _redact_arguments(record)
        if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if record.exc_text:
            record.exc_text = redacted(record.exc_text)
        return True


def _redact_arguments(record: logging.LogRecord) -> None:
    """Each argument by itself; then message and arguments together, for ``"Authorization: %s"`` is clean in parts."""
    if isinstance(record.args, Mapping):
        record.args = {name: _safe(value) for name, value in record.args.items()}
    elif record.args:
        record.args = tuple(_safe(value) for value in record.args)
    try:
        whole = record.getMessage()
    except (TypeError, ValueError, KeyError):
        return  # the handler reports a message that does not fit its arguments
    if (safe := redacted(whole)) != whole:
        record.msg, record.args = safe, ()


def _safe(value: object) -> object:
    """The value itself if its text gives nothing away, so that numbers still fit ``%d``."""
    if value is None or isinstance(value, bool | int | float):
        return value
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - a foreign object; what it says is the handler's trouble, never our caller's
        return value
    safe = redacted(text)
    return value if safe == text else safe


_FILTER: Final = RedactSecrets()


def protect_http_loggers() -> None:
    """Hide secrets in what the HTTP client logs, also for the program around us. Calling it again changes nothing."""
    for name in HTTP_LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
