"""Copy files of this machine into a root that cannot see them."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

_UNPACK = """
set -eu
umask 022
mkdir -p "$(dirname "$1")"
[ "$2" = file ] || mkdir -p "$1"
if [ "$2" = file ]; then
    tar -xOf - . >"$1.part"
    chmod "$3" "$1.part"
    mv "$1.part" "$1"
else
    tar -xpf - -C "$1"
fi
"""


@contextmanager
def archive_of(source: Path) -> Iterator[IO[bytes]]:
    """Yield a tar archive of a file or a directory; its member ``.`` is owned by root."""
    with TemporaryFile() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(source, arcname=".", filter=_owned_by_root)
        archive.seek(0)
        yield archive


def unpack_command(source: Path, target: str) -> list[str]:
    """Return a command that reads the archive of ``source`` and creates ``target`` from it."""
    kind = "directory" if source.is_dir() else "file"
    mode = f"{source.stat().st_mode & 0o755:o}"
    return ["sh", "-c", _UNPACK, "unpack", target, kind, mode]


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode &= 0o755  # independent of the checkout's umask
    return member
