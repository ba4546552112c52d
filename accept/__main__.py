"""``python3 -m accept [USER@]HOST``: see docs/testing.md."""

import sys

from accept.command import catch_signals, main

if __name__ == "__main__":
    catch_signals()
    sys.exit(main())
