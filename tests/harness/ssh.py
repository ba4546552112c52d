"""ssh into a guest: a real sshd in it, and a loopback that only we reach."""

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
    """A guest that has a network: a container, or a machine that was given one."""

    @property
    def network(self) -> int:
        """Return the id of a process on whose loopback the guest's port 22 is."""

    def run(self, script: str, *, env: Mapping[str, str]) -> Result:
        """Run a script as root."""


class Door:
    """What ssh needs to know to come into ``host``, kept in the directory ``place``.

    Until follow() is called after a boot, ssh finds nobody there.
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
        """Start sshd in the guest, at each boot from now on, and let ``users`` in."""
        script = _AUTHORIZE.format(users=shlex.join(users))
        self._host.run(script, env={"KEY": self._key.with_suffix(".pub").read_text().strip()})
        self.follow()

    def follow(self) -> None:
        """Let ssh find the guest of the present boot."""
        self._process.write_text(f"{self._host.network}\n")
