"""Test ``build.py verify`` with packages that rpmbuild built, each with one fault."""

import base64
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nix_aurora.package.tools import REQUIRES
from nix_aurora.run import run
from tests.closures import File, Link, Node, Sample, make_tarball, nar, write_tree
from tests.rpm.builder import Built, build_py, query

_NAME = "0" * 32 + "-nix-3"
_NIX = f"/nix/store/{_NAME}"
_STORE: dict[str, Node] = {
    _NAME: {"bin": {"nix": File(b"#!/bin/sh\n", executable=True)}, "empty": {}, "x": Link("bin")},
    "1" * 32 + "-data": File(b"data"),
}
_SHOWN = "/nix/store/" + "1" * 32  # messages name this path
_DATA = "/usr/lib/nix-aurora/store/" + "1" * 32 + "-data"
_MODES = f"chmod 0444 %{{buildroot}}{_DATA}"


def _paths(store: Mapping[str, Node]) -> list[dict[str, object]]:
    return [
        {
            "path": f"/nix/store/{name}",
            "narHash": f"sha256-{base64.b64encode(hashlib.sha256(nar(node)).digest()).decode()}",
            "narSize": len(nar(node)),
            "references": [],
        }
        for name, node in store.items()
    ]


_PATHS = _paths(_STORE)
_MANIFEST = {"paths": _PATHS, "system": "x86_64-linux", "nix": _NIX}
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
cp -a {directory}/store {directory}/closure.json %{{buildroot}}/usr/lib/nix-aurora
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
%dir /usr/lib/nix-aurora
{store}
{licenses}
{files}
"""


@dataclass(frozen=True)
class Spec:
    """A spec of a package that passes, and additions that break it."""

    macros: str = ""
    source: str = ""
    header: str = "AutoReqProv: no\n" + "".join(f"Requires: {name}\n" for name in REQUIRES)
    install: str = ""
    scriptlets: str = ""
    first: str = "%defattr(-,root,root)"
    licenses: str = "%license /usr/share/licenses/nix-aurora"
    files: str = "/usr/bin/nix\n/usr/lib/nix-aurora/closure.json"
    nix: str = _NIX
    manifest: str = json.dumps(_MANIFEST)
    store: str = "%verify(not mtime) /usr/lib/nix-aurora/store"
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
    "licenses that are not marked": (
        replace(_GOOD, licenses="/usr/share/licenses/nix-aurora"),
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
        replace(_GOOD, header=_GOOD.header.replace("Requires: sed\n", "")),
        "Requires: expected sed, whose programs our scripts call, got none",
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
    "content of a store path": (
        replace(
            _GOOD, install=f"chmod u+w %{{buildroot}}{_DATA}; echo >%{{buildroot}}{_DATA}\n{_MODES}"
        ),
        f"cannot verify the closure: {_SHOWN}-data: expected NAR hash {_PATHS[1]['narHash']}, got",
    ),
    "execute bit of a store path": (
        replace(_GOOD, install=f"chmod 0555 %{{buildroot}}{_DATA}"),
        f"cannot verify the closure: {_SHOWN}-data: expected a NAR of 120 bytes, got 152",
    ),
    "missing store path": (
        replace(_GOOD, install=f"rm %{{buildroot}}{_DATA}"),
        f"cannot verify the closure: {_SHOWN}-data: "
        "expected a registered path in the store, got none",
    ),
    "store path too many": (
        replace(_GOOD, install=f"cp -p %{{buildroot}}{_DATA} %{{buildroot}}{_DATA}2"),
        f"{_SHOWN}-data2: expected only registered paths, got one that is not",
    ),
    "reference out of the closure": (
        _with_manifest(paths=[{**_PATHS[0], "references": [f"{_NIX}4"]}, _PATHS[1]]),
        f"cannot verify the closure: {_NIX}: "
        f"expected references inside the closure, got one to {_NIX}4",
    ),
    "writable file in the store": (
        replace(_GOOD, install=f"chmod 0644 %{{buildroot}}{_DATA}"),
        f"{_DATA}: expected mode 0444 or 0555, got 0644",
    ),
    "read-only directory in the store": (
        replace(_GOOD, install="chmod 0555 %{buildroot}/usr/lib/nix-aurora/store/*-nix-3/bin"),
        "-nix-3/bin: expected mode 0644 or 0755, got 0555",
    ),
    "time of the store": (
        replace(_GOOD, store="/usr/lib/nix-aurora/store"),
        "/usr/lib/nix-aurora/store: expected %verify(not mtime), got a time to verify",
    ),
    "link out of the store": (
        replace(_GOOD, install=f"ln -s /etc/passwd %{{buildroot}}{_DATA}2"),
        f"{_DATA}2: expected a link inside /nix/store, got '/etc/passwd', which escapes",
    ),
    "pipe in the store": (
        replace(_GOOD, install=f"mkfifo %{{buildroot}}{_DATA}2"),
        f"{_DATA}2: expected a file, directory or link, got something else",
    ),
    "no manifest": (
        replace(
            _GOOD,
            install="rm %{buildroot}/usr/lib/nix-aurora/closure.json",
            files="/usr/bin/nix",
        ),
        "/usr/lib/nix-aurora/closure.json: expected a file, got none",
    ),
    "manifest that is no JSON": (
        replace(_GOOD, manifest="{"),
        "/usr/lib/nix-aurora/closure.json: expected JSON that describes a closure, got",
    ),
    "manifest without paths": (
        _with_manifest(paths=None),
        "/usr/lib/nix-aurora/closure.json: expected JSON that describes a closure, got",
    ),
    "manifest with another path": (
        _with_manifest(paths=[{**_PATHS[0], "path": "/etc/passwd"}]),
        "/usr/lib/nix-aurora/closure.json: expected JSON that describes a closure, got "
        "ValueError: expected a store path and its references, got '/etc/passwd'",
    ),
    "manifest with another hash": (
        _with_manifest(paths=[{**_PATHS[0], "narHash": "sha256-"}]),
        "/usr/lib/nix-aurora/closure.json: expected JSON that describes a closure, got ValueError",
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
        replace(
            _GOOD,
            install="rm %{buildroot}/usr/bin/nix",
            files="/usr/lib/nix-aurora/closure.json",
        ),
        f"/usr/bin/nix: expected a line nix={_NIX}, got none",
    ),
}


def _build(spec: Spec, directory: Path, *, source: bool = False) -> Path:
    directory.mkdir(exist_ok=True)
    write_tree(_STORE, directory / "store")
    for path in (directory / "store").rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)
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
    """Run verify, and return its complaint; rpm itself may print lines before it."""
    done = build_py("verify", "-q", path)
    assert (done.returncode, done.stdout) == (5, ""), done.stderr
    assert "Traceback" not in done.stderr
    _, _, said = done.stderr.partition(f"error: cannot verify {path.name}: ")
    complaint, *hints = said.splitlines()
    assert hints == ["hint: make rpm"], done.stderr
    return complaint


def test_base_of_the_broken_packages_passes(tmp_path: Path) -> None:
    assert build_py("verify", _build(_GOOD, tmp_path)).returncode == 0


def test_hard_links_in_the_store_pass(tmp_path: Path) -> None:
    """rpm stores the content of such files once, with the last of them."""
    twin = _DATA.replace("1", "2")
    paths = [*_PATHS, *_paths({Path(twin).name: File(b"data")})]
    spec = replace(
        _with_manifest(paths=paths),
        install=f"ln %{{buildroot}}{_DATA} %{{buildroot}}{twin}",
    )
    rpm = _build(spec, tmp_path)
    form = "[%{FILENAMES} %{FILENLINKS}\\n]"
    assert {f"{_DATA} 2", f"{twin} 2"} <= set(query(rpm, form).splitlines())
    done = build_py("verify", rpm)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", _REFUSED)
def test_broken_package_is_refused(name: str, tmp_path: Path) -> None:
    spec, message = _REFUSED[name]
    assert message in _refused(_build(spec, tmp_path))


def test_first_of_several_broken_packages_is_named(built: Built, tmp_path: Path) -> None:
    spec, message = _REFUSED["setuid"]
    done = build_py("verify", "-q", built.srpm, _build(spec, tmp_path), built.rpms["x86_64"])
    assert (done.returncode, done.stdout) == (5, "")
    assert message in done.stderr


# --- source packages


# These are the content of the tarball, and build.py's additions.
_RELEASED, _ADDED = list(_STORE)


def _payload(
    manifest: str | None = _GOOD.manifest, store: str = "usr/lib/nix-aurora/store"
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        contents = {f"{store}/{_ADDED}": b"data"}
        if manifest is not None:
            contents["usr/lib/nix-aurora/closure.json"] = manifest.encode()
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _release(path: Path, *names: str) -> bytes:
    def mutate(sample: Sample) -> None:
        sample.store = {name: _STORE[name] for name in names}

    return make_tarball(path, mutate=mutate).read_bytes()


@dataclass(frozen=True)
class Sources:
    """The sources of a package that passes, and changes that break it."""

    payload: bytes = _payload()
    released: tuple[str, ...] = (_RELEASED,)
    tags: str = "Source0: closure-x86_64.tar.xz\nSource1: payload-x86_64.tar"
    digest: str | None = None  # replaces the tarball's digest


_SOURCES_REFUSED = {
    "another digest": (
        Sources(digest="0" * 64),
        "nix-aurora.spec: expected the SHA-256 of closure-x86_64.tar.xz, ",
    ),
    "missing store path": (
        Sources(released=()),
        f"cannot verify the closure: {_NIX}: expected a registered path in the store, got none",
    ),
    "store path too many": (
        Sources(payload=_payload(json.dumps({**_MANIFEST, "paths": _PATHS[:1]}))),
        f"cannot verify the closure: {_SHOWN}-data: "
        "expected only registered paths, got one that is not",
    ),
    "store path twice": (
        Sources(released=tuple(_STORE)),
        f"payload-x86_64.tar: expected none of the tarball's store paths, got {_ADDED}",
    ),
    "path that leads out": (
        Sources(payload=_payload(store="usr/lib/nix-aurora/store/..")),
        "payload-x86_64.tar: expected a tar with a store, got expected a plain path, got",
    ),
    "another machine": (
        Sources(payload=_payload(json.dumps({**_MANIFEST, "system": "aarch64-linux"}))),
        "payload-x86_64.tar: expected system x86_64-linux, got aarch64-linux",
    ),
    "no manifest": (Sources(payload=_payload(None)), "closure.json: expected a file, got none"),
    "no tar": (
        Sources(payload=b"x" * 1000),
        "payload-x86_64.tar: expected a tar with a store, got",
    ),
    "empty": (Sources(payload=b""), "payload-x86_64.tar: expected a tar with a store, got"),
    "missing source": (
        Sources(tags="Source0: closure-x86_64.tar.xz"),
        "files: expected closure-x86_64.tar.xz nix-aurora.spec payload-x86_64.tar, got",
    ),
}


def _build_sources(sources: Sources, directory: Path) -> Path:
    tarball = _release(directory / "closure-x86_64.tar.xz", *sources.released)
    (directory / "payload-x86_64.tar").write_bytes(sources.payload)
    digest = sources.digest or hashlib.sha256(tarball).hexdigest()
    spec = replace(
        _GOOD,
        source=sources.tags,
        header=f"{_GOOD.header}ExclusiveArch: x86_64\n",
        macros="%global _srcdefattr (-,root,root)",
        install=f"sha256sum --check <<'END'\n{digest}  %{{_sourcedir}}/closure-x86_64.tar.xz\nEND",
    )
    return _build(spec, directory, source=True)


def test_base_of_the_broken_source_packages_passes(tmp_path: Path) -> None:
    done = build_py("verify", _build_sources(Sources(), tmp_path))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", _SOURCES_REFUSED)
def test_broken_source_package_is_refused(name: str, tmp_path: Path) -> None:
    sources, message = _SOURCES_REFUSED[name]
    assert message in _refused(_build_sources(sources, tmp_path))


# --- changed bytes


@pytest.mark.parametrize("content", [b"", b"not a package\n" * 100, b"\xed\xab\xee\xdb"])
def test_file_that_is_not_a_package_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.rpm"
    path.write_bytes(content)
    assert "expected a readable RPM, got" in _refused(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert "expected a readable RPM, got" in _refused(tmp_path / "x.rpm")


@pytest.mark.parametrize("part", [0.001, 0.01, 0.5, 0.999])
def test_truncated_package_is_refused(built: Built, part: float, tmp_path: Path) -> None:
    path = tmp_path / "x.rpm"
    content = built.rpms["x86_64"].read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    _refused(path)


@pytest.mark.parametrize("part", [0.0005, 0.2, 0.5, 0.99])
def test_flipped_bit_is_refused(built: Built, part: float, tmp_path: Path) -> None:
    """Flip a bit in the header or in the payload."""
    path = tmp_path / "x.rpm"
    content = bytearray(built.rpms["x86_64"].read_bytes())
    content[int(len(content) * part)] ^= 1
    path.write_bytes(content)
    _refused(path)


def test_changed_file_in_a_valid_payload_is_refused(tmp_path: Path) -> None:
    """Pack the payload again, with the old header."""
    good = _build(replace(_GOOD, macros="%global _binary_payload w.ufdio"), tmp_path)
    content = good.read_bytes()
    assert content.count(b"\nnix=/nix") == 1
    changed = tmp_path / "changed.rpm"
    changed.write_bytes(content.replace(b"#!/bin/bash\nnix=/nix", b"#!/bin/evil\nnix=/nix"))
    assert "/usr/bin/nix: expected SHA-256" in _refused(changed)
    shutil.copy(good, changed)
    subprocess.run(["cmp", good, changed], check=True)
    assert build_py("verify", changed).returncode == 0
