"""Commit trees with the real ostree, and make disk images that deploy them, with composefs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nix_aurora import log
from nix_aurora.run import run
from tests.harness.cache import cached, digest
from tests.harness.scratch import Scratch
from tests.harness.tree import Tree, atomic_tree

# These packages are added to every tree's: a kernel, ostree, the parts of the initramfs, and the
# ways to run commands in the guest.
PACKAGES = (
    *("linux-image-cloud-amd64", "ostree", "ostree-boot", "udev", "busybox-static", "cpio"),
    *("btrfs-progs", "openssh-server", "qemu-guest-agent"),
)
_POLICY_PACKAGES = ("policycoreutils", "selinux-policy-default", "selinux-utils")
USERS = ("tester", "other")
# No daemon reads the kernel's audit records, so the kernel prints them; by default it drops some.
ENFORCING = "lsm=capability,selinux selinux=1 enforcing=1 sysctl.kernel.printk_ratelimit=0"
"""The kernel arguments that make a tree with ``enforcing`` enforce its policy."""
TRANSIENT = "harness.transient"
"""The kernel argument for a writable root directory whose changes are lost."""
_INITRAMFS = Path(__file__).parent / "initramfs"
_SELINUX = Path(__file__).parent / "selinux"
_PREPARE_ROOT = """\
[composefs]
enabled=yes
[sysroot]
readonly=true
[root]
transient=false
"""
# These units do not start: no test needs them, and an emulated processor takes seconds for them.
# udev starts the agent when it finds its port, once in a boot, and not again after a soft-reboot.
# The agent would also write a line to the journal for each poll of ours. harness/ssh.py starts
# sshd.
_BOOTABLE = """
rm -f /vmlinuz* /initrd.img* /etc/systemd/system/multi-user.target.wants/e2scrub_reap.service
systemctl mask --quiet systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \\
    sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount \\
    getty@tty1.service serial-getty@ttyS0.service dracut-shutdown.service \\
    systemd-udev-load-credentials.service systemd-pstore.service modprobe@drm.service
systemctl disable --quiet ssh.service ssh.socket
mkdir -p /etc/systemd/system-generators
ln -s /dev/null /etc/systemd/system-generators/systemd-ssh-generator
cd /usr/lib/systemd/system
mkdir -p multi-user.target.wants qemu-guest-agent.service.d /usr/lib/ostree
ln -s ../qemu-guest-agent.service multi-user.target.wants/
printf '[Service]\\nLogLevelMax=notice\\n' >qemu-guest-agent.service.d/quiet.conf
printf %s "$PREPARE_ROOT" >/usr/lib/ostree/prepare-root.conf
bash /run/initramfs/build "$(ls /usr/lib/modules)"
"""
# Fedora Atomic has the policy store in /etc. Debian's is in /var, which no deployment contains. The
# policy gets Fedora's name, so that packages find it. Modules of programs that the host does not
# have are disabled: they would take most of the time of a boot, a relabel and a rebuild of the
# policy. The modules nscd and setrans stay, since they let every domain accept connections on its
# own sockets. Scripts of tests run in an administrator's domain; without the setting, the agent
# would run them in systemd's domain.
_ENFORCING = """
mv /etc/selinux/default /etc/selinux/targeted
cp -a /run/selinux/default/active /etc/selinux/targeted/
echo 'store-root = /etc/selinux' >>/etc/selinux/semanage.conf
sed -i -e s/^SELINUX=.*/SELINUX=enforcing/ -e s/=default/=targeted/ /etc/selinux/config
others=$(semodule --list | grep --line-regexp --invert-match --extended-regexp \\
    'base|nscd|setrans|staff|unconfined|unprivuser|xdg|xserver')
semodule --noreload --install=/run/policy/fedora.cil --disable $others
echo 'SELinuxContext=unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023' \\
    >>/usr/lib/systemd/system/qemu-guest-agent.service.d/quiet.conf
