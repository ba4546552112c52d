"""Build an SRPM of staged closures, and RPMs from an SRPM, with rpmbuild.

An RPM is always rebuilt from the SRPM, just as COPR, mock and other people do it.
"""

import calendar
import datetime
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nix_aurora import files, log
from nix_aurora.closure.description import File
from nix_aurora.closure.license_list import escape
from nix_aurora.closure.manifest import closure_id
from nix_aurora.closure.stage import Staged
from nix_aurora.errors import VerificationError
from nix_aurora.package.command_line import read_command_line
from nix_aurora.package.completion import completion_context
from nix_aurora.package.lists import read_layouts, read_units
from nix_aurora.package.render import render_payload
from nix_aurora.package.spec import Tarball, render_spec
from nix_aurora.package.verify import verify
from nix_aurora.release.source import kind
from nix_aurora.run import run
from nix_aurora.store.paths import STORE

_OWN = "usr/lib/nix-aurora"
_LICENSES = "usr/share/licenses/nix-aurora"


@dataclass(frozen=True, slots=True)
class Prepared:
    """One architecture's part of the SRPM.

    ``description`` is the directory that describe() filled for it, ``nixd`` the program of the
    separate nixd package, if requested.
    """

    staged: Staged
    description: Path
    nixd: Path | None = None

    @property
    def arch(self) -> str:
        """Return the architecture in RPM's spelling."""
        return self.staged.closure.arch

    @property
    def tarball(self) -> Tarball:
        """Return the release's tarball with its name in the SRPM."""
        staged = self.staged
        return Tarball(f"closure-{self.arch}.{kind(staged.tarball)}", self.arch, staged.sha256)


def build_srpm(
    prepared: Sequence[Prepared],
    top: Path,
    out: Path,
    *,
    release: int,
    date: datetime.date,
    level: int,
    accepted: Sequence[str] = (),
) -> Path:
    """Write ``out/nix-aurora-….src.rpm`` with every prepared architecture, and return its path.

    ``top`` is the project's directory; ``level`` is zstd's level for a build of this SRPM;
    ``accepted`` are the advisories that the changelog names. Raises VerificationError if the
    architectures differ in version, or if a tarball is not the one that was staged; ToolError if
    rpmbuild fails.
    """
    versions = {item.arch: item.staged.closure.version for item in prepared}
    if len(set(versions.values())) != 1:
        raise VerificationError(
            "cannot build the SRPM: sources: expected one version for all architectures, got "
            + ", ".join(f"{version} for {arch}" for arch, version in sorted(versions.items()))
        )
    mtime = calendar.timegm(date.timetuple())
    with log.step("Building the SRPM"), files.new_directory(out / "rpmbuild") as work:
        sources = work / "SOURCES"
        sources.mkdir()
        for item in sorted(prepared, key=lambda item: item.arch):
            _write_sources(item, top, sources, mtime)
        spec = work / "SPECS" / "nix-aurora.spec"
        spec.parent.mkdir()
        text = render_spec(
            top,
            version=next(iter(versions.values())),
            release=release,
            date=date,
            level=level,
            tarballs=sorted(item.tarball for item in prepared),
            sources=sorted(path.name for path in sources.iterdir()),
            accepted=accepted,
        )
        spec.write_text(text, encoding="utf-8")
        for path in (spec, *sources.iterdir()):
            os.utime(path, (mtime, mtime))  # the SRPM records it
            path.chmod(0o644)
        # The SRPM contains the spec with expanded macros, so no path of this build may appear in
        # it.
        command = ["rpmbuild", "--define", "_topdir .", "-bs", "SPECS/nix-aurora.spec"]
        run(command, cwd=work, log_file=_log_file(out, "srpm"))
        return _move_verified(work / "SRPMS", out)[0]


def build_rpm(srpm: Path, arch: str, out: Path) -> list[Path]:
    """Rebuild ``srpm`` for ``arch`` and return the paths of the RPMs in ``out``.

    They are the noarch nix-aurora-selinux, nix-aurora, and nix-aurora-nixd if the SRPM contains it.
    """
    with log.step(f"Building the RPM for {arch}"), files.new_directory(out / f"rpm-{arch}") as work:
        target = ("--target", f"{arch}-linux")
        command = ["rpmbuild", *_topdir(work), *target, "--rebuild", str(srpm)]
        run(command, log_file=_log_file(out, f"rpm-{arch}"))
        return _move_verified(work / "RPMS", out)


def _write_sources(item: Prepared, top: Path, sources: Path, mtime: int) -> None:
    staged, closure = item.staged, item.staged.closure
    _copy_tarball(item, sources)
    extra = {f"{_OWN}/{name}": item.description / name for name in (File.ENV, File.JSON, File.SBOM)}
    extra[f"{_LICENSES}/LICENSE"] = top / "LICENSE"
    extra[f"{_LICENSES}/{File.LICENSES}"] = item.description / File.LICENSES
    extra["usr/share"] = item.description / File.USR_SHARE
    for path in staged.added:
        name = path.removeprefix(f"{STORE}/")
        extra[f"{_OWN}/store/{name}"] = staged.root / "store" / name
    render_payload(
        top / "payload",
        {
            "closure": closure,
            "id": closure_id(closure),
            "profile": staged.profile,
            "units": read_units(top),
            "layouts": read_layouts(top),
            # A file's name can contain any character.
            "origin": {key: escape(str(value)) for key, value in staged.origin.items()},
            **completion_context(read_command_line(top / "payload")),
        },
        links={f"usr/bin/{name}": "nix" for name in closure.commands if name != "nix"},
        extra=extra,
        destination=sources / f"payload-{item.arch}.tar",
        mtime=mtime,
    )
    if item.nixd:
        render_payload(
            top / "payload-nixd",
            {},
            links={},
            extra={},
            programs={"usr/libexec/nix-aurora-nixd/determinate-nixd": item.nixd},
            destination=sources / f"nixd-{item.arch}.tar",
            mtime=mtime,
        )


def _copy_tarball(item: Prepared, sources: Path) -> None:
    """Copy the release's tarball, and check that its content is still the proven one."""
    tarball, copy = item.tarball, sources / item.tarball.name
    shutil.copyfile(item.staged.tarball, copy)
    if (got := files.sha256_file(copy)) != tarball.sha256:
        raise VerificationError(
            f"cannot build the SRPM: {item.staged.tarball.name}: "
            f"expected SHA-256 {tarball.sha256}, "
            f"as when it was unpacked, got {got}"
        )


def _log_file(out: Path, name: str) -> Path:
    # The log is beside the work directory, which is removed if rpmbuild fails.
    path = out / "logs" / f"{name}.log"
    path.parent.mkdir(exist_ok=True)
    return path


def _topdir(work: Path) -> list[str]:
    # Only the places of files are set here; everything that shapes the packages is in the spec.
    return ["--define", f"_topdir {work.absolute()}"]


def _move_verified(built: Path, out: Path) -> list[Path]:
    """Verify the packages that rpmbuild wrote below ``built``, and move them to ``out``."""
    packages = sorted(built.rglob("*.rpm"))
    if not packages:
        raise VerificationError(f"cannot find a package that rpmbuild wrote: {built}: it has none")
    for path in packages:
        verify(path)
    return [path.replace(out / path.name) for path in packages]
