"""Build an RPM that provides, in Fedora's names, the packages of a Debian host."""

from collections.abc import Iterable
from pathlib import Path

from nix_aurora.files import new_directory
from nix_aurora.run import run

FEDORA_NAMES = (
    *("bash", "ca-certificates", "coreutils", "diffutils", "findutils", "gawk", "glibc-common"),
    *("grep", "gzip", "policycoreutils", "procps-ng", "python3", "sed", "shadow-utils", "systemd"),
    *("systemd-libs", "tar", "util-linux", "util-linux-core", "xz", "zstd", "bubblewrap", "jq"),
    *("/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash", "/usr/bin/env", "/usr/bin/python3"),
    *("/usr/bin/systemd-sysusers", "/usr/bin/systemd-tmpfiles", "/usr/bin/systemctl"),
    *("/usr/sbin/sysctl", "/usr/sbin/restorecon"),
)
_SPEC = """\
Name: {name}
Version: 1
Release: 1
Summary: What this host has without rpm knowing
License: MIT
BuildArch: noarch
{provides}
%description
%files
"""


def provides_rpm(
    directory: Path, names: Iterable[str] = FEDORA_NAMES, *, name: str = "host-provides"
) -> Path:
    """Build an empty noarch RPM called ``name`` in ``directory``, and return its path.

    It provides each of ``names``, which are packages or files.
    """
    final = directory / f"{name}-1-1.noarch.rpm"
    provides = "".join(f"Provides: {provided}\n" for provided in names)
    with new_directory(directory / f"{name}.build") as top:
        spec = top / f"{name}.spec"
        spec.write_text(_SPEC.format(name=name, provides=provides), encoding="utf-8")
        output = ("--define", f"_topdir {top}", "--define", f"_rpmdir {top}")
        run(["rpmbuild", "-bb", "--quiet", *output, spec])
        (top / "noarch" / final.name).replace(final)
    return final
