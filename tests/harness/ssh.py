"""Use ssh to enter a guest, through a real sshd in it and a loopback that only we reach."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from nix_aurora.run import run
from tests.harness.commands import Result

# $1 is a file with the id of a process on that network, which differs from boot to boot.
_PROXY = """\
#!/bin/sh
exec nsenter --target="$(cat "$1")" --net -- bash -c '
exec 3<>/dev/tcp/127.0.0.1/22 || exit 1
cat <&3 &
cat >&3
kill $!
'
"""
_AUTHORIZE = """
systemctl enable --quiet --now ssh.service
for user in {users}; do
    home=$(getent passwd "$user" | cut -d: -f6)
    install -d -o "$user" -g "$user" -m 0700 "$home/.ssh"
    printf '%s\\n' "$KEY" >"$home/.ssh/authorized_keys"
    chown "$user:" "$home/.ssh/authorized_keys"
done
"""


class Guest(Protocol):
    """A guest with a network: a container, or a machine with the option."""

    @property
    def network(self) -> int:
        """Return the id of a process whose loopback has the guest's port 22."""

    def run(self, script: str, *, env: Mapping[str, str]) -> Result:
        """Run a script as root."""


class Door:
    """The files with which ssh reaches ``host``, kept in the directory ``place``.

    After a boot, ssh fails until follow() is called.
    """

    def __init__(self, host: Guest, place: Path) -> None:
        place.mkdir()
        self._host = host
        self._process = place / "process"
        self._key = place / "key"
        proxy = place / "proxy"
        proxy.write_text(_PROXY)
        self._proxy = f"sh {proxy} {self._process}"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", self._key])
        self._known = place / "known"

    @property
    def options(self) -> str:
        """Return ssh's options, as words for a shell."""
        settings = (
            *(f"ProxyCommand={self._proxy}", f"UserKnownHostsFile={self._known}"),
            *("StrictHostKeyChecking=accept-new", "IdentitiesOnly=yes", "LogLevel=ERROR"),
        )
        words = [word for setting in settings for word in ("-o", setting)]
        return shlex.join(["-F", "/dev/null", "-i", str(self._key), *words])

    def open_for(self, users: Sequence[str]) -> None:
        """Start sshd in the guest, at each boot from now on, and let ``users`` log in."""
        script = _AUTHORIZE.format(users=shlex.join(users))
        self._host.run(script, env={"KEY": self._key.with_suffix(".pub").read_text().strip()})
        self.follow()

    def follow(self) -> None:
        """Let ssh reach the guest in its current boot."""
        self._process.write_text(f"{self._host.network}\n")
