"""Report the progress of a long check: to the journal, ``status`` and waiting commands."""

import sys
import time
from pathlib import Path
from threading import Lock

from nix_aurora_host import paths

_LINE = 10.0  # seconds between two lines in the journal
_FILE = 0.5  # seconds between two updates of the file


class Progress:
    """Report how many of ``total`` bytes are done; threads may share the object."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._said = self._written = time.monotonic()
        self._lock = Lock()

    def __enter__(self) -> "Progress":
        self._write()
        return self

    def __exit__(self, *_: object) -> None:
        Path(paths.RECOVERY).unlink(missing_ok=True)

    def add(self, count: int) -> None:
        """Count ``count`` more bytes."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._written >= _FILE:
                self._written = now
                self._write()
            if now - self._said >= _LINE:
                self._said = now
                print(f"nix-aurora: {self.line()}", file=sys.stderr, flush=True)

    def line(self) -> str:
        """Return one line for people."""
        done, total = (f"{size / (1 << 30):.1f} GiB" for size in (self._done, self._total))
        return f"{self._what}: {done} of {total}"

    def _write(self) -> None:
        """Write the file: everybody may read it, and only root may write to /run."""
        aside = Path(f"{paths.RECOVERY}.new")
        try:
            aside.parent.mkdir(exist_ok=True)
            aside.write_text(f"{self.line()}\n", encoding="utf-8")
            aside.chmod(0o644)
            aside.replace(paths.RECOVERY)
        except OSError as error:  # a full /run must not stop a recovery
            print(f"nix-aurora: {paths.RECOVERY}: {error.strerror}", file=sys.stderr)
