"""The files that a host keeps between its boots, and the mounts that it boots from."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from nix_aurora.files import remove_tree
from tests.harness.container import clear_group, container_namespace
from tests.harness.scratch import OVERLAY_OPTIONS
from tests.harness.tree import Tree

# $1 is the state directory, $2 and $3 are the lower layers of root and /etc, $4 has the overlay's
# options, $5 the options of root alone, and $6 is the source of root.
_MOUNT_ROOT = """
set -eu
cd "$1"
mount -t overlay -o "$5,lowerdir=$2,$4" "$6" root
"""
_MOUNT_ETC = """
mount -t overlay -o "lowerdir=$3,upperdir=$1/etc.upper,workdir=$1/etc.work,$4" etc etc
"""
_COPY_ETC = """
[ -n "$(ls -A etc)" ] || cp --archive root/etc/. etc/
"""
# This runs in its own mount namespace, before the first boot, on the tree with this host's /etc and
# /var.
_ADD_USERS = """
set -eu
cd "$1"
mount --bind etc root/etc
mount --bind var root/var
mkdir -p var/home
chroot root useradd --create-home --base-dir /var/home --shell /bin/bash --groups wheel "$2"
shift 2
for user; do
    chroot root useradd --create-home --base-dir /var/home --shell /bin/bash "$user"
done
"""


class HostState:
    """The directory ``path`` with a host's /etc and /var, and namespaces for its mounts.

    ``root``, ``etc`` and ``var`` are nspawn's inputs. ``var_size`` is in bytes; without it, /var is
    a directory. ``cgroup`` is the control group for the host, in the namespaces. With ``keep_root``
    changes to ``root`` are kept, too; otherwise it is read-only. With ``bootc``, the mount source
    of ``root`` is composefs:DIGEST, and ``etc`` a directory, like ``var``, with the first tree's
    files.
    """

    def __init__(
        self,
        path: Path,
        cgroup: Path,
        var_size: int | None,
        *,
        keep_root: bool = False,
        bootc: bool = False,
    ) -> None:
        self.path = path.resolve()
        self.root = self.path / "root"
        self.etc = self.path / "etc"
        self.var = self.path / "var"
        self.ostree_booted = self.path / "ostree-booted"
        self._work = self.path / "etc.work"
        self._root_work = self.path / "root.work"
        self._root_options = "ro"
        self.is_new = not (self.path / "etc.upper").exists()
        directories = [self.root, self.etc, self.var, self.path / "etc.upper", self._work]
        if keep_root:
            upper = self.path / "root.upper"
            directories += [upper, self._root_work]
            self._root_options = f"upperdir={upper},workdir={self._root_work}"
        for directory in directories:
            directory.mkdir(parents=True, exist_ok=True)
            # This is the mode of /var, and the upper directory's is that of /etc.
            directory.chmod(0o755)
        self.ostree_booted.touch()
        self._bootc = bootc
        self._cgroup = cgroup
        self.namespace = container_namespace(cgroup)
        try:
            if var_size is not None:
                self._mount_var(var_size)
        except BaseException:
            self.close()
            raise

    def _mount_var(self, size: int) -> None:
        image = self.path / "var.ext4"
        if not image.exists():
            with image.open("wb") as file:
                file.truncate(size)
            # No blocks are reserved for root, so a full disk is full for root, too.
            self.namespace.execute(["mkfs.ext4", "-q", "-m", "0", image])
        self.namespace.execute(["mount", "-o", "loop", image, self.var])

    def mount(self, tree: Tree) -> None:
        """Mount ``tree`` at ``root`` and its /etc with the host's changes at ``etc``."""
        root = ":".join(str(layer) for layer in tree.layers)
        etc = ":".join(str(layer / "etc") for layer in tree.layers if (layer / "etc").is_dir())
        script = _MOUNT_ROOT + (_COPY_ETC if self._bootc else _MOUNT_ETC)
        source = f"composefs:{sha256(root.encode()).hexdigest()}" if self._bootc else "root"
        words = (str(self.path), root, etc, OVERLAY_OPTIONS, self._root_options, source)
        self.namespace.execute(["sh", "-c", script, "mount", *words])

    def unmount(self) -> None:
        """Unmount ``root`` and ``etc``, and remove the guest's remaining control groups."""
        mounts = [self.root] if self._bootc else [self.etc, self.root]
        self.namespace.execute(["umount", "--lazy", *mounts])
        clear_group(self.namespace, self._cgroup)

    def add_users(self, users: Sequence[str]) -> None:
        """Create users, the first one in ``wheel``; the tree must be mounted and not running."""
        script = ["sh", "-c", _ADD_USERS, "users", str(self.path), *users]
        self.namespace.execute(["unshare", "--mount", *script])

    def close(self) -> None:
        """End the namespaces; the host's files stay."""
        self.namespace.close()
        for work in (self._work, self._root_work):
            remove_tree(work)
