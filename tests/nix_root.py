"""Make nix-root.service build the second kind of root, or make its system calls fail."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.harness.strace import copy_strace
from tests.harness.system import System

ROOT_OFF = "nix_aurora.root=off"  # this kernel argument disables the move for one boot
_AVOIDED = "/etc/nix-aurora.root-avoid"
_AVOID = f'echo "overlay $(uname -r)" >{_AVOIDED}'
ADD_CHOICE = f"""
place=/usr/lib/systemd/system/nix-root.service.d
mkdir -p $place /usr/lib/harness
printf '[Service]\nExecStartPre=/usr/bin/bash /usr/lib/harness/choose-kind\n' >$place/choose.conf
cat >/usr/lib/harness/choose-kind <<'END'
[ "${{NIX_ROOT_KIND-}}" != binds ] || {_AVOID}
END
"""
"""A script that makes boots of a tree skip the overlay with the kernel argument TAKE_BINDS."""
TAKE_BINDS = "systemd.setenv=NIX_ROOT_KIND=binds"
_STRACE = "/etc/strace"
_RUN_BY = """
mkdir -p /etc/systemd/system/nix-root.service.d
printf '%s\n' '[Service]' ExecStart= "ExecStart=$COMMAND /usr/libexec/nix-aurora/nix-root" \
    >/etc/systemd/system/nix-root.service.d/strace.conf
systemctl daemon-reload
"""
_MEND = f"rm -rf /etc/systemd/system/nix-root.service.d {_STRACE}; systemctl daemon-reload"
_ROOT = "/run/nix-root/root"

REFUSE_OVERLAY = f"-P {_ROOT} -e inject=mount:error=EINVAL:when=1"
REFUSE_BIND = f"-P {_ROOT}/run -e inject=mount:error=EPERM"
FORGET_BIND = f"-P {_ROOT}/run -e inject=mount:retval=0"
REFUSE_SYNC = "-e inject=fsync:error=EIO"
REFUSE_PIVOT = "-e inject=pivot_root:error=EINVAL"
KILL_WHILE_BINDING = f"-P {_ROOT}/run -e inject=mount:signal=KILL"
KILL_BEFORE_PIVOT = "-e inject=pivot_root:signal=KILL"
KILL_AFTER_PIVOT = "-e inject=umount2:signal=KILL:when=1"
"""Options for strace that make a call of nix-root fail. FORGET_BIND skips it without an error."""


def avoid_overlay(host: System) -> None:
    """Make the next boots skip the overlay, as after boots that failed with it."""
    host.run(_AVOID)


def allow_overlay(host: System) -> None:
    """Let the next boots try the overlay again."""
    host.run(f"rm -f {_AVOIDED}")


def trace_nix_root(host: System, words: str) -> None:
    """Make strace, with these words, run nix-root from its next start on."""
    with TemporaryDirectory() as place:
        strace = copy_strace(Path(place), _STRACE)
        host.copy_in(Path(place), _STRACE)
    host.run(_RUN_BY, env={"COMMAND": f"{strace} -qq {words}"})


def break_nix_root(host: System, fault: str) -> None:
    """Make the system calls of nix-root in ``fault`` fail from its next start on."""
    trace_nix_root(host, f"-o /dev/null {fault}")


def mend_nix_root(host: System) -> None:
    """Remove the fault."""
    host.run(_MEND)
