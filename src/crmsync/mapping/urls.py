"""The form in which two web addresses are compared."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_ESCAPE: Final = re.compile(r"%[0-9a-fA-F]{2}")
_PORTS: Final = {"http": ":80", "https": ":443"}


def normal_url(text: str) -> str:
    """An address without what does not change where it leads ("RFC 3986", 6.2.2 and 6.2.3).

    Scheme and host ignore case, the scheme's own port goes, no path is the path ``/``, and escapes are in capitals.
    What is no address with a scheme and a host stays as it is: ``example.org`` may be meant for either scheme.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        return text
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not parts.netloc or any(char.isspace() for char in text):
        return text
    user, at, host = parts.netloc.rpartition("@")
    host = host.lower().removesuffix(_PORTS[scheme]).removesuffix(":")
    path, query, fragment = (_ESCAPE.sub(lambda escape: escape[0].upper(), part) for part in parts[2:])
    return urlunsplit((scheme, user + at + host, path or "/", query, fragment))
