"""Fedora Atomic trees, as rpm-ostree deploys them, made of Debian packages and overlay layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.harness.cache import cached, digest
from tests.harness.provides import provides_rpm
from tests.harness.roots import debian_layers
from tests.harness.rpm_ostree.assemble import layer
from tests.harness.rpm_ostree.container import WORK, Root
from tests.harness.scratch import Scratch

_ATOMIC = Path(__file__).parent / "atomic"
_RPM_OSTREE = Path(__file__).parent / "rpm_ostree"
# This creates Fedora Atomic's layout. It removes the files of Debian's packages in /var, including
# dpkg's database. After a burst of mounts, systemd starts no mount unit for up to a second (it
# limits the rate of its monitor), and nspawn's guest begins with such a burst: without that unit a
# boot takes half the time.
_CONVERT = """
rm -rf /home /root /opt /srv /mnt /media /boot /usr/local /var /usr/lib/sysimage/rpm
ln -s var/home /home
ln -s var/roothome /root
ln -s var/opt /opt
ln -s var/srv /srv
ln -s var/mnt /mnt
ln -s run/media /media
ln -s ../var/usrlocal /usr/local
ln -s sysroot/ostree /ostree
mkdir -p /boot /var /sysroot /usr/share/empty /usr/share/rpm /usr/lib/sysimage
ln -s ../../share/rpm /usr/lib/sysimage/rpm
: >/etc/machine-id
rm -r /etc/systemd/system/timers.target.wants
ln -s /dev/null /etc/systemd/system/var-lib-machines.mount
"""
# ostree sets every mtime to 0. With that on /usr, ConditionNeedsUpdate= is false on any host that
# has booted before. A database in WAL mode cannot be read on a read-only root. Commits that
# rpm-ostree assembles have two links in /var: rpmostree-core.cxx:4462.
_FINISH = """
cd /var
find . -mindepth 1 ! -path ./lib ! -path ./lib/alternatives ! -path ./lib/vagrant -delete
python3 -c '
import sqlite3
with sqlite3.connect("/usr/share/rpm/rpmdb.sqlite") as database:
    database.execute("pragma journal_mode=delete")
database.close()
'
touch -d @0 /usr
"""


@dataclass(frozen=True)
class Tree:
    """The files of a deployment: overlay layers, the topmost first, which must not change."""

    layers: tuple[Path, ...]

    def changed(self, directory: Path, script: str) -> "Tree":
        """Return a tree in which a bash script has run as root in the root directory.

        ``directory``, which must not exist yet, becomes its topmost layer.
        """
        _new_layer(directory)
        with Scratch(self.layers, upper=directory) as scratch:
            scratch.run(script)
        return Tree((directory, *self.layers))

    def scratch(self) -> Scratch:
        """Return a root in which to look at the tree, and to change it without effect."""
        return Scratch(self.layers)


def atomic_tree(*, nix_dir: bool = False, extra: Sequence[tuple[str, ...]] = ()) -> Tree:
    """Return a host without our packages, cached or new.

    Its rpm database knows the packages of a Fedora host (provides.FEDORA_NAMES). ``nix_dir`` puts
    an empty ``/nix`` at the top; ``extra`` has groups of Debian packages, for debian_layers().
    """
    root = debian_layers(*extra)
    modules = [Path(__file__).with_name("provides.py"), *sorted(_RPM_OSTREE.glob("*.py"))]
    recipe = (_CONVERT, _FINISH, *(module.read_text() for module in modules))
    key = digest(*(layer.name for layer in root), *recipe, _ATOMIC, str(nix_dir))
    return Tree((cached("trees", key, lambda layer: _convert(root, layer, nix_dir)), *root))


def _convert(root: tuple[Path, ...], layer: Path, nix_dir: bool) -> None:
    with Scratch(root, upper=layer) as scratch:
        scratch.run(_CONVERT)
        scratch.copy_in(_ATOMIC, "/")
        if nix_dir:
            scratch.run("mkdir /nix")
    with TemporaryDirectory() as place:
        _add(root, [provides_rpm(Path(place))], layer, sysusers=True)


def layer_rpms(tree: Tree, rpms: Sequence[Path], directory: Path, *, sysusers: bool = True) -> Tree:
    """Return ``tree`` with RPMs added as ``rpm-ostree install`` does; ``tree`` stays unchanged.

    ``directory``, which must not exist yet, becomes the topmost layer. An upgrade is like
    rpm-ostree's: from the same base with the newer RPMs, so ``%preun`` and ``%postun`` never run.
    ``sysusers`` runs systemd-sysusers first, as rpm-ostree does on Fedora 42 and later. Raises
    ToolError with the message of rpm-ostree, or of rpm for relations that do not hold.
    """
    _new_layer(directory)
    _add(tree.layers, rpms, directory, sysusers=sysusers)
    return Tree((directory, *tree.layers))


def _new_layer(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o755)  # this also becomes the root directory


def _add(layers: Sequence[Path], rpms: Sequence[Path], directory: Path, *, sysusers: bool) -> None:
    with (
        TemporaryDirectory(prefix="rpm-ostree-") as work,
        Scratch(layers, upper=directory, binds={Path(work): WORK}) as scratch,
    ):
        layer(Root(scratch, Path(work)), rpms, sysusers=sysusers)
        scratch.run(_FINISH)
