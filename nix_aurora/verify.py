"""Built packages against the policy that design.md and rpm-ostree's importer set for them."""

import hashlib
import json
import re
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import rpm

from nix_aurora import log
from nix_aurora.errors import VerificationError
from nix_aurora.text import printable
from nix_aurora.tools import REQUIRES

_ALLOWED = ("/usr/", "/etc/")
_ARCHIVE = "/usr/lib/nix-aurora/closure.tar.zst"
_MANIFEST = "/usr/lib/nix-aurora/closure.json"
_LICENSES = tuple(
    f"/usr/share/licenses/nix-aurora/{name}"
    for name in ("LICENSE", "CLOSURE-LICENSES", "SOURCE-OFFER")
)
_NIXD = "nix-aurora-nixd"
_SELINUX = "nix-aurora-selinux"
_NOARCH = frozenset({_SELINUX})
_MODULE = "/usr/share/selinux/packages/targeted/nix-aurora.cil"
_KEPT = frozenset({_MANIFEST, "/usr/lib/nix-aurora/closure.env", "/usr/bin/nix"})
_CHUNK = 1 << 20
_LARGEST = 64 << 20  # bytes of a file that is looked into; the payload's tar is some 2 MB
# What rpm's dependency generators write: sonames, interpreters, pkg-config and the like.
_GENERATED = re.compile(r".*\(.*\)(\(64bit\))?$|/.*|.*\.so(\.|$)")
_SCRIPTS = ("prein", "postin", "preun", "postun", "pretrans", "posttrans")
_FORBIDDEN_SCRIPTS = ("pretrans", "verifyscript")  # rpm-ostree never runs them
_ISA = {"x86_64": "x86-64", "aarch64": "aarch-64"}  # rpm's %{_isa}
_TRIGGERS = ("triggerscripts", "filetriggerscripts", "transfiletriggerscripts")


@dataclass(frozen=True, slots=True)
class _Package:
    path: Path
    header: Any  # rpm.hdr: the bindings have no types
    digests: dict[str, str]  # SHA-256 in hex of every regular file, by name
    contents: dict[str, bytes]  # of the few files that are looked into

    def fault(self, subject: str, expected: str, got: str) -> VerificationError:
        return VerificationError(
            f"verifying {self.path.name}: {printable(subject)}: "
            f"expected {expected}, got {printable(got)}"
        )


def verify(path: Path) -> None:
    """Check the RPM or SRPM at ``path``; VerificationError tells the first fault.

    Payload and headers are read by the rpm bindings. What is checked is in the functions below,
    one rule each.
    """
    with log.step(f"Verifying {path.name}"):
        package = _read(path)
        if package.header.isSource():
            checks = _SOURCE_CHECKS
        else:
            checks = _CHECKS.get(package.header["name"], _BINARY_CHECKS)
        for check in checks:
            check(package)


def _read(path: Path) -> _Package:
    transaction = rpm.TransactionSet()
    # Digests are checked; signatures are the repository's matter, and there may be none yet.
    transaction.setVSFlags(rpm.RPMVSF_MASK_NOSIGNATURES)
    digests: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    try:
        with path.open("rb") as file:
            header = transaction.hdrFromFdno(file.fileno())
            # A payload that is not compressed names no compressor.
            compressor = header[rpm.RPMTAG_PAYLOADCOMPRESSOR] or "ufdio"
            descriptor = rpm.fd(file.fileno(), "r", compressor)
            archive = rpm.files(header).archive(descriptor)
            for entry in archive:
                if not stat.S_ISREG(entry.mode) or not archive.hascontent():
                    continue
                name = entry.name
                kept = name in _KEPT or (header.isSource() and name.startswith("payload-"))
                if kept and entry.size > _LARGEST:
                    raise VerificationError(
                        f"verifying {path.name}: {printable(name)}: "
                        f"expected at most {_LARGEST} bytes, got {entry.size}"
                    )
                digests[name], contents[name] = _digest(archive, entry.size, keep=kept)
    except (rpm.error, OSError) as error:
        raise VerificationError(
            f"verifying {path.name}: expected a readable RPM, got: {error}"
        ) from error
    return _Package(path, header, digests, {name: data for name, data in contents.items() if data})


def _digest(archive: rpm.archive, size: int, *, keep: bool) -> tuple[str, bytes]:
    digest = hashlib.sha256()
    kept = bytearray()
    while size > 0:
        piece = archive.read(min(size, _CHUNK))
        if not piece:
            raise OSError("the payload ends early")
        digest.update(piece)
        if keep:
            kept += piece
        size -= len(piece)
    return digest.hexdigest(), bytes(kept)


def _files(package: _Package) -> Iterator[Any]:
    yield from rpm.files(package.header)


def _check_payload(package: _Package) -> None:
    """The payload is what the header says: rpm itself looks only when it installs."""
    for entry in _files(package):
        if stat.S_ISREG(entry.mode) and not entry.fflags & rpm.RPMFILE_GHOST:
            got = package.digests.get(entry.name, "no such file")
            if got != entry.digest:
                raise package.fault(entry.name, f"SHA-256 {entry.digest}", got)


def _check_paths(package: _Package) -> None:
    for entry in _files(package):
        if not entry.name.startswith(_ALLOWED):
            raise package.fault(entry.name, "a path below /usr or /etc", "another")


def _check_owners(package: _Package) -> None:
    for entry in _files(package):
        if (entry.user, entry.group) != ("root", "root"):
            raise package.fault(entry.name, "owner root:root", f"{entry.user}:{entry.group}")


