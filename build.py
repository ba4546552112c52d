#!/usr/bin/env python3
"""Build nix-aurora's RPMs: see ``./build.py --help``."""

import sys

try:
    from nix_aurora.cli import main
except ImportError as error:  # The rpm shim raises ImportError, too, if rpm's bindings are missing.
    sys.exit(
        f"build.py: {error.name or error}: expected it to be installed, got nothing\n"
        "hint: make setup; then .venv/bin/python build.py"
    )

if __name__ == "__main__":
    sys.exit(main())
