"""Measure the builder's stages beside the plain tools that do the same work."""

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Command, Figure, medians, run

_STAGE = """
import sys
from pathlib import Path
from nix_aurora import log
from nix_aurora.closure.stage import stage
log.configure(log.Level.QUIET)
stage(Path(sys.argv[1]), Path(sys.argv[2]), {})
"""
# The script measures the builder's own memory, without that of rpmbuild.
_BUILD = """
import resource, sys
from pathlib import Path
from nix_aurora.cli import main
code = main(sys.argv[2:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Path(sys.argv[1]).write_text(str(peak * 1024))
sys.exit(code)
"""
_LONG = 3  # runs of the slowest compression
_UNPACK = 'rm -rf "$2" && mkdir -p "$2" && tar -xJf "$1" -C "$2"'
_HASH = 'find "$2" -type f -print0 | xargs -0 sha256sum'
_COMPRESS = 'tar -C "$2" -cf - . | zstd -q -19 -T0 >"$2.tar.zst"'


def figures(tarball: Path, work: Path, times: int) -> Iterator[Figure]:
    """Measure check, stage, and the whole build of ``tarball``, in ``work``."""
    ours: Command = [sys.executable, "-c", _STAGE, tarball, work / "out"]
    floor: Command = ["sh", "-ec", f"{_UNPACK}; {_HASH}", "floor", tarball, work / "floor"]
    stage, stage_floor = medians(times, ours, floor)
    peak = run(ours)[1]
    yield Figure(
        "check and stage", stage, stage_floor, "s", "<= 2 x", "tar -x, sha256sum of the tree", peak
    )

    record = work / "peak"
    words = ("rpm", "-q", "--source", tarball, "--out", work / "out")
    whole, compress = medians(
        _LONG,
        [sys.executable, "-c", _BUILD, record, *words],
        ["sh", "-ec", _COMPRESS, "floor", tarball, work / "floor"],
    )
    peak = int(record.read_text())
    yield Figure("whole build", whole, compress, "s", "<= 1.35 x", "tar | zstd -19 -T0", peak)
    (package,) = (work / "out").glob(f"*.{platform.machine()}.rpm")
    yield Figure(
        "RPM's size", package.stat().st_size, tarball.stat().st_size, "B", "<= 1.12 x", "the tar.xz"
    )
