"""Copy this machine's strace, with its libraries and loader, into a root that lacks it.

The root's C library may differ from this machine's, which does not matter to strace.
"""

import re
import shutil
import tempfile
from pathlib import Path

from nix_aurora.run import run
from tests.harness.scratch import Scratch

_PLACE = "/run/strace"


def bring_strace(scratch: Scratch) -> str:
    """Copy strace into a root; return a shell command that starts it there."""
    with tempfile.TemporaryDirectory() as place:
        command = copy_strace(Path(place), _PLACE)
        scratch.copy_in(Path(place), _PLACE)
    return command


def copy_strace(directory: Path, place: str) -> str:
    """Copy strace into ``directory``; return a command that starts it from ``place`` in a root.

    ``place`` is where the caller puts the directory's files.
    """
    program = shutil.which("strace") or "strace"
    libraries = re.findall(r"(?:=> |^\s+)(/\S+)", run(["ldd", program]), re.MULTILINE)
    (loader,) = (path for path in libraries if Path(path).name.startswith("ld-linux"))
    for path in {program, *libraries}:
        shutil.copy(path, directory)
    return f"{place}/{Path(loader).name} --library-path {place} {place}/{Path(program).name}"
