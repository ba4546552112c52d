"""The real RPM, of a real Nix, and the settings with which that Nix is at home in tests."""

import subprocess
import sys
from pathlib import Path
from typing import Protocol

from tests.harness.cache import cache_directory
from tests.harness.tree import Tree

_TOP = Path(__file__).parents[1]
# The sample's sandbox has its shell from a file that it names itself. There is no network: nothing
# is asked of a cache but of those that a test names.
_SAMPLE_SETTINGS = """
. /usr/lib/nix-aurora/closure.env
printf '%s\\n' "!include $CLOSURE_NIX/etc/nix/sandbox.conf" 'substituters =' \
    'flake-registry =' >>/etc/nix/nix.custom.conf
"""
# For a host that is up, whatever version it gets.
LIVE_SETTINGS = """
printf '%s\\n' '!include /nix/var/nix/gcroots/nix-aurora/nix/etc/nix/sandbox.conf' \\
    'substituters =' >/etc/nix/nix.custom.conf
systemctl try-restart nix-daemon.service
"""


class PackageMaker(Protocol):
    """Makes the real RPM of a sample closure."""

    def __call__(self, suite: str = "forky") -> Path:
        """Give the RPM of ``suite``'s Nix: forky 2.34, trixie 2.26; built once in a session."""


def build_package(suite: str, out: Path) -> Path:
    """Build the RPM of ``suite``'s sample closure into ``out``, and give its path."""
    samples = cache_directory() / "sample" / "tarballs"
    tarball = _result_of("-m", "sample", "--suite", suite, "--out", samples)
    return _result_of(
        *("build.py", "rpm", "--quiet", "--source", tarball, "--level", "3", "--out", out)
    )


def fit_for_sample(tree: Tree, directory: Path) -> Tree:
    """Give a tree with the package, whose Nix can build in a sandbox and asks no network.

    ``directory``, which must not exist yet, becomes its topmost layer.
    """
    return tree.changed(directory, _SAMPLE_SETTINGS)


def _result_of(*command: str | Path) -> Path:
    """Run one of the project's own commands; the last line that it prints names its result."""
    run = subprocess.run(
        [sys.executable, *command], cwd=_TOP, check=True, text=True, stdout=subprocess.PIPE
    )
    return Path(run.stdout.splitlines()[-1])
