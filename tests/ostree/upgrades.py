"""Check status's text about upgrades on a real deployment, with origins like rpm-ostree's."""

import json
import shlex

from tests.harness.system import System

# doctor exits with 1 if it finds a fault; only its notes matter here.
_STATUS = """
set -eu
origin=$(ls /sysroot/ostree/deploy/default/deploy/*.0.origin)
mount -o remount,rw /sysroot
cp "$origin" /run/origin
printf %s {packages} >>"$origin"
nix-aurora status --json
nix-aurora doctor >&2 || :
cp /run/origin "$origin"
"""


def check_upgrades(host: System) -> None:
    """Fail unless status names the upgrade of each origin, and doctor reports layered files."""
    assert _look(host, "") == ("image", "sudo rpm-ostree upgrade", False)
    from_repository = "\n[packages]\nrequested=nix-aurora;\n"
    assert _look(host, from_repository) == ("repository", "sudo rpm-ostree upgrade", False)
    from_files = f"\n[packages]\nrequested-local={'0' * 64}:nix-aurora-2.34.8-1.x86_64;\n"
    install = "sudo rpm-ostree install ./nix-aurora-*.rpm --uninstall nix-aurora"
    assert _look(host, from_files) == ("files", install, True)


def _look(host: System, packages: str) -> tuple[str, str, bool]:
    """Return status's kind of upgrade, its command, and whether doctor reports layered files."""
    done = host.run(_STATUS.format(packages=shlex.quote(packages)))
    upgrades = json.loads(done.stdout)["upgrades"]
    return upgrades["way"], upgrades["command"], "[layered-files]" in done.stderr
