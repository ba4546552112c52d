"""Test that the replacement for bootc finds the same faults: each rule has a broken example."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import bootc_lint

# These are small root directories, like those of bootc's own tests: lints.rs passing_fixture().
_SOUND = """
mkdir -p dev proc sys run tmp var/lib boot sysroot etc usr/lib/{ostree,sysusers.d,tmpfiles.d}
mkdir -p usr/lib/modules/6.1
touch usr/lib/modules/6.1/vmlinuz
ln -s sysroot/ostree ostree
printf '[composefs]\\nenabled = true\\n' >usr/lib/ostree/prepare-root.conf
echo 'root:x:0:0::/root:/bin/sh' >etc/passwd
echo 'root:x:0:' >etc/group
echo 'u root 0 "Super User" /root' >usr/lib/sysusers.d/basic.conf
echo 'd /var/lib 0755 - - -' >usr/lib/tmpfiles.d/var.conf
"""
_BROKEN = {
    "var-run": "mkdir var/run; echo 'd /var/run' >>usr/lib/tmpfiles.d/var.conf",
    "buildah-injected": "touch etc/resolv.conf",
    "etc-usretc": "mkdir usr/etc",
    "bootc-kargs": "mkdir -p usr/lib/bootc/kargs.d; echo 'kargs = 1' >usr/lib/bootc/kargs.d/a.toml",
    "kernel": "mkdir usr/lib/modules/6.2; touch usr/lib/modules/6.2/vmlinuz",
    "utf8": "touch usr/lib/$'\\xff'",
    "api-base-directories": "rmdir tmp",
    "baseimage-composefs": "echo >usr/lib/ostree/prepare-root.conf",
    "baseimage-root": "ln -sfn elsewhere ostree",
    "var-log": "mkdir var/log; echo a >var/log/a; printf '%s /var/log%s\\n' d '' f /a"
    " >>usr/lib/tmpfiles.d/var.conf",
    "var-tmpfiles": "mkdir var/lib/dnf",
    "sysusers": "echo 'nix:x:1:1::/:/bin/sh' >>etc/passwd",
    "nonempty-boot": "touch boot/vmlinuz",
    "nonempty-run-tmp": "touch run/dnf.pid",
}
_FINE = """
ln -s var/roothome root
mkdir -p boot/EFI run/systemd/resolve 'var/a b' 'var/c d' var/roothome/.ssh etc/tmpfiles.d
touch run/systemd/resolve/stub-resolv.conf
ln -s ../run var/run
ln -s ../run/systemd/resolve/stub-resolv.conf etc/resolv.conf
cat >etc/tmpfiles.d/more.conf <<'END'
# of each form
d "/var/a b" 0755 - - -
d /var/c\\x20d
L /var/run - - - - ../run
d /root/.ssh 0700
d /var/roothome
d /var/missing/parent
END
printf '%s\\n' '# comment' 'u! nixbld1 61121:nixbld "One" /' 'g nixbld 61120' 'm nixbld1 nixbld' \
    >usr/lib/sysusers.d/nix.conf
echo 'nixbld1:x:61121:61120::/:/bin/sh' >>etc/passwd
echo 'nixbld:x:61120:nixbld1' >>etc/group
mkdir -p usr/lib/bootc/kargs.d
printf 'kargs = ["quiet"]\\nmatch-architectures = ["x86_64"]\\n' >usr/lib/bootc/kargs.d/a.toml
"""


def _run(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["container", "lint", *options, "--rootfs", str(root)]
    return subprocess.run(
        [sys.executable, bootc_lint.__file__, *words], capture_output=True, text=True, check=False
    )


def lint(root: Path) -> dict[str, str]:
    """Check a root directory, with warnings as faults; return one fault for each broken rule."""
    done = _run(root, "--fatal-warnings")
    *lines, total = done.stdout.splitlines() or [""]
    faults = dict(line.split(": ", 2)[1:] for line in lines)
    assert total == f"Checks: {len(bootc_lint.LINTS)}, failed: {len(faults)}", done.stderr
    assert done.returncode == bool(faults)
    return faults


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["bash", "-euc", _SOUND], cwd=tmp_path, check=True)
    return tmp_path


def test_each_rule_has_a_broken_example() -> None:
    assert set(_BROKEN) == set(bootc_lint.LINTS)


@pytest.mark.parametrize("rule", _BROKEN)
def test_rule_finds_its_fault(root: Path, rule: str) -> None:
    assert lint(root) == {}
    subprocess.run(["bash", "-euc", _BROKEN[rule]], cwd=root, check=True)
    assert list(lint(root)) == [rule]
    assert _run(root).returncode == bootc_lint.LINTS[rule].fatal


def test_sound_root_has_no_faults(root: Path) -> None:
    subprocess.run(["bash", "-euc", _FINE], cwd=root, check=True)
    assert lint(root) == {}


def test_leftovers_of_podman_hide_no_fault(root: Path) -> None:
    """Only podman's own file in /run is ignored, not the directories and other files there."""
    script = "mkdir -p run/systemd/resolve; touch run/systemd/resolve/{stub-resolv.conf,other}"
    subprocess.run(["bash", "-euc", script], cwd=root, check=True)
    found = _run(root).stdout
    assert [name for name in ("systemd", "resolve", "other", "stub-") if name in found] == [
        *("systemd", "resolve", "other")
    ]


def test_unknown_words_are_refused() -> None:
    """An unknown command line must fail, so that it cannot pass as a check."""
    for words in (["container"], ["container", "lint", "--skip=utf8"], ["upgrade"], ["status"]):
        program = [sys.executable, bootc_lint.__file__, *words]
        assert subprocess.run(program, capture_output=True, check=False).returncode == 2
