"""Test ``--with nixd``: a separate package, from its pin, that never reaches COPR."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nix_aurora.files import sha256_file
from nix_aurora.run import run
from tests.closures import AARCH64, CLI, File, Sample, elf, make_tarball
from tests.harness.roots import debian_root
from tests.harness.scratch import Scratch
from tests.lint.shell import tool
from tests.nixd import Pinned, pinned
from tests.readme import commands
from tests.rpm.builder import TOP, build_py, files, query, unpack

_PROGRAM = "/usr/libexec/nix-aurora-nixd/determinate-nixd"
_SETTINGS = "/usr/libexec/nix-aurora/nix-conf"
_OURS = "/usr/lib/nix-aurora/etc/nix/nix.conf"
# The package requires the one of the same build, and has no manual. Its program here is a script
# that replaces the real one.
_BY_DESIGN = {
    "no-binary",
    "requires-on-release nix-aurora = 3.22.1-1",
    "no-manual-page-for-binary determinate-nixd",
}
# The closure here has no manual, which would contain Nix's pages, and its programs are only
# headers.
_OF_THE_CLOSURE = {
    *("no-manual-page-for-binary nix-build", "no-manual-page-for-binary nix-store"),
    "no-binary",
}
_FINDING = re.compile(r"^(?!\(none\)).*: [EW]: .*$", re.MULTILINE)


def _aarch64(sample: Sample) -> None:
    sample.top = "nix-3.22.1-aarch64-linux"
    sample.store[CLI] = {"bin": {"nix": File(elf(AARCH64), executable=True)}, "share": {}}


@pytest.fixture(scope="module")
def nixd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pinned]:
    with pinned(tmp_path_factory.mktemp("nixd")) as served:
        yield served


@pytest.fixture(scope="module")
def tarballs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return small closures for both architectures."""
    top = tmp_path_factory.mktemp("tarballs")
    return [
        make_tarball(top / "nix-3.22.1-x86_64-linux.tar.xz"),
        make_tarball(top / "nix-3.22.1-aarch64-linux.tar.xz", mutate=_aarch64),
    ]


