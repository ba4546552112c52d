"""A real ostree deployment on its composefs root, booted in systemd-nspawn.

The deployment has the disk, the boot entries, the initramfs and the ostree of a machine in QEMU,
and the kernel of this machine. It boots in seconds, while an emulated machine takes most of a
minute.
"""

from pathlib import Path

from tests.harness.bls import default_boot
from tests.harness.container import Container, clear_group, container_namespace
from tests.harness.namespace import Namespace
from tests.harness.ostree import copy_disk
from tests.harness.system import TIMEOUT

# These steps of the initramfs run before it switches to the new root. $1 is an empty directory, $2
# the disk, $3 the initramfs, an uncompressed cpio archive; the rest are the kernel's arguments.
_PREPARE = """
set -eu
place=$1 disk=$2 initramfs=$3
shift 3
mount -t tmpfs -o mode=0755 initramfs "$place"
cd "$place"
mkdir sysroot
mount -o loop "$disk" sysroot
for busybox in sysroot/ostree/deploy/*/deploy/*/usr/bin/busybox; do :; done # any of them works
"$busybox" cpio -i <"$initramfs"
mkdir -p dev proc run
mount --rbind /dev dev
mount -t proc proc proc
mount -t tmpfs -o mode=0755 run run
echo "$@" >run/cmdline
mount --bind run/cmdline proc/cmdline
chroot . /prepare "$@"
"""
# The unmount is not lazy, since the next boot mounts the disk again.
_UNMOUNT = """
for attempt in 1 2 3 4 5 6 7 8 9; do
    umount --recursive "$1" && exit
    sleep 0.1 # the last processes are still ending
done
exit 1
"""
# The guest sees the kernel's command line of this machine, but ostree reads its deployment from
# there. systemd itself uses the arguments of PID 1 instead of the kernel's, as in every container.
_INIT = """\
#!/bin/sh
mount --bind /run/initramfs-run/cmdline /proc/cmdline
exec /sbin/init "$@"
"""


class Deployment(Container):
    """A host that boots from a copy, in the directory ``state``, of the image ``disk``.

    The copy is created if it is missing, and outlives boots and the object. The harness acts as the
    boot loader: the host starts ostree's default entry. The host has no network.
    """

    def __init__(self, disk: Path, state: Path) -> None:
        super().__init__(state)
        self.disk = state / "disk.img"
        """The host's own disk; do not write to it while the host is on."""
        self._origin = disk
        self._place = state / "initramfs"
        self._opened: Namespace | None = None

    def open(self) -> None:
        """Copy the disk unless a copy exists; the host stays off."""
        self._place.mkdir(parents=True, exist_ok=True)
        if not self.disk.exists():
            part = self.disk.with_suffix(".part")
            copy_disk(self._origin, part)
            part.replace(self.disk)
        self._opened = container_namespace(self._cgroup)

    def boot(self, *, arguments: str = "", wait: bool = True, timeout: float = TIMEOUT) -> float:
        """Boot the disk's default entry; return the seconds that this took.

        ``arguments`` are added to the kernel's, for this boot. Returns as soon as scripts can run
        or, with ``wait``, when wait_until_up() does.
        """
        self._require_off()
        boot = default_boot(self.disk, self._path)
        words = [*boot.options.split(), *arguments.split()]
        places = (str(self._place), str(self.disk), str(boot.initrd))
        prepare = ["sh", "-c", _PREPARE, "prepare", *places, *words]
        with self.console.open("a") as console:
            console.write(self._namespace.execute(prepare).output)
        run = self._place / "run"
        init = Path(f"/proc/{self._namespace.pid}/root{run}", "init")
        init.write_text(_INIT)
        init.chmod(0o755)
        files = [f"--bind={run}/{name}:/run/{name}" for name in ("ostree-booted", "ostree")]
        return self._start(
            [
                *(f"--directory={self._place}/sysroot", *files),
                *(f"--bind-ro={run}:/run/initramfs-run", "--kill-signal=SIGRTMIN+3"),
                *("/run/initramfs-run/init", *words),
            ],
            wait=wait,
            timeout=timeout,
        )

    def reboot(self, *, arguments: str = "", wait: bool = True, timeout: float = TIMEOUT) -> float:
        """Shut the guest down and boot the new default entry; see boot()."""
        self._shut_down_for_reboot(timeout)
        return self.boot(arguments=arguments, wait=wait, timeout=timeout)

    def close(self) -> None:
        """Kill the guest; its disk stays."""
        if self._opened is not None:
            try:
                self.kill()
            finally:
                self._opened.close()
                self._opened = None

    @property
    def _namespace(self) -> Namespace:
        if self._opened is None:
            raise RuntimeError("the host is not open")
        return self._opened

    def _switched_off(self) -> None:
        self._namespace.execute(["sh", "-c", _UNMOUNT, "unmount", self._place])
        clear_group(self._namespace, self._cgroup)
