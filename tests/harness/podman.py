"""Run podman with its own storage and network."""

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from nix_aurora.errors import ToolError
from nix_aurora.files import remove_tree
from tests.harness import https
from tests.harness.closing import Closing
from tests.harness.commands import Result
from tests.harness.namespace import Namespace
from tests.harness.scratch import Scratch
from tests.harness.tree import Tree

# The driver vfs works on every file system: it stores an image as a directory.
_STORAGE = """\
[storage]
driver = "vfs"
graphroot = "{place}/graph"
runroot = "{place}/run"
"""
# $1 is the file with the names of hosts. podman's files elsewhere disappear with the mounts.
_PREPARE = """
set -eu
mount --bind "$1/hosts" /etc/hosts
mount -t tmpfs run /run
mount -t tmpfs lib /var/lib
"""
# The archive is a second view of the root, without the mounts in it.
_ARCHIVE = """
mkdir /run/tree
mount --bind / /run/tree
cd /run/tree
find dev run tmp var -mindepth 1 -delete
mkdir -m 1777 var/tmp
tar --numeric-owner -cf /run/image/root.tar .
"""


class Podman(Closing):
    """podman as root, with its images in the directory ``place``, for use in a ``with`` block.

    It reaches no network except its own loopback, where it sees ``hosts`` if serve() serves their
    files. Nothing that it starts, mounts or creates outlives it.
    """

    def __init__(self, place: Path, hosts: Iterable[str] = ()) -> None:
        self._place = place
        self._namespace: Namespace | None = None
        self._after = ExitStack()  # these steps run after the namespace has ended
        place.mkdir()
        (place / "storage.conf").write_text(_STORAGE.format(place=place))
        names = " ".join(("localhost", *hosts))
        (place / "hosts").write_text(f"127.0.0.1 {names}\n")

    def shell(self, line: str, *, cwd: Path, check: bool = True) -> Result:
        """Run a line of shell with commands of podman, in the directory ``cwd``.

        Raises ToolError with the output for a non-zero exit code, unless ``check`` is false.
        """
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._place),
            "TMPDIR": str(self._place),
            "CONTAINERS_STORAGE_CONF": str(self._place / "storage.conf"),
            # podman uses neither a runtime nor control groups, and uses the network of this
            # namespace. A build creates one layer.
            "BUILDAH_ISOLATION": "chroot",
            "BUILDAH_LAYERS": "false",
        }
        pairs = [f"{name}={value}" for name, value in environment.items()]
        command = ["env", "-i", "-C", str(cwd), *pairs, "bash", "-euo", "pipefail", "-c", line]
        return self._entered.execute(command, check=check, timeout=600, name=line)

    def add_image(self, tree: Tree, name: str) -> None:
        """Make an image of a tree, with nothing in /dev, /run, /tmp and /var."""
        with Scratch(tree.layers, binds={self._place: "/run/image"}) as scratch:
            scratch.run(_ARCHIVE)
        self.shell(f"podman import --quiet root.tar {name}; rm root.tar", cwd=self._place)

    def root(self, image: str) -> Path:
        """Return the root directory of an image; do not change it."""
        done = self.shell(f"podman image mount {image}", cwd=self._place)
        return Path(done.stdout.strip())

    def serve(self, directory: Path, certificate: Path) -> None:
        """Serve a directory's files to all builds over TLS; see https.py."""
        log = self._place / "https.log"
        server = subprocess.Popen(
            self._entered.enter([sys.executable, https.__file__, directory, certificate]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._after.enter_context(log.open("wb")),
        )
        self._after.enter_context(server)
        if server.stdout is None or server.stdout.readline() != b"listening\n":
            raise ToolError(f"serving {directory}: expected a listener, got {log.read_text()}")

    def close(self) -> None:
        """End all processes, and remove the images; mounts disappear with them."""
        if self._namespace is not None:
            self._namespace.close()
            self._namespace = None
            self._after.close()
            remove_tree(self._place)

    @property
    def _entered(self) -> Namespace:
        if self._namespace is None:
            raise RuntimeError("podman is not open")
        return self._namespace

    def __enter__(self) -> Self:
        self._namespace = Namespace(network=False)
        try:
            self._namespace.execute(["sh", "-c", _PREPARE, "prepare", self._place])
        except BaseException:
            self.close()
            raise
        return self
