"""build.py and rpmbuild as users run them, and what they have built as tests look at it."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nix_aurora.run import run

TOP = Path(__file__).resolve().parents[2]
PACKAGED = "/usr/lib/nix-aurora"  # where the RPM has the closure


@dataclass(frozen=True)
class Built:
    """What one run of ``build.py rpm`` gave: the SRPM, the RPMs by architecture, ``--out``."""

    out: Path
    srpm: Path
    rpms: Mapping[str, Path]

    @property
    def paths(self) -> list[Path]:
        """All packages, the SRPM first."""
        return [self.srpm, *self.rpms.values()]


def build_py(
    *words: str | Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run build.py to its end, in ``/`` and with ``env`` in addition to our environment."""
    return subprocess.run(
        [sys.executable, TOP / "build.py", *words],
        cwd="/",
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def build(out: Path, sources: Sequence[Path], *options: str | Path) -> Built:
    """Build into ``out`` what ``sources`` give, with little compression, for it is quick."""
    words = [word for source in sources for word in ("--source", source)]
    done = build_py("rpm", *words, "--out", out, "--level", "3", *options)
    assert done.returncode == 0, done.stderr
    srpm, *rpms = map(Path, done.stdout.splitlines())
    return Built(out, srpm, {path.suffixes[-2].lstrip("."): path for path in rpms})


def query(rpm: Path, form: str) -> str:
    """Give ``rpm -qp --queryformat``."""
    return run(["rpm", "-qp", "--nosignature", "--queryformat", form, rpm])


def files(rpm: Path) -> list[str]:
    """Give all that a package says about its files, a line each."""
    form = (
        "[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEFLAGS} %{LONGFILESIZES} "
        "%{FILEMTIMES} %{FILENAMES} %{FILEDIGESTS} -> %{FILELINKTOS}\\n]"
    )
    return query(rpm, form).splitlines()


def unpack(rpm: Path, directory: Path) -> Path:
    """Unpack a package's payload into a new directory, and give it."""
    directory.mkdir()
    with rpm.open("rb") as package:
        archive = subprocess.run(
            ["rpm2archive", "--nocompression", "-"], stdin=package, capture_output=True, check=True
        ).stdout
    subprocess.run(["tar", "-x", "-C", directory], input=archive, check=True)
    return directory


def environment(directory: Path) -> dict[str, str]:
    """Read the closure.env of an unpacked package."""
    text = Path(directory, PACKAGED[1:], "closure.env").read_text()
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
