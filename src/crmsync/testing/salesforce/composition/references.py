"""References of a subrequest to the answers of earlier ones: ``@{refAccount.id}``, ``@{found.records[0].Id}``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: From this version on a reference to a null field is null, and an odd reference id spoils the whole request.
FIRST_STRICT_VERSION: Final = 52.0
_REFERENCE: Final = re.compile(r"@\{([^{}]*)\}")
_NAME: Final = re.compile(r"[^.\[]*")
_STEP: Final = re.compile(r"\.([A-Za-z0-9_]+)|\[(\d+)\]")


class UnresolvedError(Exception):
    """A reference leads nowhere; ``message`` is Salesforce's."""

    def __init__(self, reference: str, name: str) -> None:
        super().__init__(reference, name)
        self.message = f"Invalid reference specified. No value for {reference} found in {name}."


def names_in(value: Any) -> Iterator[str]:
    """Yield the reference ids that a value, a JSON one with all inside it, refers to."""
    if isinstance(value, str):
        yield from (_name(reference) for reference in _REFERENCE.findall(value))
    elif isinstance(value, dict):
        for entry in value.values():
            yield from names_in(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from names_in(entry)


def resolved(value: Any, answers: Mapping[str, Any], version: str) -> Any:
    """Return a value with its references replaced. A text that is nothing but a reference takes over the type.

    :param answers: the bodies of the subrequests that succeeded, by reference id.
    :raises UnresolvedError: there is no such answer, or nothing at that place in it.
    """
    if isinstance(value, dict):
        return {name: resolved(entry, answers, version) for name, entry in value.items()}
    if isinstance(value, list):
        return [resolved(entry, answers, version) for entry in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole is not None:
        return _lookup(whole[1], answers, version)
    return _REFERENCE.sub(lambda match: _text(_lookup(match[1], answers, version)), value)


def _name(reference: str) -> str:
    match = _NAME.match(reference)
    return match[0] if match else ""


def _lookup(reference: str, answers: Mapping[str, Any], version: str) -> Any:
    name = _name(reference)
    found = answers.get(name)
    place = len(name)
    while place < len(reference):
        step = _STEP.match(reference, place)
        if step is None:
            raise UnresolvedError(reference, name)
        key, index = step.groups()
        if key is not None and isinstance(found, dict) and key in found:
            found = found[key]
        elif index is not None and isinstance(found, list) and int(index) < len(found):
            found = found[int(index)]
        else:
            raise UnresolvedError(reference, name)
        place = step.end()
    # Only single values can be referred to ("Composite Subrequest"): no whole answer, no object or list in it.
    if place == len(name) or isinstance(found, dict | list):
        raise UnresolvedError(reference, name)
    if found is None and float(version) < FIRST_STRICT_VERSION:
        raise UnresolvedError(reference, name)
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
