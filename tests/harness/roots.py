"""A root directory of Debian packages that has what a Fedora host has."""

import os
import shlex
from pathlib import Path

from nix_aurora.errors import ToolError
from nix_aurora.run import run
from tests.harness.cache import cached, digest

SUITE = "forky"
PACKAGES = (
    *("bash", "bubblewrap", "ca-certificates", "curl", "dbus", "dbus-broker", "diffutils", "fish"),
    *("gawk", "iproute2", "jq", "kmod", "less", "libnss-myhostname", "libnss-systemd"),
    *("libpam-systemd", "ostree", "passwd", "polkitd", "procps", "python3", "python3-minimal"),
    *("rpm", "sudo"),
    *(
        "systemd",
        "systemd-container",
        "systemd-sysv",
        "tar",
        "uidmap",
        "util-linux",
        "util-linux-extra",
        "xz-utils",
    ),
    *("zsh", "zstd"),
)
# What a few tests need: all of it together, so that there is one more root and not several.
MORE = (
    *("bash-completion", "createrepo-c", "dnf5", "gir1.2-glib-2.0", "hicolor-icon-theme", "man-db"),
    *("python3-gi", "python3-xdg"),
)
_RECIPE = "1"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_FEDORA = Path(__file__).parent / "fedora"
_MIRROR_VARIABLE = "NIX_AURORA_DEBIAN_MIRROR"
_APT_OPTIONS = (
    'APT::Install-Recommends "false"',
    'Acquire::Languages "none"',
    # A mirror may be frozen at some day: its signature is checked, its expiry date is not.
    'Acquire::Check-Valid-Until "false"',
)
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*")


def debian_root(extra: tuple[str, ...] = ()) -> Path:
    """Give a root directory, from the cache or new; it is shared, so never write to it.

    It has Fedora's login scripts and rpm macros, a ``wheel`` group without passwords for sudo,
    and ``extra`` Debian packages. Raises ToolError where it cannot be made.
    """
    packages = sorted({*PACKAGES, *extra})
    key = digest(SUITE, *packages, _RECIPE, *_LEFT_OUT, _FEDORA)
    return cached("roots", f"{SUITE}-{key}", lambda target: _bootstrap(target, packages))


def _bootstrap(target: Path, packages: list[str]) -> None:
    files = shlex.quote(f"{_FEDORA}/.")
    hooks = (f'cp -dR {files} "$1"', 'chroot "$1" systemd-sysusers', 'rm -f "$1/etc/resolv.conf"')
    run(
        [
            *("unshare", "--mount", "--propagation=private", "--"),
            *("mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}"),
            *(f"--aptopt={option}" for option in _APT_OPTIONS),
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
            *(f"--customize-hook={hook}" for hook in hooks),
            *(f"--keyring={_KEYRING}", SUITE, target, _mirror()),
        ]
    )


def _mirror() -> str:
    """Give the Debian mirror that this machine's own apt uses."""
    if mirror := os.environ.get(_MIRROR_VARIABLE):
        return mirror
    targets = run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"])
    for line in targets.splitlines():
        origin, label, uri = line.split("|")
        if (origin, label) == ("Debian", "Debian"):
            return uri
    raise ToolError(
        "choosing a Debian mirror: apt's sources: expected one of Debian itself, got none",
        hint=f"apt-get update, or set {_MIRROR_VARIABLE}",
    )
