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
    program = shutil.which("strace") or "strace"
    libraries = re.findall(r"(?:=> |^\s+)(/\S+)", run(["ldd", program]), re.MULTILINE)
    (loader,) = (path for path in libraries if Path(path).name.startswith("ld-linux"))
    with tempfile.TemporaryDirectory() as place:
        for path in {program, *libraries}:
            shutil.copy(path, place)
        scratch.copy_in(Path(place), _PLACE)
    here = f"{_PLACE}/{Path(loader).name}"
    return f"{here} --library-path {_PLACE} {_PLACE}/{Path(program).name}"
