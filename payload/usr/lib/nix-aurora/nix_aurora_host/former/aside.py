"""Put leftovers of another Nix aside: nothing is deleted, and a note records every origin.

Each step leaves every file with its former text or its new one, so that an interrupted run can be
repeated.
"""

import errno
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

from nix_aurora_host import paths, replace
from nix_aurora_host.former.facts import Cure, Kind, Trace
from nix_aurora_host.former.mounts import find_lines
from nix_aurora_host.former.scripts import find_blocks, without
from nix_aurora_host.former.stores import FORMER
from nix_aurora_host.text import printable

README = "README"
_SUFFIX = ".before-nix-aurora"
_HEAD = """\
This directory has what another Nix had left on this host. nix-aurora set-aside has moved it here,
and deleted nothing. To bring an item back, move it to where it was, and run:

    systemctl daemon-reload

"""


class Aside:
    """The directory for things that are put aside, and the ways to move them there.

    ``top`` is the top of the host's tree, ``packaged`` has the package's own files of /etc.
    """

    def __init__(self, top: str = "", packaged: str = paths.PRISTINE) -> None:
        self._top = top
        self._packaged = packaged
        self._former = f"{top}{FORMER}"

    def put(self, trace: Trace) -> str:
        """Put one thing aside; return where it, or its former text, is now. Raise OSError."""
        self._prepare()
        path = f"{self._top}{trace.path}"
        if trace.cure is Cure.CUT:
            return self._change(trace, lambda text: without(text, find_blocks(text)))
        if trace.cure is Cure.COMMENT:
            return self._change(trace, _comment_out)
        packaged = self._packaged_text(trace.path)
        if packaged is not None and os.path.isfile(path) and not os.path.islink(path):  # noqa: PTH113, PTH114
            return self._change(trace, lambda _: packaged)
        kept = self._move(trace)
        if packaged is not None:
            replace.edit(path, lambda _: packaged.encode())
        return kept

    def has(self, path: str) -> bool:
        """Return whether ``path``, or a former text of it, was put aside by an earlier run."""
        kept = (f"{self._former}{path}", f"{self._top}{path}{_SUFFIX}")
        return any(os.path.lexists(place) for place in kept)

    def _packaged_text(self, path: str) -> str | None:
        """Return the package's version of a file below /etc."""
        file = Path(self._packaged, path.removeprefix("/etc/"))
        return (
            file.read_text(encoding="utf-8")
            if path.startswith("/etc/") and file.is_file()
            else None
        )

    def _prepare(self) -> None:
        os.makedirs(self._former, 0o700, exist_ok=True)  # noqa: PTH103 - as the rest
        status = os.lstat(self._former)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise OSError(errno.EPERM, "expected a directory of root's", self._former)
        os.chmod(self._former, 0o700)  # noqa: PTH101

    def _change(self, trace: Trace, change: Callable[[str], str]) -> str:
        """Change a file that stays, and keep a copy of its former text."""
        path = f"{self._top}{trace.path}"
        kept = self._free(trace.path)
        new = f"{kept}.new"
        shutil.copy2(path, new)
        _sync(new)
        self._note(trace, kept)
        _rename(new, kept)
        _sync(os.path.dirname(kept))  # noqa: PTH120
        replace.edit(path, lambda text: change(_text(text)).encode(errors="surrogateescape"))
        return kept.removeprefix(self._top)

    def _move(self, trace: Trace) -> str:
        path, kept = f"{self._top}{trace.path}", self._free(trace.path)
        self._note(trace, kept)
        try:
            _rename(path, kept)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # on another file system, keep it beside the original
            kept = _numbered(f"{path}{_SUFFIX}")
            self._note(trace, kept)
            _rename(path, kept)
        for name in (kept, path):
            _sync(os.path.dirname(name))  # noqa: PTH120
        return kept.removeprefix(self._top)

    def _free(self, path: str) -> str:
        """Return a free name for a file that was ``path``."""
        kept = f"{self._former}{path}"
        os.makedirs(os.path.dirname(kept), 0o700, exist_ok=True)  # noqa: PTH103, PTH120
        return _numbered(kept)

    def _note(self, trace: Trace, kept: str) -> None:
        """Record the new name and the origin, before the move."""
        note = f"{self._former}/{README}"
        new = not os.path.lexists(note)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(note, flags, 0o600), "a", encoding="utf-8") as file:
            date = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
            kept = kept.removeprefix(self._top)
            line = f"{date} UTC: {trace.path} ({trace.kind} of {trace.whose}: {trace.effect})"
            file.write(f"{_HEAD if new else ''}{printable(f'{line} -> {kept}', None)}\n")
            file.flush()
            os.fsync(file.fileno())


def _comment_out(text: str) -> str:
    found = find_lines(text)
    numbers = set(found.lines) if found else set()
    lines = text.split("\n")
    return "\n".join(
        f"# {line}" if number in numbers else line for number, line in enumerate(lines, 1)
    )


def _text(text: bytes) -> str:
    return text.decode(errors="surrogateescape")


def _rename(old: str, new: str) -> None:
    """Rename ``old`` to ``new``, a free name in a directory that only root writes to."""
    Path(old).rename(new)


def _numbered(path: str) -> str:
    """Return ``path``, or the first free name with a number appended."""
    name, number = path, 0
    while os.path.lexists(name):
        number += 1
        name = f"{path}.{number}"
    return name


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


SYSTEM_KINDS = frozenset({Kind.UNIT, Kind.DROP_IN, Kind.LINK, Kind.FSTAB, Kind.MOUNT})
"""The kinds of traces after which systemd has to reload, or to stop units."""