"""
_EXT4 = ("mkfs.ext4", "-q", "-m", "0", "-E", "root_owner=0:0", "-L")
_DISK = "/run/disk"
_REPOSITORY = f"{_DISK}/ostree/repo"
# The layout of Fedora's desktop installer: / and /var are subvolumes of one file system.
_BTRFS, _BOOT = "/run/btrfs", "/run/boot"
_SUBVOLUMES = f"""
mkdir {_DISK}
[ -e {_BTRFS}/root ] || btrfs --quiet subvolume create {_BTRFS}/root {_BTRFS}/var
mount --bind {_BTRFS}/root {_DISK}
mkdir -p {_DISK}/boot
mount --bind {_BOOT} {_DISK}/boot
ln -sfn . {_DISK}/boot/boot
var={_DISK}/ostree/deploy/default/var
[ ! -e $var ] || mount --bind {_BTRFS}/var $var
"""
_COMPRESS = "compress=zstd:1"
_ARGUMENTS = ["--karg=rootfstype=btrfs", f"--karg=rootflags=subvol=root,{_COMPRESS}"]
_FSTAB = f"""\
LABEL=boot /boot ext4 defaults 1 2
LABEL=root /var btrfs subvol=var,{_COMPRESS} 0 0
"""
# No boot loader is installed, since the harness acts as it.
_INITIALIZE = f"""
ostree admin init-fs --modern {_DISK}
ostree admin stateroot-init --sysroot={_DISK} default
ostree config --repo={_REPOSITORY} set sysroot.bootloader none
ostree config --repo={_REPOSITORY} set sysroot.readonly true
"""
# The tree is a second view of the root, without the mounts in it. $BRANCH is the name of the
# commit.
_COMMIT = f"""
mkdir /run/tree
mount --bind / /run/tree
cd /run/tree
find dev -mindepth 1 -delete
find var -mindepth 1 ! -path var/lib ! -path var/lib/alternatives ! -path var/lib/vagrant -delete
mv etc usr/etc
options=()
[ ! -e usr/etc/selinux/config ] || options+=(--selinux-policy=/run/tree)
ostree commit --repo={_REPOSITORY} --fsync=false --bootable --branch="$BRANCH" --tree=dir=. \\
    "${{options[@]}}"
"""
# The time stamps make systemd believe that the host has booted before with the same /usr, as on a
# host on which packages are layered.
_DEPLOY = f"""
ostree admin deploy --sysroot={_DISK} --os=default \\
    --karg=root=LABEL=root --karg=rw --karg=console=ttyS0 $ARGUMENTS "$BRANCH"
