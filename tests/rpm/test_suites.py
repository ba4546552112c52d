"""Test rebuilding the SRPM with a newer rpm, and with systemd's own macros instead of ours."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nix_aurora.run import run
from tests.harness.roots import debian_root
from tests.harness.scratch import Scratch
from tests.rpm.builder import Built, build_py, files, query
from tests.rpm.systemd_macros import systemd_macros
from tests.units import UNITS

pytestmark = pytest.mark.long

_SHARED = "/mnt"  # the place of the test's directory in the scratch root
_HELPER = "/usr/lib/systemd/systemd-update-helper"
# These are all parts of a package except its files: its requirements and its scriptlets.
_RELATIONS = (
    "%{NVRA} %{SUMMARY} %{LICENSE} %{URL} %{LONGSIZE} %{PAYLOADCOMPRESSOR}\n"
    "[requires %{REQUIRES:deptype} %{REQUIRENEVRS}\n][provides %{PROVIDENEVRS}\n]"
    "[conflicts %{CONFLICTNEVRS}\n]"
)
_SCRIPTS = "post %{POSTINPROG}\n%{POSTIN}\npreun %{PREUN}\npostun %{POSTUN}\n"
# These macros act like Fedora's redhat-rpm-config, which changes files: brp-mangle-shebangs,
# brp-strip, add-determinism, brp-linkdupes, brp-python-bytecompile and others, and find-debuginfo.
_FEDORA = r"""
%fedora 44
%dist .fc44
%__spec_install_post \
%{?__debug_package:%{__debug_install_post}}\
%{__arch_install_post}\
%{__os_install_post}\
%{nil}
%__debug_package 1
%__debug_install_post echo debuginfo; exit 1
%__arch_install_post echo architecture; exit 1
%__os_install_post \
    %{?__brp_mangle_shebangs} \
    %{?__brp_linkdupes} \
    exit 1
%__brp_mangle_shebangs echo shebangs; exit 1
%__brp_linkdupes echo duplicates; exit 1
%_build_id_links compat
%_missing_build_ids_terminate_build 1
%_binary_payload w19.zstdio
%optflags -O2 -g
%_buildhost fedora.example.org
"""


@pytest.fixture
def newer(tmp_path: Path, built: Built) -> Iterator[Scratch]:
    """Yield a root with rpm 6, without network, that sees the SRPM at ``/mnt``."""
    shutil.copy(built.srpm, tmp_path)
    with Scratch(debian_root(), binds={tmp_path: _SHARED}) as scratch:
        yield scratch


def _rebuild(scratch: Scratch, directory: Path, *options: str) -> Path:
    options = ("--define", f"'_rpmdir {_SHARED}'", *options)
    scratch.run(f"rpmbuild --rebuild {' '.join(options)} {_SHARED}/*.src.rpm")
    (rpm,) = directory.glob("*/nix-aurora-[0-9]*.rpm")
    return rpm


def _relations(rpm: Path) -> list[str]:
    """Return the relations without rpm's own, which depend on its version."""
    lines = query(rpm, _RELATIONS).splitlines()
    return [line for line in lines if " rpmlib(" not in line]


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_newer_rpm_builds_the_same(built: Built, newer: Scratch, tmp_path: Path, arch: str) -> None:
    assert int(newer.run("rpm --version").stdout.split()[-1].partition(".")[0]) >= 6
    ours = built.rpms[arch]
    theirs = _rebuild(newer, tmp_path, "--target", f"{arch}-linux")
    assert query(theirs, "%{RPMVERSION}") != query(ours, "%{RPMVERSION}")
    assert files(theirs) == files(ours)
    assert _relations(theirs) == _relations(ours)
    assert query(theirs, _SCRIPTS) == query(ours, _SCRIPTS)
    done = build_py("verify", theirs)
    assert (done.returncode, done.stdout) == (0, f"{theirs}\n"), done.stderr


def test_newer_rpm_builds_the_same_twice(newer: Scratch, tmp_path: Path) -> None:
    first = _rebuild(newer, tmp_path).rename(tmp_path / "first")
    run(["cmp", first, _rebuild(newer, tmp_path)])


def test_fedoras_changes_to_files_are_off(built: Built, newer: Scratch, tmp_path: Path) -> None:
    """Use macros that would fail the build; no debug packages are added either."""
    macros = tmp_path / "macros.fedora"
    macros.write_text(_FEDORA)
    rpm = _rebuild(newer, tmp_path, "--nodeps", "--load", f"{_SHARED}/{macros.name}")
    ours = built.rpms["x86_64"]
    assert query(rpm, "%{RELEASE}") == f"{query(ours, '%{RELEASE}')}.fc44"
    assert query(rpm, "%{BUILDHOST}") == "nix-aurora"
    assert files(rpm) == files(ours)
    assert list(rpm.parent.iterdir()) == [rpm]
    done = build_py("verify", rpm)
    assert done.returncode == 0, done.stderr


def test_macros_of_systemd_replace_ours(
    built: Built, newer: Scratch, provides: Path, tmp_path: Path
) -> None:
    """The build uses systemd's macros, the package is correct, and its scriptlets work."""
    newer.copy_in(systemd_macros(), "/run/systemd-macros")
    rpm = _rebuild(newer, tmp_path, "--load", "/run/systemd-macros/macros.systemd")
    ours = built.rpms["x86_64"]
    assert files(rpm) == files(ours)
    assert _relations(rpm) == _relations(ours)
    post, preun, postun = (query(rpm, f"%{{{tag}}}") for tag in ("POSTIN", "PREUN", "POSTUN"))
    units = " ".join(UNITS)
    assert f"{_HELPER} install-system-units {units} || :" in post
    assert f"{_HELPER} remove-system-units {units} || :" in preun
    for script in (post, preun, postun):
        assert "systemctl" not in script  # our fallback macros call systemctl
        assert not re.search(r"%", script)
    # Our own part of the scriptlets is unchanged.
    assert post.endswith(query(ours, "%{POSTIN}").partition("fi\n")[2])
    assert build_py("verify", rpm).returncode == 0

    newer.run(f"install -m 0755 /run/systemd-macros/systemd-update-helper {_HELPER}")
    newer.copy_in(provides, "/run/provides.rpm")
    newer.run(f"rpm --install --nosignature /run/provides.rpm {_SHARED}/x86_64/*.rpm")
    assert newer.run("systemctl is-enabled nix.mount").stdout == "enabled\n"
    newer.run("rpm --erase nix-aurora")
    assert newer.run("find /etc/systemd -name 'nix*'").stdout == ""
