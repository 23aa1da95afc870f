"""Run the piece of Python that stands on standard input, in the environment of a client; see peer.py."""

import asyncio
import json
import sys
import textwrap
from typing import Any


def main() -> None:
    """Print ``{"result": …}`` or ``{"error": {"kind", "text"}}``."""
    task = json.load(sys.stdin)
    names: dict[str, Any] = {"given": task["given"]}
    exec(f"async def piece():\n{textwrap.indent(task['code'], '    ')}", names)
    try:
        answer = {"result": asyncio.run(names["piece"]())}
    except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
        answer = {"error": {"kind": type(error).__name__, "text": str(error)}}
    print(json.dumps(answer, default=str))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
