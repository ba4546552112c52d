"""Test that builds can be repeated by other people, in the ways that they would use."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from nix_aurora.files import sha256_file
from nix_aurora.run import run
from tests.rpm.builder import PACKAGED, TOP, Built, build, build_py, query, unpack

_NOBODY = "65534"
# rpm reads only the kind of package from these first bytes. They contain the number of the
# architecture that rpmbuild ran on, also in a noarch package.
_LEAD = 96


def _rebuild(
    srpm: Path, home: Path, *options: str, before: Sequence[str] = (), **environment: str
) -> Path:
    """Rebuild an SRPM with plain rpmbuild, without network and without build.py."""
    env = [f"HOME={home}", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
    env += [f"{name}={value}" for name, value in environment.items()]
    command = ("env", "-i", "-C", "/", *env, "rpmbuild", "--rebuild", *options, str(srpm))
    run(["unshare", "--net", "--", *before, *command])
    (result,) = (home / "rpmbuild" / "RPMS").rglob("nix-aurora-[0-9]*.rpm")
    return result


def test_only_the_paths_are_printed(
    built: Built, tarballs: dict[str, Path], tmp_path: Path
) -> None:
    assert [path.parent for path in built.paths] == [built.out] * 4
    assert [path.name.partition("-1.")[2] for path in built.paths] == [
        "src.rpm",
        "noarch.rpm",
        "x86_64.rpm",
        "aarch64.rpm",
    ]
    known = tmp_path / "advisories.toml"
    known.touch()
    words = ("srpm", "-q", "--source", tarballs["x86_64"], "--advisories", known, "--level", "1")
    done = build_py(*words, "--out", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / built.srpm.name}\n"


def test_nothing_else_remains(built: Built) -> None:
    kept = {"closure", "logs", "stage", "rpmbuild", "rpm-x86_64", "rpm-aarch64"}
    assert {path.name for path in built.out.iterdir()} == kept | {p.name for p in built.paths}


def test_second_build_is_the_same(built: Built, tarballs: dict[str, Path], tmp_path: Path) -> None:
    """Use another directory, another order of sources, and another umask."""
    before = os.umask(0o077)
    try:
        again = build(tmp_path / "elsewhere" / "out", list(reversed(tarballs.values())))
    finally:
        os.umask(before)
    assert {path.name: sha256_file(path) for path in again.paths} == {
        path.name: sha256_file(path) for path in built.paths
    }


def test_build_for_one_architecture_has_the_same_rpm(
    built: Built, tarballs: dict[str, Path], tmp_path: Path
) -> None:
    """Compare with a build for both: the SRPM differs, the RPM only in the name of its source."""
    single = build(tmp_path / "out", [tarballs["aarch64"]])
    assert query(single.srpm, "[%{SOURCE} ]") == "payload-aarch64.tar closure-aarch64.tar.xz "
    assert query(single.srpm, "[%{EXCLUSIVEARCH} ]") == "aarch64 "
    assert set(single.rpms) == {"aarch64", "noarch"}
    assert sha256_file(single.rpms["aarch64"]) == sha256_file(built.rpms["aarch64"])


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_plain_rpmbuild_builds_the_same(built: Built, arch: str, tmp_path: Path) -> None:
    result = _rebuild(built.srpm, tmp_path, "--target", f"{arch}-linux")
    assert sha256_file(result) == sha256_file(built.rpms[arch])
    (noarch,) = result.parents[1].glob("noarch/*.rpm")
    assert noarch.read_bytes()[_LEAD:] == built.rpms["noarch"].read_bytes()[_LEAD:]


def test_plain_rpmbuild_of_another_user_builds_the_same(built: Built, anywhere: Path) -> None:
    """Change the umask, the time zone, the language and the machine's name."""
    srpm = anywhere / built.srpm.name
    shutil.copyfile(built.srpm, srpm)
    srpm.chmod(0o644)
    before = (
        *("unshare", "--uts", "sh", "-c", 'hostname elsewhere; umask 027; exec "$@"', "sh"),
        *("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--"),
    )
    result = _rebuild(srpm, anywhere, before=before, TZ="Asia/Kathmandu", LANG="tr_TR.UTF-8")
    assert result.stat().st_uid == int(_NOBODY)
    assert sha256_file(result) == sha256_file(built.rpms["x86_64"])


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_the_package_has_the_staged_closure(built: Built, arch: str, tmp_path: Path) -> None:
    """Compare the package, byte for byte, with ``out/stage`` and ``out/closure``."""
    packaged = unpack(built.rpms[arch], tmp_path / "unpacked") / PACKAGED[1:]
    staged = built.out / "stage" / arch / "var/lib/nix/store"
    run(["diff", "--recursive", "--no-dereference", staged, packaged / "store"])
    packed = built.out / "closure" / arch
    names = {"closure.env", "closure.json", "closure.spdx.json"}
    share = packaged.parents[1] / "share"
    licenses = share / "licenses/nix-aurora/CLOSURE-LICENSES"
    assert {path.name for path in packed.iterdir()} == names | {licenses.name, "share"}
    for path in (licenses, *(packaged / name for name in names)):
        assert sha256_file(path) == sha256_file(packed / path.name), path
    shared = [path for path in (packed / "share").rglob("*") if path.is_file()]
    assert {"nix.1.gz", "_nix", "nix.fish"} <= {path.name for path in shared}
    for path in shared:
        assert sha256_file(path) == sha256_file(share / path.relative_to(packed / "share")), path


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_source_package_has_the_unchanged_release(built: Built, arch: str, tmp_path: Path) -> None:
    """Compare the source with the file of ``--source``, byte for byte; the spec has its digest."""
    sources = unpack(built.srpm, tmp_path / "sources")
    described = json.loads((built.out / "closure" / arch / "closure.json").read_text())
    digest = described["source"]["sha256"]
    assert sha256_file(sources / f"closure-{arch}.tar.xz") == digest
    assert f"\n{digest}  %{{_sourcedir}}/closure-{arch}.tar.xz\n" in (
        (sources / "nix-aurora.spec").read_text()
    )


