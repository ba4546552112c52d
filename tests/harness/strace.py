"""strace in a root that does not have it: this machine's, with its own libraries and loader.

A root's C library may be another one than this machine's; strace does not care what it traces.
"""

import re
import shutil
import tempfile
from pathlib import Path

from nix_aurora.run import run
from tests.harness.scratch import Scratch

_PLACE = "/run/strace"


def bring_strace(scratch: Scratch) -> str:
    """Copy strace into a root; return the command that starts it there, for a shell."""
    with tempfile.TemporaryDirectory() as place:
        command = copy_strace(Path(place), _PLACE)
        scratch.copy_in(Path(place), _PLACE)
    return command


def copy_strace(directory: Path, place: str) -> str:
    """Copy strace into ``directory``; return the command that starts it from ``place`` in a root.

    ``place`` is where the caller puts the directory's files.
    """
    program = shutil.which("strace") or "strace"
    libraries = re.findall(r"(?:=> |^\s+)(/\S+)", run(["ldd", program]), re.MULTILINE)
    (loader,) = (path for path in libraries if Path(path).name.startswith("ld-linux"))
    for path in {program, *libraries}:
        shutil.copy(path, directory)
    return f"{place}/{Path(loader).name} --library-path {place} {place}/{Path(program).name}"