def _build(nixd: Pinned, tarballs: list[Path], out: Path, *options: str) -> list[Path]:
    sources = [word for tarball in tarballs for word in ("--source", tarball)]
    words = ("--pins", nixd.pins(), *sources, "--out", out, "--level", "1", *options)
    done = build_py("rpm", *words, env=nixd.environment)
    assert done.returncode == 0, done.stderr
    return [Path(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def packages(
    nixd: Pinned, tarballs: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Return the SRPM, the noarch package, then the package and nixd's for each architecture."""
    (command,) = commands("determinate-nixd", "docs/building.md")
    options = shlex.split(command.removeprefix(".venv/bin/python build.py rpm "))
    assert options == ["--with", "nixd"]
    return _build(nixd, tarballs, tmp_path_factory.mktemp("out"), *options)


@pytest.fixture
def host(packages: list[Path], provides: Path) -> Iterator[Scratch]:
    """Yield a root with both packages installed."""
    with Scratch(debian_root()) as scratch:
        for rpm in (provides, *packages[2:4]):
            scratch.copy_in(rpm, f"/run/rpms/{rpm.name}")
        assert "error" not in scratch.run("rpm --install --nosignature /run/rpms/*.rpm").output
        yield scratch


# --- builds


def test_build_without_the_flag_has_no_nixd(
    nixd: Pinned, tarballs: list[Path], tmp_path: Path
) -> None:
    """Neither the SRPM nor the spec mentions nixd, and nothing is downloaded."""
    before = len(nixd.server.requests)
    srpm, *rpms = _build(nixd, tarballs, tmp_path / "out")
    assert len(nixd.server.requests) == before
    assert len(rpms) == 3  # two architectures, and the module for SELinux
    sources = unpack(srpm, tmp_path / "srpm")
    assert "nixd" not in (sources / "nix-aurora.spec").read_text().replace("nixbld", "")
    assert not [path for path in sources.iterdir() if "nixd" in path.name]
    for rpm in rpms:
        assert not [line for line in files(rpm) if "nixd" in line]


def test_nixd_is_a_separate_package(packages: list[Path], nixd: Pinned, tmp_path: Path) -> None:
    assert [path.name for path in packages] == [
        "nix-aurora-3.22.1-1.src.rpm",
        "nix-aurora-selinux-3.22.1-1.noarch.rpm",
        *(
            f"nix-aurora{part}-3.22.1-1.{arch}.rpm"
            for arch in ("x86_64", "aarch64")
            for part in ("", "-nixd")
        ),
    ]
    assert not [line for line in files(packages[2]) if "nixd" in line]
    for package in packages[3::2]:
        form = "[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME}\\n]"
        assert query(package, form).splitlines() == [
            "/usr/bin/determinate-nixd -rwxr-xr-x root",
            "/usr/lib/systemd/system-preset/80-nix-aurora-nixd.preset -rw-r--r-- root",
            "/usr/lib/systemd/system/determinate-nixd.socket -rw-r--r-- root",
            "/usr/libexec/nix-aurora-nixd drwxr-xr-x root",
            f"{_PROGRAM} -rwxr-xr-x root",
        ]
        assert query(package, "%{LICENSE}") == "LicenseRef-Determinate-Systems-proprietary"
        assert "nix-aurora 3.22.1-1\n" in query(package, "[%{REQUIRENAME} %{REQUIREVERSION}\\n]")
        for name in ("postun", "posttrans"):
            own = (TOP / f"scriptlets/nixd_{name}.sh").read_text()
            assert query(package, f"%{{{name}}}\n").endswith(own)
    unpacked = unpack(packages[3], tmp_path / "unpacked")
    assert sha256_file(unpacked / _PROGRAM[1:]) == sha256_file(nixd.program)
    assert build_py("verify", *packages).returncode == 0


def test_second_build_and_plain_rpmbuild_build_the_same(
    packages: list[Path], nixd: Pinned, tarballs: list[Path], tmp_path: Path
) -> None:
    """Run the second build without a network: the cache has the pinned file."""
    before = len(nixd.server.requests)
    again = _build(nixd, tarballs[::-1], tmp_path / "out", "--with", "nixd", "--offline")
    assert len(nixd.server.requests) == before
    words = ("--define", f"_topdir {tmp_path}", "--target", "x86_64-linux", "--rebuild")
    run(["unshare", "--net", "--", "rpmbuild", *words, packages[0]])
    digests = {path.name: sha256_file(path) for path in packages}
    kinds = (".x86_64.rpm", ".noarch.rpm")
    assert {path.name: sha256_file(path) for path in again} == digests
    rebuilt = {path.name: sha256_file(path) for path in (tmp_path / "RPMS").rglob("*.rpm")}
    assert rebuilt == {name: digests[name] for name in digests if name.endswith(kinds)}


def test_bytes_other_than_pinned_are_refused(
    nixd: Pinned, tarballs: list[Path], tmp_path: Path
) -> None:
    words = ("--pins", nixd.pins("0" * 64), "--source", tarballs[0], "--out", tmp_path / "out")
    done = build_py("srpm", *words, "--with", "nixd", env=nixd.environment)
    assert (done.returncode, done.stdout) == (4, "")
    assert f"expected SHA-256 {'0' * 64}" in done.stderr
    assert not list(tmp_path.rglob("*.rpm"))


def test_rpmlint(packages: list[Path]) -> None:
    for path in packages[:4]:
        done = subprocess.run(
            [tool("rpmlint"), "--config", TOP / "rpmlint.toml", path],
            capture_output=True,
            text=True,
            check=False,
        )
        assert " packages and " in done.stdout, done.stderr
        found = [re.sub("^.*: [EW]: ", "", line) for line in _FINDING.findall(done.stdout)]
        if "-nixd-" in path.name:
            assert set(found) == _BY_DESIGN
        else:
            assert set(found) <= _OF_THE_CLOSURE


# --- channels that must not offer nixd


def test_publish_refuses_nixd(packages: list[Path], tmp_path: Path) -> None:
    """Refuse nixd's package before looking for a token."""
    words = ("publish", "--project", "me/nix-aurora", "--config", tmp_path / "none")
    done = build_py(*words, "--srpm", packages[0])
    assert (done.returncode, done.stdout) == (5, "")
    assert re.search(r"nixd-\w+\.tar: expected free software alone, got what looks", done.stderr)
    assert build_py(*words, "--with", "nixd").returncode == 2


@pytest.mark.parametrize("flags", ["--with nixd", "--level 1 --with=nixd"])
def test_coprs_makefile_refuses_nixd(flags: str, tmp_path: Path) -> None:
    """Refuse the flag at once; install and build nothing."""
    words = ("make", "-f", TOP / ".copr/Makefile", "srpm", f"outdir={tmp_path}", f"FLAGS={flags}")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected free software alone, got nixd" in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- installation


def test_nixd_is_installed_and_erased(host: Scratch) -> None:
    assert host.run("rpm --verify nix-aurora nix-aurora-nixd").output == ""
    units = "determinate-nixd.socket nix-daemon.service nix-daemon.socket"
    check = f"systemd-analyze verify --man=no --recursive-errors=no {units}"
    assert host.run(check).output == ""
    assert host.run("systemctl is-enabled determinate-nixd.socket").stdout == "enabled\n"
    assert host.run("rpm --erase nix-aurora", check=False).returncode != 0
    assert "error" not in host.run("rpm --erase nix-aurora-nixd").output
    assert host.run("rpm --verify nix-aurora").output == ""
    store = "/usr/lib/nix-aurora/store"  # the main package has Nix under this name
    names = "-name '*determinate*' -o -name '*before-nixd*'"
    done = host.run(f"find /etc /usr -xdev -path {store} -prune -o \\( {names} \\) -print")
    assert done.stdout == ""


# --- the author of nix.conf


def test_packaged_nix_conf_is_removed_and_restored(host: Scratch) -> None:
    """Restore nix.conf from the package, which may be newer."""
    for _ in range(2):
        host.run(f"{_SETTINGS} nixd")
        assert host.run("ls /etc/nix").stdout.split() == ["nix.conf.before-nixd", "nix.custom.conf"]
    host.run("echo '# written by nixd' >/etc/nix/nix.conf")
    host.run(f"{_SETTINGS} nixd")
    assert host.read("/etc/nix/nix.conf") == "# written by nixd\n"
    # After a new installation nixd would treat this file as the administrator's, so it is removed
    # again.
    host.run(f"cp {_OURS} /etc/nix/nix.conf; {_SETTINGS} nixd")
    assert host.run("test -e /etc/nix/nix.conf", check=False).returncode != 0

    host.run(f"echo '# written by nixd' >/etc/nix/nix.conf; {_SETTINGS} ours")
    assert host.run("rpm --verify nix-aurora").output == ""
    host.run(f"{_SETTINGS} ours")
    assert host.run("rpm --verify nix-aurora").output == ""
    assert host.run("ls /etc/nix").stdout.split() == ["nix.conf", "nix.custom.conf"]


def test_administrators_nix_conf_is_moved_and_restored(host: Scratch) -> None:
    host.run("echo 'cores = 3' >/etc/nix/nix.conf")
    said = host.run(f"{_SETTINGS} nixd").output
    assert "your file was saved as /etc/nix/nix.conf.before-nixd\n" in said
    host.run("echo '# written by nixd' >/etc/nix/nix.conf")
    assert host.run(f"{_SETTINGS} nixd").output == ""
    host.run("rpm --erase nix-aurora-nixd")
    assert host.read("/etc/nix/nix.conf") == "cores = 3\n"
    assert host.run("ls /etc/nix").stdout.split() == ["nix.conf", "nix.custom.conf"]
