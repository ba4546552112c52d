"""A root directory that can be changed and is thrown away at the end."""

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from nix_aurora.files import remove_tree
from tests.harness.archive import archive_of, unpack_command
from tests.harness.closing import Closing
from tests.harness.commands import Result, script_command
from tests.harness.namespace import Namespace

# The options keep a layer independent of the order and the place in which layers are stacked.
OVERLAY_OPTIONS = "index=off,metacopy=off,redirect_dir=off"
# $1 is an empty directory, $2 the options of the overlay, $3 and $4 its upper and work directory.
_MOUNT = """
set -eu
mount -t tmpfs -o mode=0755 scratch "$1"
cd "$1"
mkdir -p root "$3" "$4"
mount -t overlay -o "$2" scratch root
cd root
mount -t proc -o nosuid,nodev,noexec proc proc
mount -o bind,ro /sys sys
mount -t tmpfs -o mode=0755,nosuid dev dev
for node in null zero full random urandom tty; do
    : >"dev/$node"
    mount -o bind "/dev/$node" "dev/$node"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mount -t tmpfs -o mode=0755 run run
mount -t tmpfs -o mode=1777 tmp tmp
"""
# pivot_root also moves the holder's root, and nsenter enters that root.
_PIVOT = """
set -eu
cd "$1/root"
mkdir run/old
pivot_root . run/old
umount --lazy run/old
rmdir run/old
"""


class Scratch(Closing):
    """A writable root over ``layers`` (the topmost first), in separate namespaces.

    Changes stay in memory and are lost at the end, unless ``upper`` names a directory that keeps
    them as an overlay layer. Mounts and daemons of one run still exist in the next one. ``binds``
    maps directories of this machine to their places in the root, and ``images`` maps files with
    file systems to their mount points. The only network is a separate loopback, unless ``network``
    is set.
    """

    def __init__(
        self,
        layers: Path | Sequence[Path],
        *,
        upper: Path | None = None,
        network: bool = False,
        binds: Mapping[Path, str] | None = None,
        images: Mapping[Path, str] | None = None,
    ) -> None:
        self._layers = [layers] if isinstance(layers, Path) else list(layers)
        self._upper = upper
        self._network = network
        self._binds = dict(binds or {})
        self._images = dict(images or {})
        self._namespace: Namespace | None = None

    def open(self) -> None:
        """Create the namespaces and mount the root."""
        self._namespace = Namespace(network=self._network)
        try:
            self._mount(self._namespace)
        except BaseException:
            self.close()
            raise

    def _mount(self, namespace: Namespace) -> None:
        with tempfile.TemporaryDirectory(prefix="scratch-") as place:
            upper = self._upper or Path(place, "upper")
            work = upper.with_name(f"{upper.name}.work")
            lower = ":".join(str(layer) for layer in self._layers)
            options = f"lowerdir={lower},upperdir={upper},workdir={work},{OVERLAY_OPTIONS}"
            namespace.execute(["sh", "-c", _MOUNT, "mount", place, options, upper, work])
            mounts = [("--rbind", *bind) for bind in self._binds.items()]
            mounts += [("--options=loop", *image) for image in self._images.items()]
            for option, source, target in mounts:
                inside = Path(place, "root", target.lstrip("/"))
                namespace.execute(["mkdir", "-p", inside])
                namespace.execute(["mount", option, source, inside])
            namespace.execute(["sh", "-c", _PIVOT, "pivot", place])

    def run(
        self,
        script: str,
        *,
        user: str | None = None,
        check: bool = True,
        timeout: float = 300,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a bash script (``-euo pipefail``) in ``/`` as root or ``user``.

        The script sees ``env`` and a minimal environment. Raises ToolError with the output for a
        non-zero exit code, unless ``check`` is false, and after ``timeout`` seconds.
        """
        return self._entered.execute(
            script_command(script, env, user=user),
            check=check,
            timeout=timeout,
            name=script,
        )

    def copy_in(self, source: Path, target: str) -> None:
        """Copy a file or a directory of this machine to ``target``, owned by root.

        Parents are created; a directory is merged into an existing one.
        """
        with archive_of(source) as archive:
            self._entered.execute(unpack_command(source, target), stdin=archive)

    def read(self, path: str) -> str:
        """Return the text of a file in the root."""
        return self.run(f"cat -- {shlex.quote(path)}").stdout

    def add_user(self, name: str) -> None:
        """Create an ordinary user with a home directory."""
        self.run(f"useradd --create-home --shell /bin/bash {shlex.quote(name)}")

    def close(self) -> None:
        """End all processes in the root; changes in memory are lost."""
        if self._namespace is not None:
            self._namespace.close()
            self._namespace = None
            if self._upper:
                remove_tree(self._upper.with_name(f"{self._upper.name}.work"))

    @property
    def _entered(self) -> Namespace:
        if self._namespace is None:
            raise RuntimeError("the scratch root is not open")
        return self._namespace

    def __enter__(self) -> Self:
        self.open()
        return self
