"""The importer: which files of an RPM's payload enter a commit, and in which form."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import rpm

from nix_aurora.errors import ToolError
from tests.harness.rpm_ostree.package import Package, Read, read_package

TMPFILES = "usr/lib/rpm-ostree/tmpfiles.d"
_UNSUPPORTED = "Unsupported path; see https://github.com/projectatomic/rpm-ostree/issues/233"
_TOP = ("/", "/usr", "/bin", "/sbin", "/lib", "/lib64")
_BELOW = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/")
_SAFE = re.compile(r"[A-Za-z0-9\-._/=:]+")
_CHUNK = 1 << 20
_MOVED_FROM_VAR = ("alternatives", "vagrant")


@dataclass
class _Commit:
    """The result of importing one RPM: a directory, and lines for tmpfiles.d."""

    package: Package
    directory: Path
    links: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    written: dict[str, Path] = field(default_factory=dict)  # regular files by name in the header

    def serialize(self) -> str:
        """Return the tmpfiles.d lines, those of moved directories first.

        importer.rs:264 serialize_tmpfiles_content.
        """
        return "".join(f"{line}\n" for line in (*sorted(self.links), *self.lines))


def import_package(
    path: Path,
    directory: Path,
    *,
    documentation: bool = True,
    read_only_executables: bool = False,
) -> Package:
    """Import the RPM at ``path`` into a new ``directory``, which is then like a commit of it.

    Owners and file capabilities are missing: they are applied when the tree is assembled. The two
    options are a treefile's (treefile.rs:1940 importer_flags). Raises ToolError with rpm-ostree's
    message for a refused path.
    """
    package = read_package(path)
    commit = _Commit(package, directory)
    directory.mkdir()
    directory.chmod(0o755)
    for entry, read in package.payload():
        _import(commit, entry, read, documentation, read_only_executables)
    for name, link in _hard_links(commit):
        link.unlink()
        os.link(commit.written[name], link)
    # rpmostree-importer.cxx:588 import_rpm_to_repo.
    if lines := commit.serialize():
        final = _parent_made(directory, f"{TMPFILES}/{package.name}.conf")
        final.write_text(lines, encoding="utf-8")
        final.chmod(0o644)
    return package


def _import(
    commit: _Commit, entry: rpm.file, read: Read, documentation: bool, read_only_executables: bool
) -> None:
    """Handle one entry of the payload: rpmostree-importer.cxx:465 compose_filter_cb."""
    commit.links.update(_links(entry.name))
    path = f"/{_translated(entry.name.lstrip('/'))}"
    # This compares names in the header with translated names, so files in /etc are kept.
    if not documentation and _is_documentation(commit.package, path):
        return
    if path.startswith(("/run/", "/var/")):
        kept = not path.startswith(("/var/lib/rpm", "/var/lib/selinux"))
        if kept and (stat.S_ISDIR(entry.mode) or stat.S_ISLNK(entry.mode)):
            commit.lines.append(_tmpfiles_line(path, entry))
        return
    if _is_filtered(commit.package.name, path):
        return
    target = _parent_made(commit.directory, path.lstrip("/"))
    _write(target, entry, read, _mode(entry.mode, read_only_executables))
    if stat.S_ISREG(entry.mode):
        commit.written.setdefault(entry.name, target)


def _translated(path: str) -> str:
    """Return where rpm-ostree puts an RPM's ``path``, both relative to the root.

    utils.rs:266 translate_path_for_ostree_impl.
    """
    if path == "etc" or path.startswith("etc/"):
        return f"usr/{path}"
    if path.startswith("boot/"):
        return f"usr/lib/ostree-boot/{path.removeprefix('boot/')}"
    if path.startswith("var/lib/selinux/targeted/"):
        return f"usr/etc/selinux/targeted/{path.removeprefix('var/lib/selinux/targeted/')}"
    if path == "opt" or path.startswith("opt/"):
        return f"usr/lib/{path}"
    if path.startswith(tuple(f"var/lib/{name}" for name in _MOVED_FROM_VAR)):
        return f"usr/lib/{path.removeprefix('var/lib/')}"
    return path


def _links(name: str) -> Iterator[str]:
    """Yield the tmpfiles.d line that links the old place of a directory to its new one.

    importer.rs:142 inspect_opt_path, :157 inspect_varlib_path, :185 tmpfiles_symlink_entries.
    """
    parts = name.split("/")
    if parts[1] == "opt" and len(parts) > 2:
        yield f"L {_quoted(f'/opt/{parts[2]}')} - - - - ../../usr/lib/opt/{parts[2]}"
    for moved in _MOVED_FROM_VAR:
        if name == f"/var/lib/{moved}":
            yield f"L {name} - - - - ../../usr/lib/{moved}"


def _tmpfiles_line(path: str, entry: rpm.file) -> str:
    """Return the line that creates a directory or symlink at boot.

    tmpfiles.rs:56 translate_to_tmpfiles_d, :39 canonicalize_escape_path.
    """
    shown = _quoted(path.removeprefix("/var") if path.startswith("/var/run/") else path)
    if stat.S_ISLNK(entry.mode):
        return f"L {shown} - - - - {entry.linkto}"
    return f"d {shown} {stat.S_IMODE(entry.mode):04o} {entry.user} {entry.group} - -"


def _quoted(path: str) -> str:
    """Return ``path`` quoted for a shell: utils.rs:245 shellsafe_quote."""
    return path if _SAFE.fullmatch(path) else "'" + path.replace("'", "'\\''") + "'"


def _is_documentation(package: Package, path: str) -> bool:
    """Return whether a treefile with ``documentation: false`` leaves out the path.

    rpmostree-importer.cxx:175 build_rpmfi_overrides.
    """
    return any(file.name == path and file.fflags & rpm.RPMFILE_DOC for file in package.files)


def _is_filtered(name: str, path: str) -> bool:
    """Return whether a path is silently left out; raise ToolError for a refused one.

    importer.rs:351 import_filter, :384 path_is_ostree_compliant.
    """
    if path.startswith("/usr/etc/selinux") and path.endswith(".LOCK"):
        return True
    if path.startswith(("/run", "/var")):  # this includes /variable
        return True
    if path in _TOP or path.startswith(_BELOW):
        return False
    if name in {"filesystem", "rootfiles"}:  # treefile.rs:1940 importer_flags
        return True
    raise ToolError(f"Importing package '{name}': Analyzing {path}: {_UNSUPPORTED}")


def _mode(mode: int, read_only_executables: bool) -> int:
    """Return the mode in the commit: importer.rs:312 tweak_imported_file_info."""
    if stat.S_ISDIR(mode):
        return stat.S_IMODE(mode) | stat.S_IWUSR
    if read_only_executables and stat.S_ISREG(mode) and mode & 0o111:
        return stat.S_IMODE(mode) & ~0o222
    return stat.S_IMODE(mode)


def _write(target: Path, entry: rpm.file, read: Read, mode: int) -> None:
    """Write an entry; ignore those of any other kind.

    rpmostree-importer.cxx:588 import_rpm_to_repo, ignore_unsupported_content.
    """
    if stat.S_ISDIR(entry.mode):
        target.mkdir(exist_ok=True)
    elif stat.S_ISLNK(entry.mode):
        target.symlink_to(entry.linkto)
        return
    elif stat.S_ISREG(entry.mode):
        with target.open("wb") as file:
            while piece := read(_CHUNK):
                file.write(piece)
    else:
        return
    target.chmod(mode)


def _hard_links(commit: _Commit) -> Iterator[tuple[str, Path]]:
    """Yield each name without content of its own, with the path that has the content.

    rpmostree-importer.cxx:588 import_rpm_to_repo: in libostree, each name has the whole content.
    """
    for file in commit.package.files:
        link = commit.written.get(file.name)
        if file.nlink > 1 and link and file.size and not link.stat().st_size:
            yield next(
                (other.name, link)
                for other in file.links
                if other.name in commit.written and commit.written[other.name].stat().st_size
            )


def _parent_made(directory: Path, path: str) -> Path:
    """Return ``path`` in the directory; create parents of mode 0755 that the payload lacks."""
    final = directory / path
    missing = [parent for parent in final.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir()
        parent.chmod(0o755)
    return final