def test_tarball_other_than_the_proven_one_is_refused(built: Built, tmp_path: Path) -> None:
    """Let plain rpmbuild refuse the file, and name it."""
    sources = unpack(built.srpm, tmp_path / "sources")
    with (sources / "closure-aarch64.tar.xz").open("ab") as file:
        file.write(b"\0" * 4)  # xz treats these bytes as padding
    words = ("--define", f"_topdir {tmp_path}", "--define", f"_sourcedir {sources}")
    done = subprocess.run(
        ["rpmbuild", "-bb", *words, sources / "nix-aurora.spec"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"{sources}/closure-aarch64.tar.xz: FAILED\n" in done.stdout
    assert not list(tmp_path.rglob("*.rpm"))


@pytest.mark.parametrize("processors", [1, 2])
def test_number_of_processors_does_not_change_the_package(
    built: Built, tmp_path: Path, processors: int
) -> None:
    """rpm compresses with one thread for each processor that it may use."""
    cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))[:processors]))
    result = _rebuild(built.srpm, tmp_path, before=("taskset", "--cpu-list", cpus))
    assert sha256_file(result) == sha256_file(built.rpms["x86_64"])


def test_headers_contain_nothing_of_this_machine(built: Built) -> None:
    for path in built.paths:
        # The SRPM contains the spec with expanded macros.
        assert built.built_in not in run(["rpm", "-qp", "--nosignature", "--xml", path])
        assert query(path, "%{BUILDHOST} %{PACKAGER} %{VENDOR} %{DISTRIBUTION}") == (
            "nix-aurora (none) (none) (none)"
        )
        assert query(path, "%{SIGPGP:pgpsig}") == "(none)"
        # The changelog's time is noon of the day in pins.toml; no header has the time of the build.
        assert query(path, "%{BUILDTIME:day}") == query(path, "%{CHANGELOGTIME:day}")
        (mtime,) = set(query(path, "[%{FILEMTIMES} ]").split())
        assert 0 <= int(query(path, "%{CHANGELOGTIME}")) - int(mtime) < 86400


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "moment", ["Describing the closure", "Building the SRPM", "Building the RPM"]
)
def test_interrupted_build_leaves_no_partial_package(
    tarballs: dict[str, Path], tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    """Send the signal to the whole process group, as a terminal does, or only to build.py."""
    words: list[str | Path] = ["rpm", "--source", tarballs["x86_64"], "--out", tmp_path]
    process = subprocess.Popen(
        [sys.executable, TOP / "build.py", *words, "--level", "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    assert process.stderr
    with process.stdout, process.stderr:
        for line in process.stderr:
            if line.startswith(moment):
                break
        time.sleep(0.1)  # by now the build is in progress
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        errors = process.stderr.read()
        assert process.stdout.read() == ""
    assert process.wait(30) == 130, errors
    assert errors.splitlines()[-1] == "error: interrupted: nothing half-made is left"
    whole = {"closure", "logs", "stage"}
    packages = list(tmp_path.glob("*.rpm"))
    if moment == "Building the RPM":
        whole.add("rpmbuild")
        assert packages
    assert {path.name for path in tmp_path.iterdir()} - {path.name for path in packages} <= whole
    for path in packages:
        assert build_py("verify", path).returncode == 0
