"""A browser: opens the address, perhaps a changed one, and keeps the page that it ends on. Its environment says how.

It is the same program in all tests of a process, since ``webbrowser`` looks at ``BROWSER`` once.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path


def variables(page: Path, old: str = "", new: str = "") -> dict[str, str]:
    """The variables that make this the browser; ``old`` is replaced by ``new`` in the address."""
    own = {"BROWSER_PAGE": str(page), "BROWSER_OLD": old, "BROWSER_NEW": new}
    return {"BROWSER": f"{sys.executable} {Path(__file__)} %s", **own}


def main() -> None:
    """Open the address that is the argument."""
    url, old = sys.argv[1], os.environ["BROWSER_OLD"]
    if old:
        url = url.replace(old, os.environ["BROWSER_NEW"])
    try:
        page = urllib.request.urlopen(url).read()
    except urllib.error.HTTPError as error:
        page = error.read()
    Path(os.environ["BROWSER_PAGE"]).write_bytes(page)


if __name__ == "__main__":
    main()