def _check_modes(package: _Package) -> None:
    for entry in _files(package):
        mode = stat.S_IMODE(entry.mode)
        if mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX) or entry.caps:
            raise package.fault(entry.name, "no special bits or capabilities", f"{mode:04o}")
        if not stat.S_ISLNK(entry.mode) and mode not in {0o644, 0o755}:
            raise package.fault(entry.name, "mode 0644 or 0755", f"{mode:04o}")


def _check_settings(package: _Package) -> None:
    wanted = rpm.RPMFILE_CONFIG | rpm.RPMFILE_NOREPLACE
    for entry in _files(package):
        is_setting = entry.name.startswith("/etc/") and stat.S_ISREG(entry.mode)
        if is_setting and entry.fflags & wanted != wanted:
            raise package.fault(entry.name, "%config(noreplace)", "another kind of file")


def _check_licences(package: _Package) -> None:
    marked = {entry.name for entry in _files(package) if entry.fflags & rpm.RPMFILE_LICENSE}
    for name in _LICENSES:
        if name not in marked:
            raise package.fault(name, "a file marked %license", "none")


def _check_scriptlets(package: _Package) -> None:
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


def _check_requires(package: _Package) -> None:
    required = {name for name in package.header["requirename"] if not name.startswith("rpmlib(")}
    for name in REQUIRES:
        if name not in required:
            raise package.fault("Requires", f"{name}, whose programs our scripts call", "none")
    for name in sorted(required - {"/bin/sh"}):  # of the scriptlets
        if _GENERATED.fullmatch(name) and not name.startswith("("):  # a rich one is the spec's
            raise package.fault("Requires", "none generated from the closure", name)


def _check_provides(package: _Package) -> None:
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


def _manifest(package: _Package, content: bytes | None) -> tuple[str, str, str]:
    """Give the archive's SHA-256, the system and the Nix path that a closure.json tells."""
    if content is None:
        raise package.fault(_MANIFEST, "a file", "none")
    try:
        manifest = json.loads(content)
        return manifest["archive"]["sha256"], manifest["system"], manifest["nix"]
    except (ValueError, KeyError, TypeError) as error:
        raise package.fault(
            _MANIFEST, "JSON that describes a closure", f"{type(error).__name__}: {error}"
        ) from error


def _check_archive(package: _Package) -> None:
    sha256, system, nix = _manifest(package, package.contents.get(_MANIFEST))
    got = package.digests.get(_ARCHIVE, "no such file")
    if got != sha256:
        raise package.fault(_ARCHIVE, f"SHA-256 {sha256}", got)
    arch = package.header["arch"]
    if system != f"{arch}-linux":
        raise package.fault(_MANIFEST, f"system {arch}-linux", system)
    if f"\nnix={nix}\n".encode() not in package.contents.get("/usr/bin/nix", b""):
        raise package.fault("/usr/bin/nix", f"a line nix={nix}", "none")


def _check_selinux(package: _Package) -> None:
    """It is text that the host compiles: no policy in binary form."""
    names = [entry.name for entry in _files(package)]
    if names != [_MODULE]:
        raise package.fault("files", _MODULE, " ".join(names))


def _check_nixd(package: _Package) -> None:
    """It goes with the package that starts it, of the same build."""
    header = package.header
    build = f"{header['version']}-{header['release']}"
    required = zip(header["requirename"], header["requireversion"], strict=True)
    if ("nix-aurora", build) not in required:
        raise package.fault("Requires", f"nix-aurora = {build}", "none")


def _check_sources(package: _Package) -> None:
    """Each closure in an SRPM is the one that its payload's closure.json tells of."""
    arches = package.header["exclusivearch"]
    expected = {"nix-aurora.spec"} | {
        name for arch in arches for name in (f"closure-{arch}.tar.zst", f"payload-{arch}.tar")
    }
    if any(name.startswith("nixd-") for name in package.digests):
        expected |= {f"nixd-{arch}.tar" for arch in arches}
    if set(package.digests) != expected:
        raise package.fault("files", " ".join(sorted(expected)), " ".join(sorted(package.digests)))
    for arch in arches:
        content = _from_tar(package, f"payload-{arch}.tar", _MANIFEST.lstrip("/"))
        wanted, _, _ = _manifest(package, content)
        got = package.digests[f"closure-{arch}.tar.zst"]
        if got != wanted:
            raise package.fault(f"closure-{arch}.tar.zst", f"SHA-256 {wanted}", got)


def _from_tar(package: _Package, archive: str, name: str) -> bytes | None:
    try:
        content = BytesIO(package.contents.get(archive, b""))
        with tarfile.open(fileobj=content, mode="r:") as members:
            member = members.extractfile(name)
            return member.read() if member else None
    except KeyError:  # no such member
        return None
    except tarfile.TarError as error:
        raise package.fault(archive, "a tar", str(error)) from error


_Checks = tuple[Callable[[_Package], None], ...]
_SOURCE_CHECKS: _Checks = (
    _check_payload,
    _check_owners,
    _check_sources,
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
_BINARY_CHECKS: _Checks = (*_COMMON_CHECKS, _check_licences, _check_requires, _check_archive)
_CHECKS = {
    _NIXD: (*_COMMON_CHECKS, _check_nixd),
    _SELINUX: (*_COMMON_CHECKS, _check_selinux),
}