cd {_DISK}/ostree/deploy/default
mkdir -p var/home
deployment=$(echo deploy/*.0)
mount --bind var "$deployment/var"
groups=(--groups wheel)
for user in $USERS; do
    chroot "$deployment" useradd --create-home --base-dir /var/home --shell /bin/bash \\
        "${{groups[@]}}" "$user"
    groups=()
done
touch "$deployment/etc/.updated" var/.updated
[ -z "$FSTAB" ] || printf %s "$FSTAB" >"$deployment/etc/fstab"
contexts=$PWD/$deployment/etc/selinux/targeted/contexts/files/file_contexts
if [ -e "$contexts" ]; then
    mkdir -p var/log/journal # journald uses it before any program may create it
    setfiles -F -r "$deployment" "$contexts" "$deployment"/{{etc,var}}
    setfiles -F -r {_DISK} "$contexts" {_DISK}/boot
fi
umount "$deployment/var"
"""
# /var belongs to the host, which sets its labels.
_UPGRADE = f"""
ostree admin deploy --sysroot={_DISK} --os=default "$BRANCH"
cd {_DISK}/ostree/deploy/default/deploy/"$(ostree rev-parse --repo={_REPOSITORY} "$BRANCH").0"
contexts=$PWD/etc/selinux/targeted/contexts/files/file_contexts
if [ -e "$contexts" ]; then
    setfiles -F -r "$PWD" "$contexts" "$PWD/etc"
    setfiles -F -r {_DISK} "$contexts" {_DISK}/boot
fi
"""


def bootable_tree(*, nix_dir: bool = False, enforcing: bool = False) -> Tree:
    """Return a host without our packages that has a kernel and an initramfs, cached or new.

    Its root is composefs; the boot's argument TRANSIENT makes it writable. ``nix_dir`` puts an
    empty ``/nix`` at the top. With ``enforcing`` the host has Debian's SELinux policy, whose store
    is at Fedora Atomic's place, and its commits are labeled; a boot needs ENFORCING.
    """
    groups = (PACKAGES, _POLICY_PACKAGES) if enforcing else (PACKAGES,)
    base = atomic_tree(nix_dir=nix_dir, extra=groups)
    recipe = _BOOTABLE + (_ENFORCING if enforcing else "")
    key = digest(*(str(layer) for layer in base.layers), _PREPARE_ROOT, recipe, _INITRAMFS)
    binds = {}
    if enforcing:
        key = digest(key, _SELINUX)
        # The policy's store is in /var, which no deployment contains.
        stores = [layer / "var/lib/selinux" for layer in base.layers]
        store = next(path for path in stores if path.is_dir())
        binds = {store: "/run/selinux", _SELINUX: "/run/policy"}

    def make(layer: Path) -> None:
        with Scratch(base.layers, upper=layer, binds=binds) as scratch:
            scratch.copy_in(_INITRAMFS, "/run/initramfs")
            scratch.run(recipe, env={"PREPARE_ROOT": _PREPARE_ROOT})

    return Tree((cached("trees", key, make), *base.layers))


def make_disk(
    branches: Mapping[str, Tree], disk: Path, *, boot: Path | None = None, size: int = 4 << 30
) -> None:
    """Make the image ``disk``: an ext4 file system, labeled ``root``, with ostree on it.

    With ``boot`` it is btrfs with the subvolumes ``root`` and ``var``, and ``boot`` becomes an
    image with an ext4 file system for /boot. Each of ``branches``, made by bootable_tree(), becomes
    a commit in its repository, of which deploy() deploys one. ``size`` is in bytes; the images are
    sparse.
    """
    if boot:
        _format(disk, size, "mkfs.btrfs", "--quiet", "--label", "root")
        _format(boot, size, *_EXT4, "boot")
    else:
        _format(disk, size, *_EXT4, "root")
    for number, (branch, tree) in enumerate(branches.items()):
        with log.step(f"committing {branch}"):
            script = _COMMIT if number else _INITIALIZE + _COMMIT
            _on_disk(tree, disk, script, branch, boot=boot)


def deploy(
    tree: Tree,
    branch: str,
    disk: Path,
    users: Sequence[str] = USERS,
    *,
    boot: Path | None = None,
    arguments: str = "",
) -> None:
    """Deploy a commit in a new disk's repository, that of ``tree``; ``boot`` is make_disk()'s.

    ``users`` are created there, ids from 1000 on, homes in /var/home, the first in ``wheel``. Every
    boot, also of later deployments, has the kernel's ``arguments``.
    """
    _on_disk(tree, disk, _DEPLOY, branch, users, boot=boot, arguments=arguments)


def upgrade(tree: Tree, branch: str, disk: Path) -> None:
    """Deploy another commit on the disk of a host that is off; it becomes the default.

    The host's changes in /etc are merged. This does not run on the host, since an emulated one
    would take a minute.
    """
    _on_disk(tree, disk, _UPGRADE, branch)


def copy_disk(disk: Path, target: Path) -> None:
    """Copy an image, and keep it sparse."""
    run(["cp", "--sparse=auto", "--reflink=auto", disk, target])


def _format(image: Path, size: int, *command: str) -> None:
    with image.open("wb") as file:
        file.truncate(size)
    run([*command, image])


def _on_disk(
    tree: Tree,
    disk: Path,
    script: str,
    branch: str,
    users: Sequence[str] = (),
    *,
    boot: Path | None = None,
    arguments: str = "",
) -> None:
    """Run a script in ``tree``, with the tree's own ostree and the disk mounted."""
    images, mounted = {disk: _DISK}, _DISK
    words = [f"--karg={argument}" for argument in arguments.split()]
    if boot:
        images, mounted = {disk: _BTRFS, boot: _BOOT}, f"{_DISK} {_BTRFS} {_BOOT}"
        script = _SUBVOLUMES + script
        words += _ARGUMENTS
    env = {"BRANCH": branch, "USERS": " ".join(users), "ARGUMENTS": " ".join(words)}
    env["FSTAB"] = _FSTAB if boot else ""
    with Scratch(tree.layers, images=images) as scratch:
        # Unmounting the disk writes everything to it.
        scratch.run(f"{script}cd /\numount --recursive {mounted}", env=env)
