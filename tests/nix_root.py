"""nix-root.service with a fault in it: functions of bash in place of the programs that it calls."""

from tests.harness.system import System

NO_OVERLAY = 'mount() { [[ $* != *overlay* ]] || return 32; command mount "$@"; }'
# bash reads the file before the script.
_BREAK = """
mkdir -p /etc/systemd/system/nix-root.service.d
printf '[Service]\\nEnvironment=BASH_ENV=/etc/fault\\n' \\
    >/etc/systemd/system/nix-root.service.d/fault.conf
printf '%s\\n' "$FUNCTIONS" >/etc/fault
systemctl daemon-reload
"""
_MEND = "rm -r /etc/systemd/system/nix-root.service.d /etc/fault; systemctl daemon-reload"


def break_nix_root(host: System, functions: str) -> None:
    """Have the unit's script see ``functions`` from its next start on."""
    host.run(_BREAK, env={"FUNCTIONS": functions})


def mend_nix_root(host: System) -> None:
    """Take the fault away."""
    host.run(_MEND)
