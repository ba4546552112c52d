"""The table of mounts in /proc/self/mountinfo, whose format is in proc_pid_mountinfo(5).

nix-root reads it early in each boot, so this module imports no slow modules.
"""

import os

_TABLE = "/proc/self/mountinfo"


class Mount:
    """A mount of ``source`` on the directory ``point``.

    ``root`` is the directory of the file system ``device`` that it shows, ``kind`` that file
    system's type. ``flags`` are the mount's own options, ``options`` those of the file system.
    """

    def __init__(
        self,
        point: str,
        flags: str = "",
        kind: str = "",
        source: str = "",
        options: str = "",
        *,
        root: str = "/",
        device: str = "",
    ) -> None:
        self.point = point
        self.flags = flags
        self.kind = kind
        self.source = source
        self.options = options
        self.root = root
        self.device = device


def read_table() -> str:
    """Return the table; undecodable bytes in names are kept as surrogates."""
    with open(_TABLE, "rb") as file:  # noqa: PTH123 - pathlib takes a while to load
        return os.fsdecode(file.read())


def read_mounts() -> list[Mount]:
    """Return the mounts that this process sees; of several on a directory, the top one is last."""
    return parse(read_table())


def parse(text: str) -> list[Mount]:
    """Return the mounts in a table; lines in another format are skipped.

    A name may have any character but NUL, a space being ``\\040``.
    """
    mounts = []
    for line in text.split("\n"):
        own, _, shared = line.partition(" - ")
        first, last = own.split(" "), shared.split(" ", 2)
        if len(first) < 6 or len(last) < 3:
            continue
        _, _, device, root, point, flags = first[:6]
        kind, source, options = last
        mounts.append(
            Mount(
                unescape(point),
                flags,
                kind,
                unescape(source),
                options,
                root=unescape(root),
                device=device,
            )
        )
    return mounts


def unescape(field: str) -> str:
    """Return a field of the table, or of /etc/fstab, with its octal escapes replaced."""
    first, *rest = field.split("\\")
    return first + "".join(map(_unescape_first, rest))


def _unescape_first(text: str) -> str:
    number = text[:3]
    if len(number) == 3 and all(digit in "01234567" for digit in number):
        return chr(int(number, 8)) + text[3:]
    return f"\\{text}"
