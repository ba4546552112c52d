"""Test that units of another Nix are recognized by what they do, and other units are ignored."""

import os
from pathlib import Path

import pytest
from nix_aurora_host.former.facts import ANOTHER, INSTALLER, Kind
from nix_aurora_host.former.tree import Tree
from nix_aurora_host.former.units import find_units, judge_unit

from tests.leftovers import CLASSIC, DETERMINATE, MOUNT_UNIT, PROXY, UPSTREAM, Files, Link, write

_UNITS = "/etc/systemd/system"
_SETS: dict[str, Files] = {"determinate": DETERMINATE, "upstream": UPSTREAM, "classic": CLASSIC}


def _found(top: Path, files: Files) -> dict[str, str]:
    write(top, files)
    return {trace.path: trace.effect for trace in find_units(Tree(str(top)))}


@pytest.mark.parametrize("name", _SETS)
def test_every_unit_and_link_of_an_installer_is_found(name: str, tmp_path: Path) -> None:
    files = _SETS[name]
    wanted = {path for path in files if path.startswith(_UNITS)} - {PROXY}
    assert set(_found(tmp_path, files)) == wanted


@pytest.mark.parametrize(
    ("text", "whose", "effect"),
    [
        (MOUNT_UNIT, INSTALLER, "mounts /var/home/nix on /nix"),
        ("[Mount]\nWhere = /nix\nWhat=UUID=7\n", ANOTHER, "mounts UUID=7 on /nix"),
        ("[Mount]\nWhere=/nix/store\n", ANOTHER, "mounts something on /nix/store"),
        ("[Service]\nExecStart=/opt/nix/bin/nix-daemon --daemon\n", ANOTHER, "starts the daemon"),
        ("[Service]\nExecStart=@/x/nix-daemon nix-daemon\n", ANOTHER, "starts the daemon"),
        ("[Service]\nExecStart=/x/nix \\\n  daemon\n", ANOTHER, "starts the daemon"),
        ("[Service]\nExecStartPre=chattr -i /\n", INSTALLER, "makes directories in /"),
        ("[Service]\nExecStart=/bin/mkdir -vp /nix\n", INSTALLER, "makes directories in /"),
        ("[Socket]\nListenStream=/nix/var/determinate/x\n", INSTALLER, "starts the daemon for"),
        ("[Socket]\nListenStream=/nix/var/nix/daemon-socket/socket\n", ANOTHER, "listens"),
    ],
)
def test_unit_is_judged_by_its_text(text: str, whose: str, effect: str) -> None:
    judged = judge_unit(text)
    assert judged is not None
    assert judged[0] == whose
    assert judged[1].startswith(effect)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no unit at all\n\0\n=\n[",
        "[Mount]\nWhere=/nixos\nWhat=x\n",
        "# ExecStart=/x/nix-daemon\n",
        "[Service]\nExecStart=/usr/bin/nix-daemon-exporter\n",
        "[Service]\nExecStart=/usr/bin/chattr -i /home/x\nExecStart=mkdir -p /var/nix\n",
        "[Service]\nEnvironment=https_proxy=http://proxy\n",
    ],
)
def test_other_units_are_ignored(text: str) -> None:
    assert judge_unit(text) is None


def test_broken_links_are_found_with_the_units_that_require_them(tmp_path: Path) -> None:
    """The unit is gone, and only the link that makes our socket require it remains."""
    path = f"{_UNITS}/nix-daemon.socket.requires/nix.mount"
    assert _found(tmp_path, {path: Link(f"{_UNITS}/nix.mount")}) == {
        path: "makes nix-daemon.socket require nix.mount"
    }


def test_administrators_units_are_no_trace(tmp_path: Path) -> None:
    files: Files = {
        f"{_UNITS}/nix-setup.service": Link("/dev/null"),
        f"{_UNITS}/determinate-nixd.socket": Link("/dev/null"),
        f"{_UNITS}/local-fs.target.wants/nix.mount": Link("/usr/lib/systemd/system/nix.mount"),
        f"{_UNITS}/x.target.wants/nix.mount": Link("../../../../usr/lib/systemd/system/nix.mount"),
        f"{_UNITS}/postgresql.service": Link("/nix/store/x-postgresql/postgresql.service"),
        f"{_UNITS}/nix-daemon.service.d/limits.conf": "[Service]\nExecStartPre=/usr/bin/true\n",
        f"{_UNITS}/var-lib-nix.mount": "[Mount]\nWhat=/dev/sda\nWhere=/var/lib/nix\n",
        f"{_UNITS}/sshd.service.d/nix-daemon.conf": "[Service]\nExecStart=/x/nix-daemon\n",
    }
    assert _found(tmp_path, files) == {}


def test_edited_copy_of_a_packaged_unit_is_reported_as_such(tmp_path: Path) -> None:
    text = "[Service]\nExecStart=/usr/libexec/nix-aurora/daemon\n"
    write(tmp_path, {f"{_UNITS}/nix-daemon.service": text})
    (trace,) = find_units(Tree(str(tmp_path)))
    assert (trace.kind, trace.whose) == (Kind.UNIT, "an administrator")
    assert trace.effect == "takes the place of the packaged nix-daemon.service"


def test_drop_in_that_starts_another_daemon_is_found(tmp_path: Path) -> None:
    path = "/run/systemd/system/nix-daemon.service.d/x.conf"
    text = "[Service]\nExecStart=\nExecStart=/usr/local/bin/determinate-nixd daemon\n"
    assert set(_found(tmp_path, {path: text})) == {path}


def test_long_file_or_pipe_blocks_nothing(tmp_path: Path) -> None:
    write(tmp_path, {f"{_UNITS}/a.service": "x" * (1 << 20)})
    (tmp_path / f"{_UNITS[1:]}/b.service").mkdir()
    os.mkfifo(tmp_path / f"{_UNITS[1:]}/nix.mount")
    (trace,) = find_units(Tree(str(tmp_path)))
    assert trace.unit == "nix.mount"
