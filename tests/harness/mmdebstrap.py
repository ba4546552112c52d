"""The program mmdebstrap: this machine's, or Debian's own if the distribution has none."""

import os
import shutil
from pathlib import Path

from sample.debs import Archive, unpack
from sample.target import ARCHITECTURES, Target
from tests.harness.cache import cached


def mmdebstrap(suite: str) -> Path:
    """Return the path of mmdebstrap; that of Debian's ``suite`` is cached or downloaded.

    mmdebstrap is a script, which runs wherever Perl and its modules are installed. Raises
    FetchError if the download fails, and the errors of sample.mirror.
    """
    if found := shutil.which("mmdebstrap"):
        return Path(found)
    place = cached("mmdebstrap", suite, lambda place: _download(suite, place))
    return place / "files/usr/bin/mmdebstrap"


def _download(suite: str, place: Path) -> None:
    target = Target(suite, ARCHITECTURES[os.uname().machine])
    archive = Archive(target, place / "archive")
    packages = archive.find("mmdebstrap")
    unpack(archive.fetch(packages)["mmdebstrap"], place / "files")
