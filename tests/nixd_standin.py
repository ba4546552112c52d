#!/usr/bin/python3 -I
"""Replace determinate-nixd: show how it was started, and do nothing else.

The program takes its sockets as sd_listen_fds(3) describes, is started as NixOS starts the real one
(https://github.com/DeterminateSystems/determinate/blob/30e1ab13/modules/nixos.nix), and treats
nix.conf as https://github.com/DeterminateSystems/nix-installer/pull/1379 describes. It answers on
the first socket; if it has a second one, it becomes nix-daemon.
"""

import os
import select
import socket
import sys
from pathlib import Path
from typing import NoReturn

HEADER = "# DETERMINATE NIX CONFIG\n# do not modify! this file will be replaced!\n"
ANSWER = "stand-in for nixd\n"
_OWN, _NIXS = "determinate-nixd.socket", "nix-daemon.socket"
_CONF, _CUSTOM = Path("/etc/nix/nix.conf"), Path("/etc/nix/nix.custom.conf")
_SETTINGS = f"""\
{HEADER}
!include nix.custom.conf

extra-experimental-features = nix-command flakes
netrc-file = /nix/var/determinate/netrc
"""


def _write_settings() -> None:
    if _CONF.exists() and not _CONF.read_text().startswith(HEADER):
        with _CUSTOM.open("a") as custom:
            custom.write(_CONF.read_text())
    _CONF.write_text(_SETTINGS)


def _serve(listener: socket.socket, parent: int) -> NoReturn:
    while os.getppid() == parent:
        if select.select([listener], [], [], 0.1)[0]:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(ANSWER.encode())
    os._exit(0)


def _daemon(programs: str) -> NoReturn:
    assert int(os.environ["LISTEN_PID"]) == os.getpid()
    names = os.environ.pop("LISTEN_FDNAMES").split(":")
    assert sorted(names) == [_OWN, _NIXS], names
    descriptors = {name: 3 + index for index, name in enumerate(names)}
    _write_settings()
    parent = os.getpid()
    if os.fork() == 0:
        os.close(descriptors[_NIXS])
        _serve(socket.socket(fileno=descriptors[_OWN]), parent)
    os.dup2(descriptors[_NIXS], 3)
    os.close(4)
    os.environ["LISTEN_FDS"] = "1"
    os.execv(f"{programs}/nix-daemon", ["nix-daemon", "--daemon"])  # noqa: S606 - a stand-in


def _status() -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("/nix/var/determinate/determinate-nixd.socket")
        sys.stdout.write(client.recv(len(ANSWER)).decode())


if __name__ == "__main__":
    if sys.argv[1:] == ["status"]:
        _status()
    else:
        option, directory, command = sys.argv[1:]
        assert (option, command) == ("--nix-bin", "daemon"), sys.argv
        _daemon(directory)
