"""Get systemd's own rpm macros from its source package, rendered like its build does."""

import re
import tarfile
from pathlib import Path

from nix_aurora.files import new_file
from nix_aurora.run import run
from sample.debs import Archive
from sample.mirror import debian_mirror, require_keyring
from sample.target import ARCHITECTURES, Target
from tests.harness.cache import cached

_SUITE = "forky"
_FILES = ("macros.systemd.in", "systemd-update-helper.in")
# Meson has these values on Fedora.
_VALUES = {
    "BINDIR": "/usr/bin",
    "BINFMT_DIR": "/usr/lib/binfmt.d",
    "ENVIRONMENT_DIR": "/usr/lib/environment.d",
    "KERNEL_INSTALL_DIR": "/usr/lib/kernel/install.d",
    "LIBEXECDIR": "/usr/lib/systemd",
    "MODPROBE_DIR": "/usr/lib/modprobe.d",
    "MODULESLOAD_DIR": "/usr/lib/modules-load.d",
    "SYSCTL_DIR": "/usr/lib/sysctl.d",
    "SYSTEMD_CATALOG_DIR": "/usr/lib/systemd/catalog",
    "SYSTEMD_UPDATE_HELPER_PATH": "/usr/lib/systemd/systemd-update-helper",
    "SYSTEM_DATA_UNIT_DIR": "/usr/lib/systemd/system",
    "SYSTEM_ENV_GENERATOR_DIR": "/usr/lib/systemd/system-environment-generators",
    "SYSTEM_GENERATOR_DIR": "/usr/lib/systemd/system-generators",
    "SYSTEM_PRESET_DIR": "/usr/lib/systemd/system-preset",
    "SYSUSERS_DIR": "/usr/lib/sysusers.d",
    "TMPFILES_DIR": "/usr/lib/tmpfiles.d",
    "UDEV_HWDB_DIR": "/usr/lib/udev/hwdb.d",
    "UDEV_RULES_DIR": "/usr/lib/udev/rules.d",
    "UPDATE_HELPER_USER_TIMEOUT_SEC": "15",
    "USER_DATA_UNIT_DIR": "/usr/lib/systemd/user",
    "USER_ENV_GENERATOR_DIR": "/usr/lib/systemd/user-environment-generators",
    "USER_GENERATOR_DIR": "/usr/lib/systemd/user-generators",
    "USER_PRESET_DIR": "/usr/lib/systemd/user-preset",
    "USER_TMPFILES_DIR": "/usr/share/user-tmpfiles.d",
}


class _Sources(Archive):
    """The source packages of a suite; apt checks the archive's signature as for other packages."""

    def source(self, name: str, destination: Path) -> Path:
        """Return the upstream tarball of a source package, downloaded into ``destination``."""
        for folder in (self._lists / "partial", self._state / "cache/archives/partial"):
            folder.mkdir(parents=True, exist_ok=True)
        options = f"signed-by={require_keyring()} target=Sources"
        line = f"deb-src [{options}] {debian_mirror(_SUITE)} {_SUITE} main\n"
        with new_file(self._state / "sources.list") as file:
            file.write_text(line)
        with new_file(self._state / "status"):
            pass
        self._apt("apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update")
        self._apt("apt-get", "-qq", "source", "--download-only", name, cwd=destination)
        (tarball,) = destination.glob(f"{name}_*.orig.tar.*[!c]")
        return tarball


def systemd_macros() -> Path:
    """Return a directory with ``macros.systemd`` and systemd's ``systemd-update-helper``."""
    return cached("systemd-macros", _SUITE, _make)


def _make(directory: Path) -> None:
    work = directory / "source"
    work.mkdir()
    archive = _Sources(Target(_SUITE, ARCHITECTURES["x86_64"]), work)
    with tarfile.open(archive.source("systemd", work)) as tarball:
        for member in tarball:
            path = Path(member.name)
            if path.name in _FILES and path.parts[1:-1] == ("src", "rpm"):
                content = tarball.extractfile(member)
                text = content.read().decode() if content else ""
                (directory / path.stem).write_text(_fill_in(text), encoding="utf-8")
    run(["rm", "-r", work])


def _fill_in(template: str) -> str:
    # Jinja's delimiters do not work here: the macros are full of other braces.
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: _VALUES[match[1]], template)
