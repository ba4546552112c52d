"""Fedora Atomic trees, as rpm-ostree deploys them, made of Debian packages and overlay layers."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from nix_aurora.errors import ToolError
from nix_aurora.run import run
from tests.harness.cache import cached, digest
from tests.harness.provides import provides_rpm
from tests.harness.roots import debian_root
from tests.harness.scratch import Scratch

_ATOMIC = Path(__file__).parent / "atomic"
# What rpm-ostree's importer takes (path_is_ostree_compliant). It moves /opt, which we do not.
_ALLOWED = ("/usr/", "/etc/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/var/", "/run/")
_GHOST = 1 << 6  # RPMFILE_GHOST: listed, and not in the payload that the importer sees
# Fedora Atomic's layout. What Debian's packages put into /var is lost, dpkg's database included.
# systemd starts no mount unit for up to a second after a burst of mounts (it limits the rate of
# its monitor), and nspawn's guest begins with one: without that unit a boot takes half the time.
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
mkdir -p /boot /var /sysroot /usr/share/rpm /usr/lib/sysimage
ln -s ../../share/rpm /usr/lib/sysimage/rpm
: >/etc/machine-id
rm -r /etc/systemd/system/timers.target.wants
ln -s /dev/null /etc/systemd/system/var-lib-machines.mount
"""
_RPMS = "/run/rpms"
# As rpm-ostree runs scriptlets: no network, /var lost, no running system.
_AS_RPM_OSTREE = f"""\
bwrap --bind / / --proc /proc --dev /dev --ro-bind /sys /sys \
    --tmpfs /var --dir /var/tmp --dir /var/home --dir /var/roothome --dir /var/lib \
    --tmpfs /tmp --tmpfs /run --ro-bind {_RPMS} {_RPMS} \
    --unshare-pid --unshare-net --unshare-ipc --die-with-parent \
    --setenv HOME /var/roothome --setenv SYSTEMD_OFFLINE 1 --chdir / -- \
    bash -euo pipefail -c """
# ostree gives everything mtime 0, and with /usr's, ConditionNeedsUpdate= is false on any host
# that has booted before. A database in WAL mode cannot be read on a read-only root.
_FINISH = """
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
    """The files of a deployment: overlay layers, the topmost first. Nothing changes them."""

    layers: tuple[Path, ...]

    def changed(self, directory: Path, script: str) -> "Tree":
        """Give a tree in which a bash script has run as root in the root directory.

        ``directory``, which must not exist yet, becomes its topmost layer.
        """
        _new_layer(directory)
        with Scratch(self.layers, upper=directory) as scratch:
            scratch.run(script)
        return Tree((directory, *self.layers))

    def scratch(self) -> Scratch:
        """Give a root to look at the tree, and to change it without effect."""
        return Scratch(self.layers)


def atomic_tree(*, nix_dir: bool = False, extra: tuple[str, ...] = ()) -> Tree:
    """Give a host without packages of ours, from the cache or new.

    Its rpm database knows what a Fedora host has (provides.FEDORA_NAMES). ``nix_dir`` puts an
    empty ``/nix`` at the top; ``extra`` names Debian packages.
    """
    root = debian_root(extra)
    recipe = (_CONVERT, _FINISH, Path(__file__).with_name("provides.py").read_text())
    key = digest(root.name, *recipe, _ATOMIC, str(nix_dir))
    return Tree((cached("trees", key, lambda layer: _convert(root, layer, nix_dir)), root))


def _convert(root: Path, layer: Path, nix_dir: bool) -> None:
    with Scratch(root, upper=layer) as scratch, TemporaryDirectory() as place:
        scratch.run(_CONVERT)
        scratch.copy_in(_ATOMIC, "/")
        if nix_dir:
            scratch.run("mkdir /nix")
        _install(scratch, [provides_rpm(Path(place))], sysusers=True)


def layer_rpms(tree: Tree, rpms: Sequence[Path], directory: Path, *, sysusers: bool = True) -> Tree:
    """Give ``tree`` with RPMs added as ``rpm-ostree install`` does; ``tree`` stays as it is.

    ``directory``, which must not exist yet, becomes the topmost layer. An upgrade is made like
    rpm-ostree's: from the same base with the newer RPMs, so ``%preun`` and ``%postun`` never run.
    ``sysusers`` runs systemd-sysusers in the end, as rpm-ostree does on Fedora 42 and later.
    Raises ToolError with rpm's output, and for a path that rpm-ostree refuses.
    """
    for rpm in rpms:
        _refuse_unsupported_paths(rpm)
    _new_layer(directory)
    with Scratch(tree.layers, upper=directory) as scratch:
        before = _top_level(scratch)
        _install(scratch, rpms, sysusers=sysusers)
        # What scriptlets write outside /usr and /etc is lost: a layer makes no directory in /.
        for name in _top_level(scratch) - before:
            scratch.run(f"rm -r /{shlex.quote(name)}")
    return Tree((directory, *tree.layers))


def _top_level(scratch: Scratch) -> set[str]:
    return set(scratch.run("ls -A /").stdout.splitlines())


def _new_layer(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o755)  # it is the root directory, too


def _install(scratch: Scratch, rpms: Sequence[Path], *, sysusers: bool) -> None:
    for rpm in rpms:
        scratch.copy_in(rpm, f"{_RPMS}/{rpm.name}")
    script = f"rpm --upgrade --verbose --nosignature {_RPMS}/*.rpm"
    if sysusers:
        script += "\nsystemd-sysusers"
    scratch.run(_AS_RPM_OSTREE + shlex.quote(script))
    scratch.run(_FINISH)


def _refuse_unsupported_paths(rpm: Path) -> None:
    form = "[%{FILEFLAGS} %{FILENAMES}\\n]"
    for line in run(["rpm", "-qp", "--nosignature", "--queryformat", form, rpm]).splitlines():
        flags, name = line.split(" ", 1)
        if not int(flags) & _GHOST and not name.startswith(_ALLOWED):
            raise ToolError(f"layering: {rpm.name}: expected paths in /usr and /etc, got {name}")
