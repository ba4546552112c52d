"""Lay out unpacked Debian packages as the contents of store paths."""

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from nix_aurora.errors import VerificationError

_FEW_CERTIFICATES = 50
# Builders that know only the sandbox's /bin/sh may call these.
_APPLETS = (
    *("ash", "sh", "basename", "dirname", "readlink", "env", "id", "uname", "printf", "echo"),
    *("cat", "chmod", "cp", "ln", "ls", "mkdir", "mv", "rm", "touch", "tar"),
    *("grep", "head", "tail", "sed", "seq", "sort", "tr", "wc", "sleep", "test", "true", "false"),
)
# These map places in Debian's packages to places in Nix's.
_NIX_PLACES = {
    "usr/bin": "bin",
    "usr/libexec": "libexec",
    "usr/share/bash-completion": "share/bash-completion",
    "usr/share/fish/completions": "share/fish/vendor_completions.d",
    "usr/share/zsh/vendor-completions": "share/zsh/site-functions",
    "usr/share/doc/nix-bin/copyright": "share/doc/nix/copyright",
}
_PROFILE_SCRIPTS = ("nix.sh", "nix.fish", "nix-daemon.sh", "nix-daemon.fish")
_UNITS = ("nix-daemon.service", "nix-daemon.socket")


def copy(source: Path, destination: Path) -> None:
    """Copy a file, relative symlink or tree, with only the modes that a NAR keeps.

    Links that cannot be part of a package are left out: links to the host's files, and relative
    links to files of another package.
    """
    if source.is_symlink():
        if not source.readlink().is_absolute() and source.exists():
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.symlink_to(source.readlink())
    elif source.is_dir():
        for entry in sorted(source.iterdir()):
            copy(entry, destination / entry.name)
    else:
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, destination)
        destination.chmod(0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644)


def write(path: Path, text: str) -> None:
    """Write a new text file, and create its parent directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def link(path: Path, target: str) -> None:
    """Create a symlink, and its parent directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def library(package: Path, destination: Path, triplet: str) -> None:
    """Lay out a package of libraries: its ``lib``, and its license."""
    copy(package / "usr/lib" / triplet, destination / "lib")
    for license in package.glob("usr/share/doc/*/copyright"):
        copy(license, destination / "share/doc" / license.parent.name / "copyright")


def busybox(package: Path, destination: Path) -> None:
    """Lay out the static shell of the build sandbox, and some tools for builders."""
    copy(package / "usr/bin/busybox", destination / "bin/busybox")
    for applet in _APPLETS:
        link(destination / "bin" / applet, "busybox")
    copy(package / "usr/share/doc/busybox-static/copyright", destination / "share/doc/copyright")


def certificates(package: Path, destination: Path) -> None:
    """Lay out Mozilla's certificates as one bundle, like nixpkgs' cacert."""
    files = sorted((package / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    if len(files) < _FEW_CERTIFICATES:
        raise VerificationError(
            f"bundling certificates: {package}: expected {_FEW_CERTIFICATES} or more, "
            f"got {len(files)}"
        )
    bundle = "\n".join(
        f"{file.stem.replace('_', ' ')}\n{file.read_text(encoding='utf-8').strip()}\n"
        for file in files
    )
    write(destination / "etc/ssl/certs/ca-bundle.crt", bundle)


def manual(package: Path, destination: Path) -> None:
    """Lay out the man pages, still compressed."""
    copy(package / "usr/share/man", destination / "share/man")


def sandbox_conf(destination: Path, shell: str) -> None:
    """Write the setting that the official Nix has compiled in; the store path is a single file."""
    write(
        destination,
        "# For nix.conf: this Nix has Debian's /usr/bin/bash-static compiled in as the /bin/sh of\n"
        "# its build sandbox; with this line it needs no file of the host.\n"
        f"sandbox-paths = /bin/sh={shell}\n",
    )


def nix_cli(
    package: Path, units: Path, destination: Path, *, own: str, sandbox_shell: str, conf: str
) -> None:
    """Lay out the programs and everything that belongs to them.

    ``package`` is nix-bin, ``units`` nix-setup-systemd, both unpacked. ``own``, ``sandbox_shell``
    and ``conf`` are the store paths of the result, of the sandbox's shell and of its setting.
    """
    for source, place in _NIX_PLACES.items():
        copy(package / source, destination / place)
    scripts = package / "usr/share/doc/nix-bin/examples"
    for script in _PROFILE_SCRIPTS:
        copy(scripts / script, destination / "etc/profile.d" / script)
    for unit in _UNITS:
        text = (units / "usr/lib/systemd/system" / unit).read_text(encoding="utf-8")
        write(destination / "lib/systemd/system" / unit, text.replace("/usr/bin/", f"{own}/bin/"))
    # Debian's own unit admits only members of a group that Debian creates.
    write(
        destination / "lib/tmpfiles.d/nix-daemon.conf",
        "d /nix/var/nix/daemon-socket 0755 root root - -\n",
    )
    link(destination / "libexec/nix/sandbox-shell", sandbox_shell)
    link(destination / "etc/nix/sandbox.conf", conf)


def link_farm(source: Path, destination: Path, prefix: str) -> None:
    """Mirror the tree ``source`` as symlinks to its future place ``prefix``, like lndir."""
    for folder, folders, names in os.walk(source):
        relative = Path(folder).relative_to(source)
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in [*names, *links]:
            link(destination / relative / name, str(Path(prefix) / relative / name))


def require(tree: Path, names: Sequence[str]) -> None:
    """Raise VerificationError unless every one of ``names`` is in ``tree``."""
    missing = [name for name in names if not os.path.lexists(tree / name)]
    if missing:
        raise VerificationError(f"laying out {tree.name}: expected {', '.join(missing)}, got none")
