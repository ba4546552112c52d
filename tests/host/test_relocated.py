"""Test the relocated layout: Nix with a store on /run/nix/store, as in the seed plan."""

import json
from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.host.doctor import cure, doctor
from tests.host.drivers import LINK, nixpkgs
from tests.host.expressions import copy_expressions
from tests.host.store import STEP, Store
from tests.packages import PackageMaker
from tests.relocated import ASK, ASK_NO_MORE, RESTART, check_builders, check_collection
from tests.whole import (
    IMPORT,
    WHOLE_RELOCATED,
    add_program,
    build,
    check_clean,
    check_profile,
    check_whole,
    count_packaged,
    derivation,
    physical,
)

_COMMANDS = (
    *("nix", "nix-build", "nix-channel", "nix-collect-garbage", "nix-env", "nix-hash"),
    *("nix-instantiate", "nix-shell", "nix-store"),
)
_PROFILE = "/var/home/tester/.local/state/nix-relocated/profile"


@pytest.fixture(scope="module")
def before(make_nix_tree: NixTreeMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a host without /nix, whose users have used the namespace layout."""
    place = tmp_path_factory.mktemp("relocated")
    tree = make_nix_tree(nix_dir=False, layout="namespace")
    with Host(tree, place / "host") as host:
        (place / "files").mkdir()
        copy_expressions(host, place / "files")
        add_program(host)
        build(host, "--out-link result")
        yield host


@pytest.fixture(scope="module")
def host(before: Host) -> Host:
    """Return the host after a boot with the relocated layout."""
    before.run(ASK)
    before.reboot()
    return before


# --- a boot


def test_boot_in_the_relocated_layout_is_whole(host: Host) -> None:
    assert host.read("/run/nix-aurora/layout") == "relocated\n"
    assert (
        host.run("findmnt --noheadings --output FSROOT,OPTIONS /run/nix/store")
        .stdout.split()[0]
        .endswith("/lib/nix/relocated/store")
    )
    host.run("[ /run/nix/store -ef /var/lib/nix/relocated/store ] && [ ! -e /nix ]")
    journal = host.journal("nix-setup.service")
    assert "64 of 64 store paths were missing" in journal
    add_program(host)
    check_whole(host)


def test_lost_database_is_restored_from_its_copy(host: Host) -> None:
    path = build(host, "--out-link kept")
    host.run(
        """
        systemctl start nix-database-backup.service
        systemctl stop nix-daemon.service
        rm -r /var/lib/nix/relocated/var/nix/db
        systemctl restart nix-setup.service
        """
    )
    assert "the content of every store path is as it was" in host.journal("nix-setup.service")
    assert host.run(f"nix-store --check-validity {path}").returncode == 0
    check_whole(host)


def test_unreadable_schema_is_found_and_cured(host: Host) -> None:
    """The import corrects a file without a number, and recover replaces a newer database."""
    schema = "/var/lib/nix/relocated/var/nix/db/schema"
    own = "/var/lib/nix/relocated/.nix-aurora"
    host.run("systemctl start nix-database-backup.service")
    for content, kind in (("x", "database-schema"), ("11", "database-newer")):
        host.run(f"systemctl stop nix-daemon.service; printf {content} >{schema}")
        found = doctor(host, "root")
        assert [finding["id"] for finding in found] == [kind]
        cure(host, found, "root")
        assert host.read(schema) == "10"
    host.run(f"[ $(cat {own}/aside/*/db/schema) = 11 ]; rm -rf {own}/aside")
    check_whole(host)


def test_later_boot_imports_nothing(host: Host) -> None:
    stamp = "stat --format=%y /var/lib/nix/relocated/.nix-aurora/*"
    first = host.run(stamp).stdout
    assert host.run(IMPORT).output == ""
    host.run("systemctl restart nix-setup.service")
    assert host.run(stamp).stdout == first


def test_host_whose_users_read_the_closed_directory_is_upgraded(host: Host) -> None:
    """Earlier packages put closure/ into that directory; the same closure is not imported again."""
    host.run(
        "cd /var/lib/nix/relocated; chmod 0755 .nix-aurora; mv closure/* .nix-aurora/\n"
        "rmdir closure; systemctl restart nix-setup.service"
    )
    assert host.run("stat --format=%a /var/lib/nix/relocated/.nix-aurora").stdout == "700\n"
    assert "0 of 64 store paths were missing" in host.journal("nix-setup.service")
    check_whole(host)
    assert host.run(IMPORT).output == ""


def test_status_names_its_limits(host: Host) -> None:
    for user in ("tester", "root"):
        text = host.run_as(user, "nix-aurora status").stdout
        assert "relocated: /var/lib/nix/relocated/store, on /run/nix/store\n" in text
        assert "no binary cache of /nix/store; everything is built here, from source" in text
        assert "no devbox" in text
        assert max(map(len, text.splitlines())) <= 100
    env = dict(
        line.split("=", 1) for line in host.read("/usr/lib/nix-aurora/closure.env").splitlines()
    )
    host.run("systemctl start nix-daemon.service")
    state = json.loads(host.run_as("other", "nix-aurora status --json").stdout)
    assert (state["layout"], state["nix"]) == ("relocated", "ours")
    assert any("binary cache" in limit for limit in state["limits"])
    assert any("devbox" in limit for limit in state["limits"])
    nix = f"/run{env['CLOSURE_NIX']}"
    assert state["packaged"]["nix"] == state["commands_run"] == nix
    assert state["daemon"]["program"] == f"{nix}/bin/nix-daemon"
    assert state["imported"] == {"id": None, "current": True}  # the stamp is only for root
    of_root = json.loads(host.run("nix-aurora status --json").stdout)
    assert of_root["imported"] == {"id": env["CLOSURE_ID"], "current": True}
    assert list(state["sockets"].values()) == [True, True]
    assert state["store"]["paths"] >= count_packaged(host)


def test_doctor_finds_the_layout_healthy_and_names_how_to_leave_it(host: Host) -> None:
    for user in ("tester", "root"):
        told = json.loads(host.run_as(user, "nix-aurora doctor --json").stdout)
        found = {finding["id"]: finding for finding in told["findings"]}
        assert told["well"], found
        assert "builds everything from source" in found["layout-relocated"]["message"]
        assert "/etc/nix-aurora.conf" in found["layout-relocated"]["fix"]


def test_missing_file_is_named_with_its_cure(host: Host) -> None:
    host.run("systemctl stop nix-daemon.service nix-daemon.socket run-nix-store.mount")
    found = json.loads(host.run("nix-aurora doctor --json", check=False).stdout)["findings"]
    fix = {finding["id"]: finding["fix"] for finding in found}["store-not-mounted"]
    host.run_as("tester", fix)
    assert "store-not-mounted" not in host.run("nix-aurora doctor", check=False).stdout
    host.run("systemctl stop nix-daemon.service nix-daemon.socket run-nix-store.mount")
    result = host.run_as("tester", "nix --version", check=False)
    assert result.returncode == 1
    first, hint = result.stderr.splitlines()
    assert first == "nix: cannot start: the store is not mounted on /run/nix/store"
    host.run_as("tester", hint.removeprefix("hint: "))
    host.run("systemctl start nix-daemon.socket")
    assert host.run_as("tester", "nix --version").stdout == "nix (Nix) 2.34.8\n"


# --- users


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_installed_program_starts_by_its_bare_name(host: Host, shell: str) -> None:
    add = f"nix profile install --file /srv/greet.nix --argstr name of-{shell}"
    host.run_as("tester", add, shell=shell)
    show = "printenv PATH NIX_PROFILES XDG_DATA_DIRS NIX_STORE_DIR NIX_DAEMON_SOCKET_PATH"
    result = host.run_as("tester", f"of-{shell}; {show}; printenv", shell=shell)
    greeting, path, profiles, data, store, socket, *everything = result.stdout.splitlines()
    assert greeting == f"greeting from of-{shell}"
    assert path.split(":")[0] == f"{_PROFILE}/bin"
    assert profiles == _PROFILE
    assert data.endswith(f":{_PROFILE}/share")
    assert (store, socket) == ("/run/nix/store", "/var/lib/nix/daemon-socket/socket")
    # The environment has no directories of other layouts, no broken path, and no library path for
    # host programs.
    assert not any("/nix/var" in line for line in everything)
    assert not any(line.startswith("LD_") for line in everything)
    host.run_as("tester", f"test -d {path.split(':')[0]}")


def test_desktop_session_has_the_environment(host: Host) -> None:
    host.linger("tester")
    session = "systemctl --user daemon-reexec; systemctl --user show-environment"
    told = host.run_as("tester", session).stdout.splitlines()
    assert "NIX_STORE_DIR=/run/nix/store" in told
    assert "NIX_DAEMON_SOCKET_PATH=/var/lib/nix/daemon-socket/socket" in told
    assert any(line.startswith(f"PATH={_PROFILE}/bin:") for line in told)
    assert not any(line.startswith("LD_") for line in told)


@pytest.mark.parametrize("command", _COMMANDS)
def test_each_command_runs_by_its_plain_name(host: Host, command: str) -> None:
    for by in ("", "sudo -n "):
        result = host.run_as("tester", f"{by}{command} --version")
        assert (result.stdout, result.stderr) == (f"{command} (Nix) 2.34.8\n", "")


def test_graphics_drivers_of_this_store_are_linked(host: Host) -> None:
    host.run(nixpkgs(version="1.0"))
    host.run_as("tester", "sudo nix-aurora gpu enable path:/var/srv/nixpkgs#mesa")
    host.run(f"readlink {LINK} | grep ^/run/nix/store/; cat {LINK}/share/vulkan/icd.d/*.json")
    assert json.loads(host.run("nix-aurora gpu status --json").stdout)["faults"] == []
    host.run(f"nix-collect-garbage; [ -e {LINK}/lib ]; nix-aurora gpu disable; [ ! -L {LINK} ]")


def test_children_of_nix_have_no_library_path(host: Host) -> None:
    script = """
    nix shell --file /srv/greet.nix -c sh -c 'greet; printenv'
    NIX_BUILD_SHELL=/bin/bash nix-shell /srv/greet.nix --run 'echo "$greeting"; printenv'
    nix-build /srv/greet.nix --no-out-link >/dev/null && nix-env --version
    """
    lines = host.run_as("tester", script).stdout.splitlines()
    assert {"greeting from greet", "from greet", "nix-env (Nix) 2.34.8"} <= set(lines)
    assert not any(line.startswith("LD_") for line in lines)


def test_root_uses_the_daemon_or_the_store_directly(host: Host) -> None:
    info = host.run_as("tester", "sudo -n nix store info --json").stdout
    assert '"trusted":true' in info
    assert '"url":"daemon"' in info
    expression = derivation("echo content >$out")
    direct = f"NIX_REMOTE=local nix build --impure --print-out-paths --no-link --expr {expression}"
    path = host.run(direct).stdout.strip()
    assert path.startswith("/run/nix/store/")
    assert host.read(path) == "content\n"


def test_unreachable_builders_break_no_build(host: Host) -> None:
    check_builders(host)


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("tester", "nix-collect-garbage"),
        ("root", "nix-collect-garbage -d"),
        ("root", "NIX_REMOTE=local nix-collect-garbage -d"),
        ("root", "systemctl start nix-gc.service"),
    ],
    ids=["by a user", "by root", "by root past the daemon", "by the timer's service"],
)
def test_collection_spares_running_programs_and_roots(host: Host, user: str, command: str) -> None:
    check_collection(host, user, command)
    check_whole(host)
    assert host.run(IMPORT).output == ""


# --- changes of the layout


def test_namespace_layout_is_unchanged_after_the_relocated_layout(host: Host) -> None:
    """The paths of each layout exist again, and neither layout has changed the other's."""
    path = build(host, "--out-link /home/tester/of-relocated")
    host.run(ASK_NO_MORE)
    host.reboot()
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    assert host.run("[ -e /run/nix ]", check=False).returncode == 1
    check_whole(host)
    assert host.run_as("tester", "nix-store --check-validity ./result").returncode == 0
    host.run("nix-collect-garbage -d")
    check_profile(host)
    assert host.run_as("tester", "nix-store --check-validity ./result").returncode == 0

    host.run(f"{ASK}\n{RESTART}")
    assert host.read("/run/nix-aurora/layout") == "relocated\n"
    check_whole(host)
    host.run(f"nix-store --check-validity {path}; test -s {path}")


def test_mount_layout_is_unchanged_after_the_relocated_layout(
    make_nix_tree: NixTreeMaker, make_host: HostMaker
) -> None:
    host = make_host(make_nix_tree("trixie"))
    host.boot()
    add_program(host)
    rooted = build(host, "--out-link /home/tester/result")

    host.run(f"{ASK}\n{RESTART}")
    assert host.read("/run/nix-aurora/layout") == "relocated\n"
    host.run("! mountpoint --quiet /nix")
    add_program(host)
    other = build(host, "--out-link /home/tester/other")
    check_whole(host)

    host.reboot(make_nix_tree("forky"))
    assert "64 of 64 store paths were missing" in host.journal("nix-setup.service")
    check_whole(host)
    host.run("nix-collect-garbage -d")
    host.run(f"nix-store --check-validity {other}")
    check_whole(host)

    host.run(ASK_NO_MORE)
    host.reboot()
    assert host.read("/run/nix-aurora/layout") == "mount\n"
    check_whole(host)
    host.run(f"nix-store --check-validity {rooted}; test -s {rooted}; test -s {physical(other)}")

    host.run(f"{ASK}\n{RESTART}")
    check_whole(host)
    result = host.run("nix-aurora purge --yes")
    assert "/var/home/tester/.local/state/nix-relocated\n" in result.stderr
    host.run("[ ! -e /var/lib/nix ] && ! mountpoint --quiet /run/nix/store")
    line = next(line for line in result.stderr.splitlines() if "systemctl start" in line)
    host.run_as("tester", line.strip())
    told = host.run("nix-aurora doctor").stdout
    assert told.endswith("nix-aurora doctor: all is well\n")


# --- the import


_PREPARE = f"""
mkdir -p /var/lib/nix/relocated/store /var/roothome /var/home
{ASK}
/usr/libexec/nix-aurora/layout
systemd-tmpfiles --create nix-aurora.conf
mount --bind /var/lib/nix/relocated/store /run/nix/store
{IMPORT}
echo content >/run/mine
path=$(NIX_REMOTE=local nix-store --add /run/mine)
ln -s "$path" /var/lib/nix/relocated/var/nix/gcroots/mine
"""
_SAVE = "cp -a /var/lib/nix/relocated /var/saved"
# The directory of the store stays, since it is the source of the mount.
_RESTORE = """
cd /var/lib/nix/relocated
find store .nix-aurora var -mindepth 1 -delete
cp -a /var/saved/. .
"""
_STILL_WORKS = """
export NIX_REMOTE=local
nix-store --version
nix-store --check-validity $(readlink /var/lib/nix/relocated/var/nix/gcroots/{mine,nix-aurora/nix})
[ "$(cat /var/lib/nix/relocated/var/nix/gcroots/mine)" = content ]
"""
# The import is killed before this step, as step.py defines it.
_POINTS = {
    "before cloning": "run.stage",
    "while cloning": "clone.clone:20",
    "staged": "syscalls.sync",
    "synced": "run.collector_lock",
    "while renaming": "syscalls.rename_new:30",
    "before registering": "nix.load",
    "registered": "relocated.describe:1",
    "described": "roots.add_roots",
    "while rooting": "roots.add_root:1",
    "rooted": "state.prepare",
}


@pytest.fixture(scope="module")
def upgraded(make_nix_tree: NixTreeMaker, package: PackageMaker) -> Iterator[Store]:
    """Yield a root where 2.26 is imported, relocated, and the package of 2.34 is installed."""
    with make_nix_tree("trixie", nix_dir=False).scratch() as scratch:
        scratch.copy_in(STEP, "/run/step.py")
        scratch.run(_PREPARE)
        scratch.copy_in(package("forky"), "/run/newer.rpm")
        scratch.run(f"rpm --upgrade --nosignature /run/newer.rpm\n{_SAVE}")
        yield Store(scratch, "")


@pytest.mark.parametrize("point", _POINTS)
def test_killed_import_is_finished_by_the_next(upgraded: Store, point: str) -> None:
    upgraded.scratch.run(_RESTORE)
    killed = upgraded.run_import(at=_POINTS[point], check=False)
    assert killed.returncode == -9
    assert "reached: " in killed.stdout
    upgraded.scratch.run(_STILL_WORKS)
    upgraded.run_import()
    check_clean(upgraded.scratch.run(WHOLE_RELOCATED))
    upgraded.scratch.run(_STILL_WORKS)
    assert upgraded.scratch.run("nix --version").stdout == "nix (Nix) 2.34.8\n"
    assert upgraded.run_import().output == ""


def test_damaged_program_is_replaced(upgraded: Store) -> None:
    """Replace the loader of the last import, which cannot be used, by the package's own."""
    upgraded.scratch.run(_RESTORE)
    upgraded.run_import()
    done = upgraded.scratch.run(
        f"""
        . /var/lib/nix/relocated/closure/closure
        chmod u+w $loader
        echo damaged >$loader
        rm /var/lib/nix/relocated/.nix-aurora/imported
        {IMPORT}
        """
    )
    assert "differs from the package: replacing it" in done.output
    check_clean(upgraded.scratch.run(WHOLE_RELOCATED))
