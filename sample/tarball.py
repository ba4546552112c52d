"""Pack the binary tarball in the form of upstream's ``binary-tarball.nix``."""

import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jinja2

from nix_aurora.errors import VerificationError
from nix_aurora.files import new_file
from nix_aurora.run import run

_TEMPLATES = Path(__file__).parent
_INSTALLERS = ("install", "install-multi-user")
_MTIME = 1  # seconds since 1970


def write_installers(top: Path, **roots: str) -> None:
    """Write stand-ins for upstream's installers, which name the closure's roots."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        variable_start_string="@@ ",
        variable_end_string=" @@",
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - shell, not HTML
    )
    for name in _INSTALLERS:
        path = top / name
        path.write_text(environment.get_template(f"{name}.in").render(roots), encoding="utf-8")
        path.chmod(0o755)


def pack(top: Path, destination: Path, *, level: int) -> None:
    """Pack ``top``, an ``nix-<version>-<system>`` directory, into the tar.xz ``destination``.

    As in upstream's, entries start with the directory's name but neither it nor ``store`` has an
    entry; owner and group are 0, modes 0644 and 0755, and there are no hard links. The same tree
    produces the same bytes, whatever its times, modes beyond the execute bit and order on disk are.
    ``level`` is xz's.
    """
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".pack.") as scratch:
        tar = Path(scratch, "tar")
        with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as archive:
            for path in _entries(top):
                _add(archive, path, f"{top.name}/{path.relative_to(top)}")
        # Two threads are faster. The output depends on whether xz uses threads, but not on their
        # number.
        run(["xz", f"-{level}", "--threads=2", tar])
        with new_file(destination) as file:
            Path(f"{tar}.xz").replace(file)


def _entries(top: Path) -> Iterator[Path]:
    yield from (top / name for name in _INSTALLERS)
    yield top / ".reginfo"
    for path in sorted((top / "store").iterdir()):
        yield from _walk(path)


def _walk(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        for entry in sorted(path.iterdir()):
            yield from _walk(entry)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    status = path.lstat()
    entry = tarfile.TarInfo(name)
    entry.mtime = _MTIME
    if stat.S_ISLNK(status.st_mode):
        entry.type, entry.mode = tarfile.SYMTYPE, 0o777
        entry.linkname = os.readlink(path)  # noqa: PTH115 - as it is, not normalized
        archive.addfile(entry)
    elif stat.S_ISDIR(status.st_mode):
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
    elif stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
        entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        with path.open("rb") as content:
            archive.addfile(entry, content)
    else:
        raise VerificationError(f"packing: {path}: expected a file, directory or symlink")
