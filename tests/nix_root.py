"""nix-root.service with a fault in it: functions of bash in place of the programs that it calls."""

from tests.harness.system import System

ROOT_OFF = "nix_aurora.root=off"  # the kernel's argument that keeps a boot from moving
NO_OVERLAY = 'mount() { [[ $* != *lowerdir=/:* ]] || return 32; command mount "$@"; }'
_FAULT = "/usr/lib/harness/no-overlay.bash"
ADD_NO_OVERLAY = f"""
mkdir -p {_FAULT.rpartition("/")[0]}
cat >{_FAULT} <<'END'
[[ $0 != */nix-root ]] || {NO_OVERLAY}
END
"""
"""A script for a tree; then the kernel's argument has each boot refuse an overlay on /."""
REFUSE_OVERLAY = f"systemd.setenv=BASH_ENV={_FAULT}"
# bash reads the file before the script.
_BREAK = """
mkdir -p /etc/systemd/system/nix-root.service.d
printf '[Service]\\nEnvironment=BASH_ENV=/etc/fault\\n' \\
    >/etc/systemd/system/nix-root.service.d/fault.conf
printf '%s\\n' "$FUNCTIONS" >/etc/fault
systemctl daemon-reload
"""
_MEND = "rm -rf /etc/systemd/system/nix-root.service.d /etc/fault; systemctl daemon-reload"
_RUN_BY = """
mkdir -p /etc/systemd/system/nix-root.service.d
printf '%s\\n' '[Service]' Environment=BASH_ENV=/etc/fault ExecStart= \\
    "ExecStart=$COMMAND /usr/libexec/nix-aurora/nix-root" \\
    >/etc/systemd/system/nix-root.service.d/fault.conf
printf '%s\\n' "$FUNCTIONS" >/etc/fault
systemctl daemon-reload
"""


def break_nix_root(host: System, functions: str) -> None:
    """Have the unit's script see ``functions`` from its next start on."""
    host.run(_BREAK, env={"FUNCTIONS": functions})


def run_nix_root_by(host: System, command: str, functions: str = "") -> None:
    """Have ``command`` run the unit's script, which sees ``functions``, from its next start on."""
    host.run(_RUN_BY, env={"COMMAND": command, "FUNCTIONS": functions})


def mend_nix_root(host: System) -> None:
    """Take the fault away."""
    host.run(_MEND)
