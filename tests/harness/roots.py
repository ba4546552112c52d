"""Root directories of Debian packages that resemble a Fedora host."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

from nix_aurora.errors import ToolError
from nix_aurora.run import run
from sample.mirror import debian_mirror, explain, require_keyring
from tests.harness.cache import cached, digest
from tests.harness.mmdebstrap import mmdebstrap
from tests.harness.scratch import Scratch

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
# Few tests need these packages; all of them are in one root, so that only one more root is made.
MORE = (
    *("bash-completion", "createrepo-c", "direnv", "dnf5", "gir1.2-glib-2.0"),
    *("hicolor-icon-theme", "just", "man-db", "python3-gi", "python3-xdg"),
)
# These are a Vulkan loader, a program that lists its drivers, and the libraries that a driver
# needs.
GRAPHICS = ("mesa-vulkan-drivers", "vulkan-tools")
# This is a separate layer, since no other host needs a service that listens on its network.
SSH = ("git", "openssh-client", "openssh-server")
_RECIPE = "1"
_FEDORA = Path(__file__).parent / "fedora"
_APT_OPTIONS = (
    'APT::Install-Recommends "false"',
    'Acquire::Languages "none"',
    # A mirror may be frozen at a past day: check its signature, but not its expiry date.
    'Acquire::Check-Valid-Until "false"',
)
# The root's own apt uses the mirror that the root came from, and checks its signature.
_INSTALL = """
export DEBIAN_FRONTEND=noninteractive
apt-get --quiet=2 update
apt-get --quiet=2 --yes --no-install-recommends --option DPkg::Options::=--force-unsafe-io \
    install $PACKAGES
apt-get clean
rm -rf /var/lib/apt/lists/* /etc/resolv.conf
systemd-sysusers
"""
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*")


def debian_root() -> Path:
    """Return a root directory, cached or new; it is shared, so never write to it.

    It has Fedora's login scripts and rpm macros, and a ``wheel`` group that uses sudo without
    passwords. Raises ToolError if it cannot be made.
    """
    key = digest(SUITE, *PACKAGES, _RECIPE, *_LEFT_OUT, _FEDORA)
    return cached("roots", f"{SUITE}-{key}", lambda target: _bootstrap(target, list(PACKAGES)))


def debian_layers(*groups: tuple[str, ...]) -> tuple[Path, ...]:
    """Return overlay layers, the topmost first: debian_root() with further Debian packages.

    Each of ``groups`` is a separate layer, cached or new, over the ones before it, so a layer that
    roots have in common is installed once.
    """
    layers: tuple[Path, ...] = (debian_root(),)
    for group in groups:
        key = digest(*(layer.name for layer in layers), *group, _INSTALL)
        layers = (cached("roots", f"{SUITE}-{key}", _install(group, layers)), *layers)
    return layers


def _install(packages: tuple[str, ...], layers: tuple[Path, ...]) -> Callable[[Path], None]:
    def make(layer: Path) -> None:
        with Scratch(layers, upper=layer, network=True) as scratch:
            scratch.copy_in(Path("/etc/resolv.conf").resolve(), "/etc/resolv.conf")
            environment = {name: os.environ[name] for name in os.environ if _is_proxy(name)}
            environment["PACKAGES"] = " ".join(packages)
            scratch.run(_INSTALL, env=environment, timeout=900)

    return make


def _is_proxy(name: str) -> bool:
    return name.lower() in {"http_proxy", "https_proxy", "no_proxy"}


def _bootstrap(target: Path, packages: list[str]) -> None:
    files = shlex.quote(f"{_FEDORA}/.")
    hooks = (f'cp -dR {files} "$1"', 'chroot "$1" systemd-sysusers', 'rm -f "$1/etc/resolv.conf"')
    mirror = debian_mirror(SUITE)
    command: list[str | Path] = [
        *("unshare", "--mount", "--propagation=private", "--"),
        *(mmdebstrap(SUITE), "--mode=root", "--variant=minbase", f"--include={','.join(packages)}"),
        *(f"--aptopt={option}" for option in _APT_OPTIONS),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        "--dpkgopt=force-unsafe-io",
        *(f"--customize-hook={hook}" for hook in hooks),
        *(f"--keyring={require_keyring()}", SUITE, target, mirror),
    ]
    try:
        run(command)
    except ToolError as error:
        raise explain(error, mirror) from error
