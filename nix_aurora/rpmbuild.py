"""Prepared closures to an SRPM, and an SRPM to RPMs, by rpmbuild.

An RPM is always rebuilt from the SRPM, the way that COPR, mock and anybody else would do it.
"""

import calendar
import datetime
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nix_aurora import files, log
from nix_aurora.closure import Closure
from nix_aurora.errors import VerificationError
from nix_aurora.licences import escape
from nix_aurora.pack import LICENCES, SHARED, Packed
from nix_aurora.render import render_payload
from nix_aurora.run import run
from nix_aurora.spec import render_spec
from nix_aurora.verify import verify

_DESCRIPTIONS = ("closure.env", "closure.json", "closure.reginfo", "closure.spdx.json")
_LICENSES = "usr/share/licenses/nix-aurora"


@dataclass(frozen=True, slots=True)
class Prepared:
    """One architecture's part of the SRPM; ``nixd`` is the program of its own package, if any."""

    closure: Closure
    packed: Packed
    nixd: Path | None = None


def build_srpm(
    prepared: Sequence[Prepared], top: Path, out: Path, *, release: int, date: datetime.date
) -> Path:
    """Write ``out/nix-aurora-….src.rpm`` with every prepared architecture, and give its path.

    ``top`` is the project's directory. Raises VerificationError where the architectures differ in
    version, ToolError where rpmbuild fails.
    """
    versions = {item.closure.arch: item.closure.version for item in prepared}
    if len(set(versions.values())) != 1:
        raise VerificationError(
            "building the SRPM: sources: expected one version for all architectures, got "
            + ", ".join(f"{version} for {arch}" for arch, version in sorted(versions.items()))
        )
    mtime = calendar.timegm(date.timetuple())
    with log.step("Building the SRPM"), files.new_directory(out / "rpmbuild") as work:
        sources = work / "SOURCES"
        sources.mkdir()
        for item in sorted(prepared, key=lambda item: item.closure.arch):
            _write_sources(item, top, sources, mtime)
        spec = work / "SPECS" / "nix-aurora.spec"
        spec.parent.mkdir()
        text = render_spec(
            top,
            version=next(iter(versions.values())),
            release=release,
            date=date,
            arches=sorted(versions),
            sources=sorted(path.name for path in sources.iterdir()),
        )
        spec.write_text(text, encoding="utf-8")
        for path in (spec, *sources.iterdir()):
            os.utime(path, (mtime, mtime))  # the SRPM records it
            path.chmod(0o644)
        # An SRPM has the spec with its macros expanded: no path of this build may be in it.
        command = ["rpmbuild", "--define", "_topdir .", "-bs", "SPECS/nix-aurora.spec"]
        run(command, cwd=work, log_file=_log_file(out, "srpm"))
        return _publish(work / "SRPMS", out)[0]


def build_rpm(srpm: Path, arch: str, out: Path) -> list[Path]:
    """Rebuild ``srpm`` for ``arch`` and give the paths of the RPMs in ``out``.

    They are the noarch nix-aurora-selinux, nix-aurora, and, where it is in the SRPM, that of nixd.
    """
    with log.step(f"Building the RPM for {arch}"), files.new_directory(out / f"rpm-{arch}") as work:
        target = ("--target", f"{arch}-linux")
        command = ["rpmbuild", *_topdir(work), *target, "--rebuild", str(srpm)]
        run(command, log_file=_log_file(out, f"rpm-{arch}"))
        return _publish(work / "RPMS", out)


def _write_sources(item: Prepared, top: Path, sources: Path, mtime: int) -> None:
    closure, packed = item.closure, item.packed
    shutil.copyfile(packed.archive, sources / f"closure-{closure.arch}.tar.zst")
    extra = {f"usr/lib/nix-aurora/{name}": packed.directory / name for name in _DESCRIPTIONS}
    extra[f"{_LICENSES}/LICENSE"] = top / "LICENSE"
    extra[f"{_LICENSES}/{LICENCES}"] = packed.directory / LICENCES
    shared = packed.directory / SHARED
    for path in filter(Path.is_file, shared.rglob("*")):
        extra[f"usr/share/{path.relative_to(shared)}"] = path
    render_payload(
        top / "payload",
        {
            "closure": closure,
            # A file's name can be anything.
            "origin": {key: escape(str(value)) for key, value in packed.origin.items()},
        },
        links={f"usr/bin/{name}": "nix" for name in closure.commands if name != "nix"},
        extra=extra,
        destination=sources / f"payload-{closure.arch}.tar",
        mtime=mtime,
    )
    if item.nixd:
        render_payload(
            top / "payload-nixd",
            {},
            links={},
            extra={},
            programs={"usr/libexec/nix-aurora-nixd/determinate-nixd": item.nixd},
            destination=sources / f"nixd-{closure.arch}.tar",
            mtime=mtime,
        )


def _log_file(out: Path, name: str) -> Path:
    # Beside the work directory, which goes when rpmbuild fails.
    path = out / "logs" / f"{name}.log"
    path.parent.mkdir(exist_ok=True)
    return path


def _topdir(work: Path) -> list[str]:
    # Only where it works and writes is ours; all that shapes the packages is in the spec.
    return ["--define", f"_topdir {work.absolute()}"]


def _publish(built: Path, out: Path) -> list[Path]:
    """Move what rpmbuild has written below ``built`` to ``out``, once it is verified."""
    packages = sorted(built.rglob("*.rpm"))
    if not packages:
        raise VerificationError(f"cannot find a package that rpmbuild wrote: {built}: it has none")
    for path in packages:
        verify(path)
    return [path.replace(out / path.name) for path in packages]
