"""Measure the import on several file systems, beside plain tools that copy the same files.

Package and store are on one file system, like /usr and /var on the target hosts.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from bench.measure import Figure
from nix_aurora.run import run
from tests.harness.scratch import Scratch
from tests.harness.tree import atomic_tree, layer_rpms

_KINDS = {"ext4": ["mkfs.ext4", "-q"], "btrfs": ["mkfs.btrfs", "-q"]}
_SIZE = 4 << 30  # bytes
_PREPARE = """
disk=/var/disk
mkdir -p $disk/nix
cp -a /usr/lib/nix-aurora $disk/package
mount --bind $disk/package /usr/lib/nix-aurora
mkdir -p /var/lib/nix /var/home /var/roothome
mount --bind $disk/nix /var/lib/nix
mount --bind /var/lib/nix /nix
"""
_CLEAR = """
find /var/lib/nix -mindepth 1 -delete
systemd-tmpfiles --create nix-aurora.conf
sync
"""
_COLD = "echo 3 >/proc/sys/vm/drop_caches\n"
_WARM = "cat $(find /usr/lib/nix-aurora -type f) >/dev/null\n"
_TIMER = """
start=${EPOCHREALTIME/./}
%s
echo "took $((${EPOCHREALTIME/./} - start))"
"""
_IMPORT = "/usr/libexec/nix-aurora/import"
# This creates the input of the floors: the closure's registration, and one archive of all paths.
_FLOORS = """
. /usr/lib/nix-aurora/closure.env
NIX_REMOTE=local $CLOSURE_NIX/bin/nix-store --dump-db >/var/disk/package/registration
tar --create --directory=/nix store | zstd --quiet -19 -T0 >/var/disk/package/archive
"""
_UNPACK = """
tar --zstd -xf /usr/lib/nix-aurora/archive -C /var/lib/nix
. /usr/lib/nix-aurora/closure.env
NIX_REMOTE=local $CLOSURE_NIX/bin/nix-store --load-db \
    </usr/lib/nix-aurora/registration
sync --file-system /var/lib/nix
"""
_COPY = """
cp -a --reflink=auto /usr/lib/nix-aurora/store/. /var/lib/nix/store
sync --file-system /var/lib/nix
"""
_USED = "stat --file-system --format='%%S %%b %%f' %s"


def figures(package: Path, work: Path, times: int, beside: Path | None) -> Iterator[Figure]:
    """Measure the import of ``package`` on each file system, in ``work``.

    ``beside`` is another package, whose import replaces the floors.
    """
    for kind in _KINDS:
        with _Disk(kind, package, work / kind) as disk:
            scripts = [_IMPORT, _UNPACK, _COPY]
            names = ["tar -x, nix-store --load-db, sync", "cp -a --reflink=auto, sync"]
            share = disk.added()
            yield Figure(f"{kind}: disk of the imported store", share, disk.closure, "B", "")
            disk.run(_FLOORS)
            for state, before in (("warm", _WARM), ("cold", _COLD)):
                ours, *floors = disk.medians(before, scripts, times)
                for name, floor in zip(names, floors, strict=True):
                    yield Figure(f"{kind}, {state}: the import", ours, floor, "s", "", name)
        if beside is not None:
            yield from _compare(kind, package, beside, work, times)


def _compare(kind: str, package: Path, beside: Path, work: Path, times: int) -> Iterator[Figure]:
    """Measure two packages' imports alternately."""
    with (
        _Disk(kind, package, work / f"{kind}-ours") as ours,
        _Disk(kind, beside, work / f"{kind}-other") as other,
    ):
        for state, before in (("warm", _WARM), ("cold", _COLD)):
            pairs = [
                (ours.seconds(before, _IMPORT), other.seconds(before, _IMPORT))
                for _ in range(times)
            ]
            first, second = (median(values) for values in zip(*pairs, strict=True))
            yield Figure(f"{kind}, {state}: the import", first, second, "s", "", beside.name)


class _Disk:
    """A root with a package on a file system of its own, beside an empty store."""

    def __init__(self, kind: str, package: Path, work: Path) -> None:
        tree = layer_rpms(atomic_tree(nix_dir=True), [package], work / "layer")
        image = work / "image"
        with image.open("wb") as file:
            file.truncate(_SIZE)
        run([*_KINDS[kind], image])
        self._scratch = Scratch(tree.layers, images={image: "/var/disk"})
        self.closure = 0.0

    def __enter__(self) -> "_Disk":
        self._scratch.open()
        self.run(_PREPARE)
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.close()

    def run(self, script: str) -> str:
        """Run a script in the root."""
        return self._scratch.run(script).stdout

    def added(self) -> float:
        """Import once; return by how many bytes the file system has grown, and record the size."""
        before = self._used()
        # The 8 MiB that Nix reserves for a full disk do not count as the closure's.
        self.run(f"{_CLEAR}{_IMPORT}\nrm -f /var/lib/nix/var/nix/db/reserved; sync")
        self.closure = float(self.run("du --bytes --summarize /var/lib/nix/store").split()[0])
        return self._used() - before

    def _used(self) -> float:
        block, blocks, free = map(int, self.run(f"sync; {_USED % '/var/disk'}").split())
        return float((blocks - free) * block)

    def medians(self, before: str, scripts: Sequence[str], times: int) -> list[float]:
        """Run the scripts alternately, each with an empty store.

        Return the median seconds of each.
        """
        rounds = [[self.seconds(before, script) for script in scripts] for _ in range(times)]
        return [median(values) for values in zip(*rounds, strict=True)]

    def seconds(self, before: str, script: str) -> float:
        """Return the seconds that a script takes with an empty store."""
        output = self.run(_CLEAR + before + _TIMER % script)
        (took,) = re.findall(r"^took (\d+)$", output, re.MULTILINE)
        return int(took) / 1e6
