"""The container in which rpm-ostree runs commands and scriptlets inside the assembled tree."""

import shlex
from enum import Enum
from pathlib import Path

from nix_aurora.errors import ToolError
from tests.harness.scratch import Scratch

WORK = "/run/rpm-ostree"  # the place of Root.work in the tree
_TOP_LINKS = ("lib", "lib32", "lib64", "bin", "sbin")  # bwrap.rs:23 USR_LINKS
_ENVIRONMENT = ("LANG=C", "PATH=/usr/sbin:/usr/bin")  # bwrap.rs:25 PATH_VAR, :179 new
# bwrap.rs:28 ADDED_CAPABILITIES; all others are dropped.
_CAPABILITIES = (
    *("cap_chown", "cap_dac_override", "cap_fowner", "cap_fsetid", "cap_kill", "cap_setgid"),
    *("cap_setuid", "cap_setpcap", "cap_sys_chroot", "cap_setfcap"),
)
_READ_ONLY = ("/sys/block", "/sys/bus", "/sys/class", "/sys/dev", "/sys/devices")  # bwrap.rs:43
# bwrap.rs:179 new.
_BWRAP = (
    *("bwrap", "--dev", "/dev", "--proc", "/proc", "--dir", "/run"),
    *("--dir", "/tmp"),  # noqa: S108 - not this machine's
    *("--chdir", "/", "--die-with-parent", "--unshare-pid", "--unshare-uts", "--unshare-ipc"),
    *("--unshare-cgroup-try", *(word for path in _READ_ONLY for word in ("--ro-bind", path, path))),
    *("--unshare-net", "--cap-drop", "ALL"),
    *(word for name in _CAPABILITIES for word in ("--cap-add", name)),
)
_MOUNTS = f"{WORK}.rofiles"
# $1 is whether rofiles-fuse shows /usr and /etc: bwrap.rs:85 RoFilesMount::new.
_RUN = f"""
mounted=$1
shift
[ -e /dev/fuse ] || mknod -m 0666 /dev/fuse c 10 229
mkdir -p {_MOUNTS}/usr {_MOUNTS}/etc
if [ "$mounted" = yes ]; then
    rofiles-fuse --copyup usr {_MOUNTS}/usr
    rofiles-fuse --copyup etc {_MOUNTS}/etc
fi
code=0
env -i "$@" || code=$?
[ "$mounted" = no ] || umount {_MOUNTS}/usr {_MOUNTS}/etc
exit "$code"
"""


class Mutability(Enum):
    """The access of a command to /usr and /etc: bwrap.rs:282 new_with_mutability."""

    IMMUTABLE = ("--ro-bind", "usr", "/usr", "--ro-bind", "etc", "/etc")
    ROFILES = ("--bind", f"{_MOUNTS}/usr", "/usr", "--bind", f"{_MOUNTS}/etc", "/etc")
    FREE = ("--bind", "usr", "/usr", "--bind", "etc", "/etc")


class Root:
    """A tree during its assembly, in a scratch root.

    ``work`` is a directory of this machine that is at ``WORK`` in the scratch root.
    """

    def __init__(self, scratch: Scratch, work: Path) -> None:
        self.scratch = scratch
        self.work = work
        found = scratch.run(f"cd /; find {' '.join(_TOP_LINKS)} -maxdepth 0 -type l", check=False)
        self._links = [
            word
            for name in found.stdout.split()
            for word in ("--symlink", f"usr/{name}", f"/{name}")
        ]

    def run(self, command: str, *, mutability: Mutability, write_var: bool = False) -> str:
        """Run a command of the tree, and return its output: bwrap.rs:481 bubblewrap_run_sync."""
        var = ("--bind" if write_var else "--ro-bind", "var", "/var")
        return self.contain(shlex.split(command), mutability, var)

    def contain(
        self,
        command: list[str],
        mutability: Mutability,
        arguments: tuple[str, ...],
        *,
        environment: tuple[str, ...] = (),
        stdin: str = "/dev/null",
        descriptors: str = "",
    ) -> str:
        """Run a command in the container, with ``arguments`` for bubblewrap before it.

        ``stdin`` and ``descriptors`` (shell redirections) are opened outside of the container.
        Returns the output; raises ToolError with rpm-ostree's message and the output on failure.
        """
        bwrap = [*_BWRAP, *self._links, *mutability.value, *arguments]
        mounted = "yes" if mutability is Mutability.ROFILES else "no"
        words = [mounted, *_ENVIRONMENT, *environment, *bwrap, *command]
        script = f"{{ set -- {shlex.join(words)}\n{_RUN} }} 2>&1 <{stdin} {descriptors}"
        done = self.scratch.run(script, check=False)
        if done.returncode != 0:
            raise ToolError(
                f"bwrap({command[0]}): Child process exited with code {done.returncode}\n"
                f"{done.output}"
            )
        return done.stdout
