"""Check built packages against the policy of this project and of rpm-ostree's importer."""

import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import rpm

from nix_aurora import files, log
from nix_aurora.package.built import PACKAGED_STORE, Package, read
from nix_aurora.package.content import check_closure, check_sources
from nix_aurora.package.tools import REQUIRES

_ALLOWED = ("/usr/", "/etc/")
_LICENSES = tuple(
    f"/usr/share/licenses/nix-aurora/{name}"
    for name in ("LICENSE", "CLOSURE-LICENSES", "SOURCE-OFFER")
)
_NIXD = "nix-aurora-nixd"
_SELINUX = "nix-aurora-selinux"
_NOARCH = frozenset({_SELINUX})
_MODULE = "/usr/share/selinux/packages/targeted/nix-aurora.cil"
# Names that rpm's dependency generators write: sonames, interpreters, pkg-config and so on.
_GENERATED = re.compile(r".*\(.*\)(\(64bit\))?$|/.*|.*\.so(\.|$)")
_SCRIPTS = ("prein", "postin", "preun", "postun", "pretrans", "posttrans")
_FORBIDDEN_SCRIPTS = ("pretrans", "verifyscript")  # rpm-ostree never runs them
_ISA = {"x86_64": "x86-64", "aarch64": "aarch-64"}  # rpm's %{_isa}
_TRIGGERS = ("triggerscripts", "filetriggerscripts", "transfiletriggerscripts")


def verify(path: Path) -> None:
    """Check the RPM or SRPM at ``path``; raise VerificationError for the first fault.

    The rules are in the functions below and in proof.py, one rule each.
    """
    with log.step(f"Verifying {path.name}"), _scratch() as scratch:
        package = read(path, scratch)
        if package.header.isSource():
            checks = _SOURCE_CHECKS
        else:
            checks = _CHECKS.get(package.header["name"], _BINARY_CHECKS)
        for check in checks:
            check(package)


def _check_payload(package: Package) -> None:
    """Check that the payload matches the header: rpm itself checks it only at installation."""
    for entry in package.files():
        if stat.S_ISREG(entry.mode) and not entry.fflags & rpm.RPMFILE_GHOST:
            got = package.digests.get(entry.name, "no such file")
            if got != entry.digest:
                raise package.fault(entry.name, f"SHA-256 {entry.digest}", got)


def _check_paths(package: Package) -> None:
    for entry in package.files():
        if not entry.name.startswith(_ALLOWED):
            raise package.fault(entry.name, "a path below /usr or /etc", "another")


def _check_owners(package: Package) -> None:
    for entry in package.files():
        if (entry.user, entry.group) != ("root", "root"):
            raise package.fault(entry.name, "owner root:root", f"{entry.user}:{entry.group}")


def _check_modes(package: Package) -> None:
    for entry in package.files():
        mode = stat.S_IMODE(entry.mode)
        if mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX) or entry.caps:
            raise package.fault(entry.name, "no special bits or capabilities", f"{mode:04o}")
        plain, executable = _modes(entry)
        if not stat.S_ISLNK(entry.mode) and mode not in {plain, executable}:
            expected = f"mode {plain:04o} or {executable:04o}"
            raise package.fault(entry.name, expected, f"{mode:04o}")


def _modes(entry: rpm.file) -> tuple[int, int]:
    """Return the modes that a file may have: read-only in the store, as in Nix's own."""
    in_store = entry.name.startswith(f"{PACKAGED_STORE}/") and stat.S_ISREG(entry.mode)
    return (0o444, 0o555) if in_store else (0o644, 0o755)


def _check_times(package: Package) -> None:
    """Check that rpm --verify ignores times in the store, since ostree keeps none."""
    for entry in package.files():
        in_store = entry.name == PACKAGED_STORE or entry.name.startswith(f"{PACKAGED_STORE}/")
        if in_store and entry.vflags & rpm.RPMVERIFY_MTIME:
            raise package.fault(entry.name, "%verify(not mtime)", "a time to verify")


