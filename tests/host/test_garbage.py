"""Test that the collector deletes paths without a root, and nothing else."""

import pytest

from tests.harness.nspawn import Host
from tests.whole import IMPORT, add_program, build, check_whole

_DAEMON = "systemctl show --property=MainPID --value nix-daemon.service"


@pytest.fixture(scope="module")
def rooted(nix_host: Host) -> list[str]:
    """Return the store paths with links of tester as roots: at home, by both names, and on disks.

    The disks were mounted after the daemon had started. The daemon must see them, or it would treat
    their links as dangling, and remove its own.
    """
    build(nix_host)
    daemon = nix_host.run(_DAEMON).stdout
    nix_host.run(
        """
        mkdir -p /mnt/disk /media/disk /var/home/tester/mounted
        for disk in /mnt/disk /media/disk /var/home/tester/mounted; do
            mount -t tmpfs disk $disk
            chown tester: $disk
        done
        """
    )
    add_program(nix_host)
    links = [
        *("/home/tester/result", "/var/home/tester/another", "/var/tmp/result"),  # noqa: S108
        *("/mnt/disk/result", "/media/disk/result", "/var/home/tester/mounted/result"),
    ]
    paths = [build(nix_host, f"--out-link {link}") for link in links]
    assert nix_host.run(_DAEMON).stdout == daemon
    return paths


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("tester", "nix-collect-garbage -d"),
        ("root", "nix-collect-garbage -d"),
        ("root", "NIX_REMOTE=local nix-collect-garbage -d"),
        ("root", "systemctl restart nix-daemon.service; nix-collect-garbage -d"),
    ],
    ids=["by a user", "by root", "by root past the daemon", "after a restart of the daemon"],
)
def test_rooted_paths_survive(nix_host: Host, rooted: list[str], user: str, command: str) -> None:
    garbage = build(nix_host)
    done = nix_host.run_as(user, command)
    assert done.returncode == 0
    assert nix_host.run(f"test -e {garbage}", check=False).returncode == 1
    for path in rooted:
        nix_host.run(f"nix-store --check-validity {path}; test -s {path}")
    check_whole(nix_host)
    assert nix_host.run(IMPORT).output == ""


def test_path_is_collected_after_its_root_is_removed(nix_host: Host) -> None:
    path = build(nix_host, "--out-link /home/tester/given-up")
    nix_host.run("rm /home/tester/given-up; nix-collect-garbage")
    assert nix_host.run(f"test -e {path}", check=False).returncode == 1
