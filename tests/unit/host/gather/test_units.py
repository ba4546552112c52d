"""Test parsing units, the daemon and its sockets from systemd's and the kernel's output."""

import socket
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.gather import units
from nix_aurora_host.gather.units import (
    Unit,
    daemon_answers,
    gather_listening,
    parse_listening,
    parse_program,
    parse_units,
)

# systemctl show --property=… of systemd 261, shortened to three units.
_SHOW = """\
Id=nix-setup.service
LoadState=loaded
ActiveState=active
SubState=exited
FragmentPath=/usr/lib/systemd/system/nix-setup.service
UnitFileState=enabled
MainPID=0
Result=success

Id=nix-daemon.service
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/usr/lib/systemd/system/nix-daemon.service
UnitFileState=static
MainPID=1234
Result=success

Id=nosuch.service
LoadState=not-found
ActiveState=inactive
SubState=dead
FragmentPath=
UnitFileState=
MainPID=0
Result=success
"""
_SOCKET = "/var/lib/nix/var/nix/daemon-socket/socket"
_PROC_NET_UNIX = f"""\
Num       RefCount Protocol Flags    Type St Inode Path
000000008bed4ffb: 00000003 00000000 00000000 0001 03 148962 /run/dbus/system_bus_socket
0000000036114e85: 00000002 00000000 00000000 0002 03 148960
00000000034ed394: 00000002 00000000 00010000 0001 01 147376 /run/systemd/private
0000000038aa9440: 00000002 00000000 00010000 0001 01 148918 {_SOCKET}
"""


def test_units_are_parsed() -> None:
    found = parse_units(_SHOW)
    assert list(found) == ["nix-setup.service", "nix-daemon.service", "nosuch.service"]
    assert found["nix-daemon.service"] == Unit(
        "nix-daemon.service",
        active="active",
        sub="running",
        file_state="static",
        fragment="/usr/lib/systemd/system/nix-daemon.service",
        pid=1234,
    )
    assert found["nosuch.service"].load == "not-found"


@pytest.mark.parametrize("text", ["", "\n\n", "Failed to connect to bus", "Id=x\nMainPID=?"])
def test_answer_without_units_is_accepted(text: str) -> None:
    assert all(unit.pid == 0 for unit in parse_units(text).values())


@pytest.mark.parametrize(
    ("command_line", "program"),
    [
        ("/nix/store/x-nix-2/bin/nix-daemon\0--daemon\0", "/nix/store/x-nix-2/bin/nix-daemon"),
        (
            "/nix/store/g-glibc/lib/ld.so\0--argv0\0/nix/store/x-nix-2/bin/nix-daemon\0",
            "/nix/store/x-nix-2/bin/nix-daemon",
        ),
        ("/usr/bin/sleep\0infinity\0", None),
        ("", None),
    ],
)
def test_program_of_the_daemon_is_found(command_line: str, program: str | None) -> None:
    assert parse_program(command_line) == program


def test_listening_sockets_are_parsed() -> None:
    assert parse_listening(_PROC_NET_UNIX) == {_SOCKET}


def test_connected_socket_is_not_listening() -> None:
    assert parse_listening(_PROC_NET_UNIX.replace("00010000", "00000000")) == set()


def test_name_with_line_breaks_is_accepted() -> None:
    forged = f"{_PROC_NET_UNIX}x\n1 2 3 flags 5 6 7 /x/daemon-socket/socket\n"
    assert parse_listening(forged) == {_SOCKET}


def test_socket_is_reached_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/var/lib/nix may be a link to another disk."""
    place = tmp_path / "disk" / "daemon-socket"
    place.mkdir(parents=True)
    (tmp_path / "base").symlink_to("disk")
    shown = f"{tmp_path}/base/daemon-socket/socket"
    line = f"0: 00000002 00000000 00010000 0001 01 1 {place}/socket"
    monkeypatch.setattr(paths, "SOCKETS", (shown, f"{tmp_path}/other"))
    monkeypatch.setattr(units, "read", lambda _: f"head\n{line}\n")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{place}/socket")
        listener.listen()
        assert gather_listening() == {shown}
        (place / "socket").unlink()  # while its listener runs
        assert gather_listening() == frozenset()


def test_silent_daemon_does_not_answer(tmp_path: Path) -> None:
    path = f"{tmp_path}/socket"
    assert not daemon_answers(path, 0.1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        assert not daemon_answers(path, 0.1)
