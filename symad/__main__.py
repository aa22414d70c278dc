"""``python -m symad`` is the command ``symad``."""

from __future__ import annotations

import sys

from symad.cli import main

if __name__ == "__main__":
    sys.exit(main())
