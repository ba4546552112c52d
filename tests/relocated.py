"""Switch a host to the relocated layout and back, and check that it works."""

from tests.harness.system import System
from tests.whole import build, derivation

ASK = "echo STORE_LAYOUT=relocated >>/etc/nix-aurora.conf"
ASK_NO_MORE = "sed -i /^STORE_LAYOUT=relocated/d /etc/nix-aurora.conf"
# This has the effect of a boot.
RESTART = """
systemctl stop nix-daemon.service nix-daemon.socket
systemctl restart nix-layout.service nix.mount run-nix-store.mount nix-setup.service
systemctl start nix-daemon.socket
"""
_CONF = "/etc/nix/nix.custom.conf"


def check_builders(host: System) -> None:
    """Fail unless builds run although the configured remote builder is unreachable.

    A hook that cannot start would make every build fail.
    """
    saved = host.read(_CONF)
    try:
        host.run(
            f"printf '%s\\n' 'builders = ssh://nowhere x86_64-linux' 'max-jobs = 1' >>{_CONF}\n"
            "systemctl restart nix-daemon.service"
        )
        build(host)
        host.run(
            "NIX_REMOTE=local nix build --impure --no-link --expr " + derivation("echo text >$out")
        )
    finally:
        host.run(f"cat >{_CONF} <<'END'\n{saved}END\nsystemctl restart nix-daemon.service")


def check_collection(host: System, user: str, command: str) -> None:
    """Fail unless a collection keeps a running program and tester's roots, and deletes the rest."""
    rooted = build(host, "--out-link /home/tester/kept")
    program = host.run_as(
        "tester",
        "nix build --no-link --impure --print-out-paths --expr "
        + derivation("cat /bin/sh >$out; chmod +x $out"),
    ).stdout.strip()
    host.run(f"(exec -a sleep {program} 600) </dev/null >/dev/null 2>&1 & echo $! >/run/sleeping")
    garbage = build(host)
    host.run_as(user, command)
    assert host.run(f"test -e {garbage}", check=False).returncode == 1
    for path in (rooted, program):
        host.run(f"nix-store --check-validity {path}; test -s {path}")
    host.run("kill $(cat /run/sleeping)")
    host.run_as(user, command)
    assert host.run(f"test -e {program}", check=False).returncode == 1
    host.run(f"nix-store --check-validity {rooted}; test -s {rooted}")
