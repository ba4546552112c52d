"""Test traps that a user sets for root's doctor, and what root then sees."""

import re
import shlex
import time
from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host

_HOME = "/var/home/tester"
_SUDO = "sudo nix-aurora doctor"
# This text has a special meaning for a terminal, or for root's shell.
_FORGED = r"$'\e]0;title\a\e[2J\nerror: forged [x]\n  fix: touch pwned\n'"


# Run doctor, and print the peak of its memory in KiB.
_MEASURE = """
import subprocess, time
doctor = subprocess.Popen(["nix-aurora", "doctor"])
most = 0
while doctor.poll() is None:
    for line in open(f"/proc/{doctor.pid}/status"):
        if line.startswith("VmHWM:"):
            most = max(most, int(line.split()[1]))
    time.sleep(0.01)
print(most)
"""


@pytest.fixture
def host(nix_host: Host) -> Iterator[Host]:
    """Yield a host whose users' homes are private again after the test."""
    nix_host.run(f"cp -a {_HOME} /tmp/kept")
    yield nix_host
    nix_host.run(f"find {_HOME} -mindepth 1 -delete; cp -a /tmp/kept/. {_HOME}; rm -r /tmp/kept")


def _looked_at_by_root(host: Host, *, seconds: float = 90) -> str:
    """Return the output of doctor for an administrator who runs it with sudo as the attacker."""
    start = time.monotonic()
    result = host.run_as("tester", _SUDO, login=False, check=False, timeout=seconds)
    assert time.monotonic() - start < seconds
    assert "Traceback" not in result.output
    assert all(line.isprintable() for line in result.output.splitlines()), result.output
    return result.stdout


def _fixes(said: str) -> list[str]:
    return re.findall(r"^  fix: (.*)$", said, re.MULTILINE)


@pytest.mark.parametrize(
    "line",
    [
        'x "/etc/nsswitch.conf" y',
        "x '/etc/nsswitch.conf' in \"/etc/nix/nix.conf\"",
        'include "/etc/nsswitch.conf"',
        "include /etc/nsswitch.conf",
        "cores = '/etc/nsswitch.conf'",
    ],
)
def test_a_users_settings_name_no_file_to_root(host: Host, line: str) -> None:
    """S3: the fix changes the user's own file, and runs as that user."""
    before = host.read("/etc/nsswitch.conf")
    host.run_as(
        "tester",
        f"mkdir -p ~/.config/nix; printf '%s\\n' {shlex.quote(line)} >~/.config/nix/nix.conf",
    )
    said = _looked_at_by_root(host)
    (fix,) = _fixes(said)
    assert fix.startswith("sudo -u tester bash -c ")
    assert "/etc/" not in fix
    host.run(fix)
    assert host.read("/etc/nsswitch.conf") == before
    assert "all is well" in _looked_at_by_root(host)


def test_text_of_a_user_cannot_control_a_terminal(host: Host) -> None:
    """S5: settings, values of NIX_REMOTE and names of files contain escapes and forged lines."""
    host.run_as(
        "tester",
        f"""
        mkdir -p ~/.config/environment.d ~/.config/nix
        printf 'NIX_REMOTE=%s\\n' {_FORGED} >~/.config/environment.d/{_FORGED}.conf
        printf 'NIX_REMOTE=\\033]0;title\\007x\\n' >>~/.profile
        printf 'cores = \\033[2J\\n' >~/.config/nix/nix.conf
        """,
    )
    for command in ("doctor", "doctor --json", "status", "status --json"):
        result = host.run_as("tester", f"sudo nix-aurora {command}", login=False, check=False)
        assert all(line.isprintable() for line in result.output.splitlines())
        assert "\nerror: forged" not in result.output
    said = _looked_at_by_root(host)
    assert r"\x1b]0;title\x07" in said
    assert all(fix.startswith("sudo -u tester bash -c ") for fix in _fixes(said))


@pytest.mark.parametrize(
    "trap",
    [
        "mkfifo ~/.pam_environment",
        "ln -s /dev/zero ~/.pam_environment",
        "truncate --size=8T ~/.pam_environment",
        "rm ~/.bash_profile; mkfifo ~/.bash_profile",
        "rm -r ~/.config; mkfifo ~/.config",
        "mkdir -p ~/.config; ln -s /proc/kmsg ~/.config/environment.d",
        "echo 'cat /dev/zero' >>~/.bash_profile",
        "echo 'cat /dev/zero >&2' >>~/.bash_profile",
        "echo 'x=$(cat /dev/zero | tr \"\\0\" x)' >>~/.bash_profile",
        "echo 'yes' >>~/.zlogin",
    ],
)
def test_nothing_in_a_home_blocks_doctor_or_fills_its_memory(host: Host, trap: str) -> None:
    """S6: time and memory are limited for pipes, devices, endless files and endless output."""
    host.run_as("tester", trap, login=False)
    measured = shlex.join(["sudo", "python3", "-c", _MEASURE])
    said = host.run_as("tester", measured, login=False, timeout=120).output
    assert "Traceback" not in said
    assert "nix-aurora doctor: " in said
    assert int(said.splitlines()[-1]) < 200_000  # in KiB; without a trap the peak is 40,000
    host.run("! pgrep -u tester -x cat; ! pgrep -u tester -x yes")


def test_a_link_out_of_the_home_reveals_nothing(host: Host) -> None:
    host.run("echo 'NIX_REMOTE=secret' >/root/secret; chmod 600 /root/secret")
    host.run_as("tester", "ln -sf /root/secret ~/.pam_environment; ln -sf ../../root ~/.config")
    assert "secret" not in _looked_at_by_root(host)
    host.run("rm /root/secret")


@pytest.mark.parametrize(
    "name", ["a; touch pwned", "$(touch pwned)", "`touch pwned`", "a'; touch pwned; '", "-n\n.sh"]
)
def test_name_of_a_file_runs_nothing(host: Host, name: str) -> None:
    """S7: the fix runs as the file's owner, and uses the name as one word."""
    path = f"{_HOME}/.config/environment.d/{name}.conf"
    host.run_as(
        "tester",
        f"mkdir -p ~/.config/environment.d; echo NIX_REMOTE=local >{shlex.quote(path)}",
        login=False,
    )
    (fix,) = _fixes(_looked_at_by_root(host))
    host.run(f"cd /run; {fix}")
    assert "all is well" in _looked_at_by_root(host)
    assert host.read(path) == "# NIX_REMOTE=local\n"
    assert host.run(f"find / -xdev -name pwned; find /var {_HOME} -xdev -name pwned").stdout == ""


def test_planted_name_in_a_directory_of_roots_runs_nothing(host: Host) -> None:
    path = "/etc/profile.d/a b; touch pwned.sh"
    host.run(f"echo export NIX_REMOTE=local >{shlex.quote(path)}")
    (fix,) = _fixes(_looked_at_by_root(host))
    host.run(f"cd /run; {fix}; [ ! -e pwned.sh ]")
    assert "all is well" in _looked_at_by_root(host)
    host.run("rm /etc/profile.d/a*")
