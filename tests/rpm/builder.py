"""Run build.py and rpmbuild as users do, and read what they built."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nix_aurora.run import run

TOP = Path(__file__).resolve().parents[2]
PACKAGED = "/usr/lib/nix-aurora"  # the place of the closure in the RPM


@dataclass(frozen=True)
class Built:
    """The result of one run of ``build.py rpm``: the SRPM, the RPMs by architecture, ``--out``.

    ``built_in`` is the original ``--out``.
    """

    out: Path
    srpm: Path
    rpms: Mapping[str, Path]
    built_in: str

    @classmethod
    def of(cls, out: Path, names: Sequence[str], *, built_in: str) -> "Built":
        """Return the result for the names of the packages in ``out``, in the output's order."""
        srpm, *rpms = (out / name for name in names)
        by_arch = {path.suffixes[-2].lstrip("."): path for path in rpms}
        return cls(out, srpm, by_arch, built_in)

    @property
    def paths(self) -> list[Path]:
        """Return all packages, the SRPM first."""
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
    """Build ``sources`` into ``out``, with little compression to save time."""
    words = [word for source in sources for word in ("--source", source)]
    done = build_py("rpm", *words, "--out", out, "--level", "3", *options)
    assert done.returncode == 0, done.stderr
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert {path.parent for path in paths} == {out}
    return Built.of(out, [path.name for path in paths], built_in=str(out))


def query(rpm: Path, form: str) -> str:
    """Return the output of ``rpm -qp --queryformat``."""
    return run(["rpm", "-qp", "--nosignature", "--queryformat", form, rpm])


def files(rpm: Path) -> list[str]:
    """Return everything that a package records about its files, a line each."""
    form = (
        "[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEFLAGS} %{LONGFILESIZES} "
        "%{FILEMTIMES} %{FILENAMES} %{FILEDIGESTS} -> %{FILELINKTOS}\\n]"
    )
    return query(rpm, form).splitlines()


def unpack(rpm: Path, directory: Path) -> Path:
    """Unpack a package's payload into a new directory, and return it."""
    directory.mkdir()
    with rpm.open("rb") as package:
        archive = subprocess.run(
            ["rpm2archive", "--nocompression", "-"], stdin=package, capture_output=True, check=True
        ).stdout
    subprocess.run(["tar", "-x", "-C", directory], input=archive, check=True)
    return directory
