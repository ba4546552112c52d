"""The collector takes what nobody has rooted, and nothing else."""

from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.host.conftest import NixTreeMaker, PackageMaker
from tests.host.store import Store, prepare
from tests.host.whole import IMPORT, add_program, build, check_whole

_DAEMON = "systemctl show --property=MainPID --value nix-daemon.service"


@pytest.fixture(scope="module")
def rooted(nix_host: Host) -> list[str]:
    """Give the store paths that tester has rooted by links: at home, by both names, and on disks.

    The disks were mounted after the daemon had started. It sees them nevertheless, or it would
    take their links for dangling ones and remove its own.
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
def test_what_is_rooted_survives(
    nix_host: Host, rooted: list[str], user: str, command: str
) -> None:
    garbage = build(nix_host)
    done = nix_host.run_as(user, command)
    assert done.returncode == 0
    assert nix_host.run(f"test -e {garbage}", check=False).returncode == 1
    for path in rooted:
        nix_host.run(f"nix-store --check-validity {path}; test -s {path}")
    check_whole(nix_host)
    assert nix_host.run(IMPORT).output == ""


def test_a_root_that_is_given_up_is_collected(nix_host: Host) -> None:
    path = build(nix_host, "--out-link /home/tester/given-up")
    nix_host.run("rm /home/tester/given-up; nix-collect-garbage")
    assert nix_host.run(f"test -e {path}", check=False).returncode == 1


# --- during an import, in a root that is not booted


@pytest.fixture(scope="module")
def prepared(make_nix_tree: NixTreeMaker, package: PackageMaker) -> Iterator[Store]:
    """Give a root in which 2.34 is to be imported over 2.26, once."""
    with make_nix_tree("trixie").scratch() as scratch:
        yield prepare(scratch, package("forky"))


@pytest.fixture
def store(prepared: Store) -> Store:
    """Give it in its first state."""
    prepared.restore()
    return prepared


def test_collections_go_on_during_an_import(store: Store) -> None:
    """One after the other, from before it to after it, four times."""
    for _ in range(4):
        store.restore()
        done = store.scratch.run(
            f"""
            export NIX_REMOTE=local
            : >/run/collections
            while [ ! -e /run/stop ]; do
                "$OLDER/bin/nix-collect-garbage" -d >/run/log 2>&1 || cat /run/log
                echo >>/run/collections
            done &
            until [ -s /run/collections ]; do sleep 0.01; done
            before=$(wc -l </run/collections)
            {IMPORT}
            after=$(wc -l </run/collections)
            touch /run/stop
            wait
            rm /run/stop
            echo "collections: $((after - before))"
            """,
            env={"OLDER": store.older},
        )
        print(done.stdout)
        assert int(done.stdout.rsplit(": ", 1)[1]) >= 1
        store.check_whole()


def test_a_collection_between_the_look_and_the_lock(store: Store) -> None:
    """It takes what the import has found to be there: the import unpacks that, too."""
    store.run_import()
    store.scratch.run(
        """
        rm -r /nix/var/nix/gcroots/nix-aurora /nix/var/nix/profiles/default*
        rm /nix/.nix-aurora/imported
        """
    )
    # The Nix that collects is the older one, which roots itself by running.
    collect = 'NIX_REMOTE=local nice "$CLOSURE_NIX/bin/nix-collect-garbage" -d >/dev/null 2>&1'
    done = store.run_import(ACTION=collect, COMMAND="lock_collector")
    assert "62 of 62 store paths were missing" in done.stdout
    store.check_whole()


def test_an_import_waits_for_a_collection(store: Store) -> None:
    """Nix's own lock tells."""
    done = store.scratch.run(
        f"""
        exec 7>>/nix/var/nix/gc.lock
        flock 7
        {IMPORT} >/run/said 2>&1 7>&- &
        until grep -q "a garbage collection is running: waiting for it" /run/said; do
            sleep 0.01
        done
        . /usr/lib/nix-aurora/closure.env
        [ ! -e $CLOSURE_NIX ]
        exec 7>&-
        wait $!
        cat /run/said
        """
    )
    assert "62 of 62 store paths were missing" in done.stdout
    store.check_whole()
