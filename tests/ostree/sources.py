"""Check from which directory an import on ostree reads the packaged store paths."""

from tests.harness.system import System

_SOURCES = """
python3 -I -B - <<'END'
import sys
sys.path.insert(0, "/usr/lib/nix-aurora")
from nix_aurora_host.importer.source import find_sources
print(*find_sources())
END
ls -d /sysroot/ostree/deploy/default/deploy/*.0
"""


def check_sources(host: System) -> None:
    """Fail unless the only deployment's checkout comes first, with the same content as /usr.

    No file system shares blocks with the overlay on /usr.
    """
    best, other, deployment = host.run(_SOURCES).stdout.split()
    assert (best, other) == (f"{deployment}{other}", "/usr/lib/nix-aurora/store")
    host.run(f"diff --recursive --no-dereference {best} {other}")
