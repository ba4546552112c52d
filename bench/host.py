"""Measure the host side beside its lowest possible cost, on a booted host."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

from bench.measure import Figure, unit_seconds
from tests.harness.nspawn import Host
from tests.harness.tree import atomic_tree, layer_rpms

_UNITS = ("nix-layout.service", "nix.mount", "nix-setup.service")
# Nothing is deleted: before ext4 without a journal reuses an inode, it checks whether the inode was
# freed recently (Linux `fs/ext4/ialloc.c`, recently_deleted), which takes up to 1 ms per file.
_CLEAR = """
systemctl stop nix-daemon.socket nix-daemon.service nix-setup.service
mkdir -p /var/lib/former
find /var/lib/nix -mindepth 1 -maxdepth 1 \
    -exec mv --target-directory "$(mktemp -d --tmpdir=/var/lib/former)" {} +
systemctl reset-failed nix-daemon.socket nix-daemon.service nix-setup.service
systemd-tmpfiles --create nix-aurora.conf
sync
"""
_TIMER = 'start=${EPOCHREALTIME/./}; %s; echo "took $(( ${EPOCHREALTIME/./} - start ))"'
# This client connects before the import: its connection starts the daemon, which waits for the
# import. The words are the handshake of the worker protocol (nix, src/libstore/worker-protocol.hh).
_FIRST = """systemctl start nix-daemon.socket
python3 -I - <<'END'
import socket, subprocess, time
with socket.socket(socket.AF_UNIX) as daemon:
    daemon.connect("/var/lib/nix/daemon-socket/socket")
    daemon.sendall(0x6E697863.to_bytes(8, "little"))
    if daemon.recv(8) != 0x6478696F.to_bytes(8, "little"):
        raise SystemExit("the socket answers with another protocol")
    end = int(time.monotonic() * 1e6)
show = ["systemctl", "show", "nix-setup.service", "--value"]
start = subprocess.check_output([*show, "--property=ExecMainStartTimestampMonotonic"])
print("took", end - int(start))
END
"""
# This creates the input of the floor: one archive of the closure, and its registration.
_FLOOR = """. /usr/lib/nix-aurora/closure.env
NIX_REMOTE=local $CLOSURE_NIX/bin/nix-store --dump-db >/var/lib/registration
tar --create --directory=/nix store | zstd --quiet -19 -T0 >/var/lib/archive
"""
# This unpacks into the store itself, since loading the database needs a working Nix.
_PLAIN = """tar --zstd -xf /var/lib/archive -C /var/lib/nix
. /usr/lib/nix-aurora/closure.env
NIX_REMOTE=local $CLOSURE_NIX/bin/nix-store --load-db </var/lib/registration"""
_CALLS = 100
_CALL = f"for ((i = 0; i < {_CALLS}; i++)); do %s --version >/dev/null; done"


def figures(package: Path, work: Path, times: int) -> Iterator[Figure]:
    """Measure the first start, a later boot, and the wrapper of ``package``, in ``work``."""
    tree = layer_rpms(atomic_tree(nix_dir=True), [package], work / "layer")
    with Host(tree, work / "state") as host:
        host.run(_FIRST + _FLOOR)
        first, plain = _medians(
            (_seconds(host, _CLEAR + _FIRST), _seconds(host, _CLEAR + _TIMER % _PLAIN))
            for _ in range(times)
        )
        yield Figure(
            "import's start to first answer",
            first,
            plain,
            "s",
            "<= 1.5 x",
            "tar -x, nix-store --load-db",
        )
        host.run(_CLEAR + _FIRST)
        later = median(_second_boot(host) for _ in range(times))
        yield Figure("our units, later boots", later * 1000, None, "ms", "<= 100 ms")

        direct = ". /usr/lib/nix-aurora/closure.env; " + _CALL % '"$CLOSURE_NIX/bin/nix"'
        ours, floor = _medians(
            (_seconds(host, _TIMER % (_CALL % "nix")), _seconds(host, _TIMER % direct))
            for _ in range(times)
        )
        scale = 1000 / _CALLS
        yield Figure(
            "nix --version", ours * scale, floor * scale, "ms", "+ <= 3 ms", "the program itself"
        )


def _medians(pairs: Iterable[tuple[float, float]]) -> list[float]:
    """Return the median of each; the pairs alternate, since the machine has other work."""
    return [median(values) for values in zip(*pairs, strict=True)]


def _seconds(host: Host, script: str) -> float:
    """Run ``script``, which prints its time in microseconds, and return it in seconds."""
    output = host.run(script).stdout
    (took,) = re.findall(r"^took (\d+)$", output, re.MULTILINE)
    return int(took) / 1e6


def _second_boot(host: Host) -> float:
    """Reboot; return the seconds that our units took from the start of their jobs."""
    host.reboot()
    return sum(unit_seconds(host, unit) for unit in _UNITS)