def _check_settings(package: Package) -> None:
    wanted = rpm.RPMFILE_CONFIG | rpm.RPMFILE_NOREPLACE
    for entry in package.files():
        is_setting = entry.name.startswith("/etc/") and stat.S_ISREG(entry.mode)
        if is_setting and entry.fflags & wanted != wanted:
            raise package.fault(entry.name, "%config(noreplace)", "another kind of file")


def _check_licenses(package: Package) -> None:
    marked = {entry.name for entry in package.files() if entry.fflags & rpm.RPMFILE_LICENSE}
    for name in _LICENSES:
        if name not in marked:
            raise package.fault(name, "a file marked %license", "none")


def _check_scriptlets(package: Package) -> None:
    for name in _SCRIPTS:
        interpreter = " ".join(package.header[f"{name}prog"] or ())
        if "<lua>" in interpreter:
            raise package.fault(f"%{name}", "a shell scriptlet", "one in Lua")
    for name in _FORBIDDEN_SCRIPTS:
        if package.header[name]:
            raise package.fault(f"%{name}", "none, for rpm-ostree never runs it", "one")
    for name in _TRIGGERS:
        if package.header[name]:
            raise package.fault(name, "none, for rpm-ostree refuses them", "some")


def _check_requires(package: Package) -> None:
    required = {name for name in package.header["requirename"] if not name.startswith("rpmlib(")}
    for name in REQUIRES:
        if name not in required:
            raise package.fault("Requires", f"{name}, whose programs our scripts call", "none")
    for name in sorted(required - {"/bin/sh"}):  # of the scriptlets
        # rich dependencies come from the spec
        if _GENERATED.fullmatch(name) and not name.startswith("("):
            raise package.fault("Requires", "none generated from the closure", name)


def _check_provides(package: Package) -> None:
    name, arch = package.header["name"], package.header["arch"]
    if name in _NOARCH:
        if arch != "noarch" or package.header["providename"] != [name]:
            raise package.fault("Provides", f"{name} alone, noarch", arch)
        return
    if arch not in _ISA:
        raise package.fault("architecture", " or ".join(_ISA), arch)
    for provided in package.header["providename"]:
        if provided not in {name, f"{name}({_ISA[arch]})"}:
            raise package.fault("Provides", f"{name} alone", provided)


def _check_selinux(package: Package) -> None:
    """Check that the policy is text, which the host compiles, and not binary."""
    names = [entry.name for entry in package.files()]
    if names != [_MODULE]:
        raise package.fault("files", _MODULE, " ".join(names))


def _check_nixd(package: Package) -> None:
    """Check that nixd's package requires the package that starts it, from the same build."""
    header = package.header
    build = f"{header['version']}-{header['release']}"
    required = zip(header["requirename"], header["requireversion"], strict=True)
    if ("nix-aurora", build) not in required:
        raise package.fault("Requires", f"nix-aurora = {build}", "none")


@contextmanager
def _scratch() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="nix-aurora-verify."))
    try:
        yield directory
    finally:
        files.remove_tree(directory)  # it contains read-only directories


_Checks = tuple[Callable[[Package], None], ...]
_SOURCE_CHECKS: _Checks = (
    _check_payload,
    _check_owners,
    check_sources,
)
_COMMON_CHECKS: _Checks = (
    _check_payload,
    _check_paths,
    _check_owners,
    _check_modes,
    _check_settings,
    _check_scriptlets,
    _check_provides,
)
_BINARY_CHECKS: _Checks = (
    *_COMMON_CHECKS,
    _check_times,
    _check_licenses,
    _check_requires,
    check_closure,
)
_CHECKS = {
    _NIXD: (*_COMMON_CHECKS, _check_nixd),
    _SELINUX: (*_COMMON_CHECKS, _check_selinux),
}
