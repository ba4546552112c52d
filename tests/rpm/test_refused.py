"""``build.py verify`` and packages that break the policy, each in one way; built by rpmbuild."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nix_aurora.run import run
from nix_aurora.tools import REQUIRES
from tests.rpm.builder import Built, build_py

_ARCHIVE = b"a closure\n" * 1000
_NIX = "/nix/store/" + "0" * 32 + "-nix-3"
_SHA256 = hashlib.sha256(_ARCHIVE).hexdigest()
_MANIFEST = {
    "archive": {"sha256": _SHA256},
    "system": "x86_64-linux",
    "nix": _NIX,
}
_SPEC = """\
%global __os_install_post %{{nil}}
%global debug_package %{{nil}}
{macros}
Name: nix-aurora
Version: 1
Release: 1
Summary: A package to be refused
License: MIT
{source}
{header}
%description
%install
mkdir -p %{{buildroot}}/usr/lib/nix-aurora %{{buildroot}}/usr/bin %{{buildroot}}/etc
cp {directory}/closure.tar.zst {directory}/closure.json %{{buildroot}}/usr/lib/nix-aurora
printf '#!/bin/bash\\nnix={nix}\\n' >%{{buildroot}}/usr/bin/nix
chmod 755 %{{buildroot}}/usr/bin/nix
mkdir -p %{{buildroot}}/usr/share/licenses/nix-aurora
for name in LICENSE CLOSURE-LICENSES SOURCE-OFFER; do
    echo $name >%{{buildroot}}/usr/share/licenses/nix-aurora/$name
