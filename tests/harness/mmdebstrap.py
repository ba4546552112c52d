"""The program mmdebstrap: this machine's, or Debian's own where the distribution has none."""

import os
import shutil
from pathlib import Path

from sample.debs import Archive, unpack
from sample.target import ARCHITECTURES, Target
from tests.harness.cache import cached


def mmdebstrap(suite: str) -> Path:
    """Return the path of mmdebstrap; the one of Debian's ``suite`` is in the cache or new.

    It is a script: Perl runs it wherever its modules are. Raises FetchError where it cannot be
    downloaded, and the errors of sample.mirror.
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
