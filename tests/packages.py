"""The real packages of a real Nix, and the settings that this Nix needs in tests.

Each package is built once for all tiers: it is cached under the digest of all its inputs.
"""

import json
import sys
from pathlib import Path
from typing import Protocol

from nix_aurora.release.cache import default_cache
from nix_aurora.run import run
from tests.harness.cache import cached, digest, prune
from tests.harness.tree import Tree
from tests.rpm.builder import TOP, Built, build

# The sample reads its sandbox's shell from a file that the closure names. There is no network, so
# Nix queries no caches except those that a test names.
_SAMPLE_SETTINGS = """
. /usr/lib/nix-aurora/closure.env
printf '%s\\n' "!include $CLOSURE_NIX/etc/nix/sandbox.conf" 'substituters =' \
    'flake-registry =' >>/etc/nix/nix.custom.conf
"""
# These settings work on a running host, with any version of the package.
LIVE_SETTINGS = """
printf '%s\\n' '!include /nix/var/nix/gcroots/nix-aurora/nix/etc/nix/sandbox.conf' \\
    'substituters =' >/etc/nix/nix.custom.conf
systemctl try-restart nix-daemon.service
"""
# forky has version 2.34 of Nix, trixie 2.26.
_ARCHITECTURES = {"forky": ("x86_64", "aarch64"), "trixie": ("x86_64",)}
_SOURCES = (
    *("build.py", "nix_aurora", "nix-aurora.spec.in", "payload", "payload-nixd", "pins.toml"),
    *("scriptlets", "LICENSE", "tests/rpm/builder.py"),
)
_RECORD = "built.json"


class PackageMaker(Protocol):
    """Make the real RPM of a sample closure."""

    def __call__(self, suite: str = "forky") -> Path:
        """Return the x86_64 RPM of ``suite``'s Nix: forky 2.34, trixie 2.26."""


def sample(suite: str, arch: str) -> Path:
    """Return the tarball of a sample closure, cached or new; with a quick compression."""
    out = default_cache() / "samples" / suite
    words = ("--suite", suite, "--arch", arch, "--out", out, "--level", "1")
    return Path(run([sys.executable, "-m", "sample", *words], cwd=TOP).strip())


def packages(suite: str) -> Built:
    """Return all packages of ``suite``'s sample, cached or new; do not change them."""
    tarballs = [sample(suite, arch) for arch in _ARCHITECTURES[suite]]
    tools = run(["rpmbuild", "--version"]), run(["zstd", "--version"]), sys.version
    inputs = [path.with_name(f"{path.name}.key").read_text() for path in tarballs]
    key = f"{suite}-{digest(*tools, *inputs, *(TOP / name for name in _SOURCES))}"
    place = cached("packages", key, lambda place: _build(tarballs, place))
    prune("packages", place)
    record = json.loads((place / _RECORD).read_text())
    return Built.of(place / "out", record["names"], built_in=record["built_in"])


def _build(tarballs: list[Path], place: Path) -> None:
    built = build(place / "out", tarballs)
    record = {"names": [path.name for path in built.paths], "built_in": built.built_in}
    (place / _RECORD).write_text(json.dumps(record))


def fit_for_sample(tree: Tree, directory: Path, *, more: str = "") -> Tree:
    """Return a tree with the package, whose Nix can build in a sandbox without network.

    ``directory``, which must not exist yet, becomes its topmost layer; the script ``more`` also
    runs in that layer.
    """
    return tree.changed(directory, _SAMPLE_SETTINGS + more)