done
{install}
{scriptlets}
%files
{first}
/usr/lib/nix-aurora
{licences}
{files}
"""


@dataclass(frozen=True)
class Spec:
    """A spec of a package that passes, and what is added to break it."""

    macros: str = ""
    source: str = ""
    header: str = "AutoReqProv: no\n" + "".join(f"Requires: {name}\n" for name in REQUIRES)
    install: str = ""
    scriptlets: str = ""
    first: str = "%defattr(-,root,root)"
    licences: str = "%license /usr/share/licenses/nix-aurora"
    files: str = "/usr/bin/nix"
    nix: str = _NIX
    manifest: str = json.dumps(_MANIFEST)
    archive: bytes = _ARCHIVE
    target: str = "x86_64"


_GOOD = Spec()


def _with_file(path: str, attribute: str = "", commands: str = "") -> Spec:
    install = f"mkdir -p %{{buildroot}}{Path(path).parent}\necho x >%{{buildroot}}{path}\n"
    files = f"{_GOOD.files}\n{attribute} {path}"
    return replace(_GOOD, install=install + commands, files=files)


def _with_scriptlet(text: str) -> Spec:
    return replace(_GOOD, scriptlets=text)


def _with_manifest(**changes: object) -> Spec:
    return replace(_GOOD, manifest=json.dumps({**_MANIFEST, **changes}))


_REFUSED = {
    "path outside": (
        _with_file("/opt/x"),
        "/opt/x: expected a path below /usr or /etc, got another",
    ),
    "path in /var": (
        replace(_GOOD, install="mkdir -p %{buildroot}/var/x", files=f"{_GOOD.files}\n/var/x"),
        "/var/x: expected a path below /usr or /etc, got another",
    ),
    "the mount point": (
        replace(_GOOD, install="mkdir %{buildroot}/nix", files=f"{_GOOD.files}\n%ghost /nix"),
        "/nix: expected a path below /usr or /etc, got another",
    ),
    "owner": (
        _with_file("/usr/x", "%attr(644,nobody,root)"),
        "/usr/x: expected owner root:root, got nobody:root",
    ),
    "group": (
        _with_file("/usr/x", "%attr(644,root,nixbld)"),
        "/usr/x: expected owner root:root, got root:nixbld",
    ),
    "setuid": (
        _with_file("/usr/x", "%attr(4755,root,root)"),
        "/usr/x: expected no special bits or capabilities, got 4755",
    ),
    "setgid": (
        _with_file("/usr/x", "%attr(2755,root,root)"),
        "/usr/x: expected no special bits or capabilities, got 2755",
    ),
    "capabilities": (
        _with_file("/usr/x", "%attr(755,root,root) %caps(cap_net_raw=ep)"),
        "/usr/x: expected no special bits or capabilities, got 0755",
    ),
    "world-writable": (
        _with_file("/usr/x", "%attr(666,root,root)"),
        "/usr/x: expected mode 0644 or 0755, got 0666",
    ),
    "setting that an upgrade overwrites": (
        _with_file("/etc/x", "%config"),
        "/etc/x: expected %config(noreplace), got another kind of file",
    ),
    "licences that are not marked": (
        replace(_GOOD, licences="/usr/share/licenses/nix-aurora"),
        "/usr/share/licenses/nix-aurora/LICENSE: expected a file marked %license, got none",
    ),
    "no source offer": (
        replace(_GOOD, install="rm %{buildroot}/usr/share/licenses/nix-aurora/SOURCE-OFFER"),
        "/usr/share/licenses/nix-aurora/SOURCE-OFFER: expected a file marked %license, got none",
    ),
    "Lua": (
        _with_scriptlet("%post -p <lua>\nprint()"),
        "%postin: expected a shell scriptlet, got one in Lua",
    ),
    "%pretrans": (
        _with_scriptlet("%pretrans\ntrue"),
        "%pretrans: expected none, for rpm-ostree never runs it, got one",
    ),
    "%verifyscript": (
        _with_scriptlet("%verifyscript\ntrue"),
        "%verifyscript: expected none, for rpm-ostree never runs it, got one",
    ),
    "trigger": (
        _with_scriptlet("%triggerin -- bash\ntrue"),
        "triggerscripts: expected none, for rpm-ostree refuses them, got some",
    ),
    "file trigger": (
        _with_scriptlet("%filetriggerin -- /usr/bin\ntrue"),
        "filetriggerscripts: expected none, for rpm-ostree refuses them, got some",
    ),
    "transaction file trigger": (
        _with_scriptlet("%transfiletriggerin -- /usr/bin\ntrue"),
        "transfiletriggerscripts: expected none, for rpm-ostree refuses them, got some",
    ),
    "missing Requires": (
        replace(_GOOD, header=_GOOD.header.replace("Requires: tar\n", "")),
        "Requires: expected tar, whose programs our scripts call, got none",
    ),
    "generated Requires": (
        replace(
            _GOOD,
            header=_GOOD.header.partition("\n")[2],
            install="cp /bin/true %{buildroot}/usr/bin",
            files=f"{_GOOD.files}\n/usr/bin/true",
        ),
        "Requires: expected none generated from the closure, got /bin/bash",
    ),
    "written Requires of a library": (
        replace(_GOOD, header=f"{_GOOD.header}Requires: libc.so.6(GLIBC_2.34)(64bit)\n"),
        "Requires: expected none generated from the closure, got libc.so.6(GLIBC_2.34)(64bit)",
    ),
    "Provides": (
        replace(_GOOD, header=f"{_GOOD.header}Provides: nix = 3\n"),
        "Provides: expected nix-aurora alone, got nix",
    ),
    "architecture": (
        replace(_GOOD, header=f"{_GOOD.header}BuildArch: noarch\n", target="noarch"),
        "architecture: expected x86_64 or aarch64, got noarch",
    ),
    "archive": (
        replace(_GOOD, archive=b"another closure"),
        "/usr/lib/nix-aurora/closure.tar.zst: expected SHA-256 "
        f"{_SHA256}, got {hashlib.sha256(b'another closure').hexdigest()}",
    ),
    "no archive": (
        replace(_GOOD, install="rm %{buildroot}/usr/lib/nix-aurora/closure.tar.zst"),
        f"expected SHA-256 {_SHA256}, got no such file",
    ),
    "no manifest": (
        replace(_GOOD, install="rm %{buildroot}/usr/lib/nix-aurora/closure.json"),
        "/usr/lib/nix-aurora/closure.json: expected a file, got none",
    ),
    "manifest that is no JSON": (
        replace(_GOOD, manifest="{"),
        "/usr/lib/nix-aurora/closure.json: expected JSON that describes a closure, got",
    ),
    "manifest without an archive": (
        _with_manifest(archive=[]),
        "/usr/lib/nix-aurora/closure.json: expected JSON that describes a closure, got",
    ),
    "closure for another machine": (
        _with_manifest(system="aarch64-linux"),
        "/usr/lib/nix-aurora/closure.json: expected system x86_64-linux, got aarch64-linux",
    ),
    "wrapper of another Nix": (
        replace(_GOOD, nix="/nix/store/another"),
        f"/usr/bin/nix: expected a line nix={_NIX}, got none",
    ),
    "no wrapper": (
        replace(_GOOD, install="rm %{buildroot}/usr/bin/nix", files=""),
        f"/usr/bin/nix: expected a line nix={_NIX}, got none",
    ),
}


def _build(spec: Spec, directory: Path, *, source: bool = False) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "closure.tar.zst").write_bytes(spec.archive)
    (directory / "closure.json").write_text(spec.manifest)
    path = directory / "nix-aurora.spec"
    values = {name: getattr(spec, name) for name in spec.__dataclass_fields__}
    path.write_text(_SPEC.format(directory=directory, **values))
    defines = ("--define", f"_topdir {directory}", "--define", f"_sourcedir {directory}")
    run(
        ["rpmbuild", "-bs" if source else "-bb", "--target", f"{spec.target}-linux", *defines, path]
    )
    (result,) = (directory / ("SRPMS" if source else "RPMS")).rglob("*.rpm")
    return result


def _refused(path: Path) -> str:
    """Run verify, and give its complaint; rpm itself may have had a word before."""
    done = build_py("verify", "-q", path)
    assert (done.returncode, done.stdout) == (5, ""), done.stderr
    assert "Traceback" not in done.stderr
    _, _, said = done.stderr.partition(f"error: verifying {path.name}: ")
    complaint, *hints = said.splitlines()
    assert hints == ["hint: make rpm builds the packages again"], done.stderr
    return complaint


def test_what_all_of_these_are_made_of_passes(tmp_path: Path) -> None:
    assert build_py("verify", _build(_GOOD, tmp_path)).returncode == 0


@pytest.mark.parametrize("name", _REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    spec, message = _REFUSED[name]
    assert message in _refused(_build(spec, tmp_path))


def test_the_first_of_several_that_is_refused_is_named(built: Built, tmp_path: Path) -> None:
    spec, message = _REFUSED["setuid"]
    done = build_py("verify", "-q", built.srpm, _build(spec, tmp_path), built.rpms["x86_64"])
    assert (done.returncode, done.stdout) == (5, "")
    assert message in done.stderr


# --- source packages


def _payload(manifest: str | None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        if manifest is not None:
            member = tarfile.TarInfo("usr/lib/nix-aurora/closure.json")
            member.size = len(manifest)
            archive.addfile(member, io.BytesIO(manifest.encode()))
    return buffer.getvalue()


_SOURCES = "Source0: closure-x86_64.tar.zst\nSource1: payload-x86_64.tar"
_SOURCES_REFUSED = {
    "archive": (
        _SOURCES,
        _payload(_GOOD.manifest),
        "closure-x86_64.tar.zst: expected SHA-256",
    ),
    "no manifest": (_SOURCES, _payload(None), "closure.json: expected a file, got none"),
    "no tar": (_SOURCES, b"x" * 1000, "payload-x86_64.tar: expected a tar, got"),
    "empty": (_SOURCES, b"", "payload-x86_64.tar: expected a tar, got"),
    "missing source": (
        "Source0: closure-x86_64.tar.zst",
        b"",
        "files: expected closure-x86_64.tar.zst nix-aurora.spec payload-x86_64.tar, got",
    ),
}


@pytest.mark.parametrize("name", _SOURCES_REFUSED)
def test_source_package_refused(name: str, tmp_path: Path) -> None:
    sources, payload, message = _SOURCES_REFUSED[name]
    (tmp_path / "closure-x86_64.tar.zst").write_bytes(b"another closure")
    (tmp_path / "payload-x86_64.tar").write_bytes(payload)
    header = f"{_GOOD.header}ExclusiveArch: x86_64\n"
    srpm = _build(
        replace(_GOOD, source=sources, header=header, macros="%global _srcdefattr (-,root,root)"),
        tmp_path,
        source=True,
    )
    assert message in _refused(srpm)


# --- bytes that are not what they were


@pytest.mark.parametrize("content", [b"", b"not a package\n" * 100, b"\xed\xab\xee\xdb"])
def test_not_a_package(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.rpm"
    path.write_bytes(content)
    assert "expected a readable RPM, got" in _refused(path)


def test_not_there(tmp_path: Path) -> None:
    assert "expected a readable RPM, got" in _refused(tmp_path / "x.rpm")


@pytest.mark.parametrize("part", [0.001, 0.01, 0.5, 0.999])
def test_truncated(built: Built, part: float, tmp_path: Path) -> None:
    path = tmp_path / "x.rpm"
    content = built.rpms["x86_64"].read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    _refused(path)


@pytest.mark.parametrize("part", [0.0005, 0.2, 0.5, 0.99])
def test_a_bit_flipped(built: Built, part: float, tmp_path: Path) -> None:
    """In the header and in the payload."""
    path = tmp_path / "x.rpm"
    content = bytearray(built.rpms["x86_64"].read_bytes())
    content[int(len(content) * part)] ^= 1
    path.write_bytes(content)
    _refused(path)


def test_a_file_changed_in_a_payload_that_can_be_read(tmp_path: Path) -> None:
    """Packed again by somebody who left the header as it was."""
    good = _build(replace(_GOOD, macros="%global _binary_payload w.ufdio"), tmp_path)
    content = good.read_bytes()
    assert content.count(b"\nnix=/nix") == 1
    changed = tmp_path / "changed.rpm"
    changed.write_bytes(content.replace(b"#!/bin/bash\nnix=/nix", b"#!/bin/evil\nnix=/nix"))
    assert "/usr/bin/nix: expected SHA-256" in _refused(changed)
    shutil.copy(good, changed)
    subprocess.run(["cmp", good, changed], check=True)
    assert build_py("verify", changed).returncode == 0
