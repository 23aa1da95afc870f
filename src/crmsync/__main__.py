"""``python -m crmsync`` is the command line."""

from __future__ import annotations

import sys

from crmsync.cli import main

if __name__ == "__main__":
    sys.exit(main())
