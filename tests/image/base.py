"""A base image such as Aurora's, made of Debian packages."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.harness import bootc_lint
from tests.harness.provides import provides_rpm
from tests.harness.roots import MORE
from tests.harness.scratch import Scratch
from tests.harness.tree import Tree, atomic_tree

RELEASE = 44  # Fedora's release
_AURORA = Path(__file__).parent / "aurora"
# systemd-sysusers must know Fedora's users. Debian creates its users in a package's script, so this
# declares the existing ones. The plugin of rpm that creates namespaces must not run in a build in a
# container; in Fedora it is a separate package.
_SCRIPT = """
rpm --install --nosignature /run/release.rpm
rm /usr/lib/rpm/macros.d/macros.transaction_unshare
cat /run/authority.pem >>/etc/ssl/certs/ca-certificates.crt
mkdir -p /etc/yum.repos.d /usr/share/licenses
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
{
    awk -F: '{ print "g", $1, $3 }' /etc/group
    awk -F: '{ printf "u %s %s:%s \\"%s\\" %s %s\\n", $1, $3, $4, $5, $6, $7 }' /etc/passwd
} >/usr/lib/sysusers.d/zz-debian.conf
find /var -mindepth 1 -delete
"""


def base_tree(directory: Path, authority: Path) -> Tree:
    """Return a host with dnf5, like a bootc base image; ``directory`` becomes its top layer.

    It trusts the certificate ``authority``, looks like Aurora of Fedora RELEASE to dnf5, and has
    bootc_lint.py in place of bootc.
    """
    tree = atomic_tree(extra=(MORE,))
    directory.mkdir()
    directory.chmod(0o755)  # this also becomes the mode of the root directory
    with (
        TemporaryDirectory() as place,
        Scratch(tree.layers, upper=directory) as scratch,
    ):
        provided = (f"system-release = {RELEASE}", f"system-release(releasever) = {RELEASE}")
        release = provides_rpm(Path(place), provided, name="fedora-release")
        scratch.copy_in(release, "/run/release.rpm")
        scratch.copy_in(authority, "/run/authority.pem")
        scratch.copy_in(_AURORA, "/")
        scratch.copy_in(Path(bootc_lint.__file__), "/usr/bin/bootc")
        scratch.run(_SCRIPT)
    return Tree((directory, *tree.layers))
