"""Test the ids of the build users: those of a new host, and those that a host keeps."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.build_users import FORMER, FORMER_GROUP_ID, FORMER_IDS, GROUP_ID, IDS, NAMES
from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker
from tests.host.doctor import doctor
from tests.readme import commands
from tests.whole import add_program, build, check_whole

# This acts like a boot: nix-layout checks the build users, and the import uses its result.
_SETUP = "systemctl restart nix-layout.service nix-setup.service"
# These are the values of Fedora's /etc/login.defs.
_FEDORA = """
sed -i -E '/^(SUB_|SYS_)?[UG]ID_/d' /etc/login.defs
cat >>/etc/login.defs <<END
UID_MIN                  1000
UID_MAX                 60000
SYS_UID_MIN               201
SYS_UID_MAX               999
SUB_UID_MIN            524288
SUB_UID_MAX         600100000
SUB_UID_COUNT           65536
GID_MIN                  1000
GID_MAX                 60000
SYS_GID_MIN               201
SYS_GID_MAX               999
SUB_GID_MIN            524288
SUB_GID_MAX         600100000
SUB_GID_COUNT           65536
END
"""
# These ranges have an owner in systemd's docs/UIDS-GIDS.md (752fa9b); those of people are left out.
_SYSTEMD = (
    *(range(1000), range(60001, 60514), range(60514, 60578), range(60578, 60706)),
    *(range(61184, 65520), range(65534, 65536), range(524288, 1879048192)),
    *(range(2147352576, 2147418112), range(2147483648, 4294967296)),
)
# This makes the build users records of nss-systemd, and removes them from the files in /etc.
_IN_USERDB = f"""
sed -i '/^nixbld/d' /etc/passwd /etc/group /etc/shadow /etc/gshadow
mkdir -p /usr/lib/userdb
cd /usr/lib/userdb
echo '{{"groupName": "nixbld", "gid": {GROUP_ID}}}' >nixbld.group
ln -s nixbld.group {GROUP_ID}.group
for number in {{1..32}}; do
    user=nixbld$number uid=$(({GROUP_ID} + number))
    printf '{{"userName": "%s", "uid": %s, "gid": {GROUP_ID}, "homeDirectory": "/var/empty"}}\\n' \\
        $user $uid >$user.user
    ln -s $user.user $uid.user
    : >$user:nixbld.membership
done
"""
# This prints the users that the login screens list, by the rules in their sources.
_LISTED = """
import json, pwd
limits = {}
for line in open("/etc/login.defs"):
    words = line.partition("#")[0].split()
    if len(words) == 2 and words[0] in ("UID_MIN", "UID_MAX"):
        limits[words[0]] = int(words[1])
low, high = limits["UID_MIN"], limits["UID_MAX"]
users = pwd.getpwall()
print(json.dumps({
    "sddm": [user.pw_name for user in users if low <= user.pw_uid <= high],
    "plasma": [
        user.pw_name
        for user in users
        if low <= user.pw_uid <= high or 60001 <= user.pw_uid <= 60513
    ],
}))
"""


@pytest.fixture(scope="module")
def fedora_tree(nix_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Return a tree with the package and Fedora's ranges of ids."""
    return nix_tree.changed(tmp_path_factory.mktemp("fedora") / "tree", _FEDORA)


@pytest.fixture(scope="module")
def former_tree(fedora_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Return Fedora's tree with a package whose build users have the earlier ids."""
    return fedora_tree.changed(tmp_path_factory.mktemp("former") / "tree", FORMER)


@pytest.fixture(scope="module")
def host(fedora_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Return a booted host whose users were created after the package was installed."""
    with Host(fedora_tree, tmp_path_factory.mktemp("new") / "host") as host:
        yield host
        assert host.failed_units() == []


def _ids(host: Host) -> dict[str, int]:
    lines = host.run("getent passwd nixbld{1..32} || :").stdout.splitlines()
    return {line.split(":")[0]: int(line.split(":")[2]) for line in lines}


def _group(host: Host) -> int:
    """Return the group's id; fail unless all build users are in it."""
    _, _, number, members = host.run("getent group nixbld").stdout.strip().split(":")
    assert set(members.split(",")) == set(NAMES)
    return int(number)


def _check_builds(host: Host) -> None:
    """Fail unless a user's build runs, and the store has the group of the build users."""
    assert host.failed_units() == []
    assert int(host.run("stat --format=%g /var/lib/nix/store").stdout) == _group(host)
    assert build(host)


def _listed(host: Host) -> dict[str, list[str]]:
    listed: dict[str, list[str]] = json.loads(
        host.run('python3 -c "$LISTED"', env={"LISTED": _LISTED}).stdout
    )
    return listed


# --- a new host


def test_a_new_host_has_the_fixed_ids(host: Host) -> None:
    assert _ids(host) == dict(zip(NAMES, IDS, strict=True))
    assert _group(host) == GROUP_ID
    _check_builds(host)


def test_ids_are_in_no_foreign_range(host: Host) -> None:
    """The ranges are those of Nix, login.defs and systemd.

    docs/build-users.md explains each conflict.
    """
    start, count = (
        int(
            host.run(
                f"nix config show {name} --extra-experimental-features auto-allocate-uids"
            ).stdout
        )
        for name in ("start-id", "id-count")
    )
    taken = [range(start, start + count), *_SYSTEMD]
    defined = dict(
        line.split()[:2]
        for line in host.read("/etc/login.defs").splitlines()
        if "ID_M" in line.partition("#")[0]
    )
    taken += [
        range(int(value), int(defined[name.replace("MIN", "MAX")]) + 1)
        for name, value in defined.items()
        if name.endswith("_MIN")
    ]
    assert len(taken) == 7 + len(_SYSTEMD)
    for number in (GROUP_ID, *IDS):
        assert [each for each in taken if number in each] == []
        assert number < 1 << 16  # a container of 65536 ids must have this id


def test_the_first_person_gets_1000(host: Host, fedora_tree: Tree) -> None:
    """Create a person in an image with the package; look at people created before it elsewhere."""
    with fedora_tree.scratch() as image:
        assert image.run("useradd person; id -u person; id -g person").stdout == "1000\n1000\n"
    people = {name: int(host.run(f"id -u {name}").stdout) for name in ("tester", "other")}
    assert people == {"tester": 1000, "other": 1001}
    host.run("useradd third")
    assert host.run("id -u third").stdout == "1002\n"
    # None of our users may map ids into a container.
    for line in host.read("/etc/subuid").splitlines():
        _, first, count = line.split(":")
        assert not set(IDS) & set(range(int(first), int(first) + int(count)))
    host.run("userdel third")


def test_login_screens_list_people_only(host: Host) -> None:
    """Apply SDDM's and Plasma Login Manager's rules; neither can show its greeter here.

    SDDM (src/greeter/UserModel.cpp) lists the users of getpwent() from MinimumUid to MaximumUid,
    whose defaults are UID_MIN and UID_MAX of Fedora's login.defs; it ignores the shell. Plasma
    Login Manager (src/frontend/settings/models/usermodel.cpp) reads those from login.defs, and adds
    systemd-homed's range; it also leaves out the shell nologin, but the test does not depend on
    that.
    """
    assert _listed(host) == {"sddm": ["tester", "other"], "plasma": ["tester", "other"]}


# --- a host with the earlier ids


def test_host_keeps_its_ids(former_tree: Tree, fedora_tree: Tree, make_host: HostMaker) -> None:
    host = make_host(former_tree)
    host.boot()
    add_program(host)
    former = dict(zip(NAMES, FORMER_IDS, strict=True))
    assert (_ids(host), _group(host)) == (former, FORMER_GROUP_ID)
    # This conflict is the reason for the new ids.
    assert host.run("useradd next; id -u next; userdel next").stdout == f"{FORMER_IDS[-1] + 3}\n"
    assert {*NAMES} < {*_listed(host)["sddm"]}
    # This is an upgrade, a rollback, and an upgrade again.
    for tree in (fedora_tree, former_tree, fedora_tree):
        host.reboot(tree)
        assert (_ids(host), _group(host)) == (former, FORMER_GROUP_ID)
        check_whole(host)
    state = json.loads(host.run("nix-aurora status --json").stdout)["users"]
    assert (state["group"], state["ids"]) == (FORMER_GROUP_ID, former)
    assert doctor(host, "root") == []


def test_a_host_changes_to_the_new_ids_by_the_documented_commands(
    former_tree: Tree, fedora_tree: Tree, make_host: HostMaker
) -> None:
    host = make_host(former_tree)
    host.boot()
    add_program(host)
    host.reboot(fedora_tree)
    host.run("\n".join(commands("The login screen lists build users", "docs/build-users.md")))
    assert _ids(host) == dict(zip(NAMES, IDS, strict=True))
    _check_builds(host)
    check_whole(host)
    assert doctor(host, "root") == []
    host.reboot(former_tree)  # a rollback keeps the ids
    assert _group(host) == GROUP_ID
    check_whole(host)


def test_earlier_and_new_ids_work_together(
    former_tree: Tree, fedora_tree: Tree, make_host: HostMaker
) -> None:
    """Mix ids, as an edited, merged or partly restored /etc/passwd or /etc/group does."""
    host = make_host(former_tree)
    host.boot()
    # The group has the earlier id, and some of its users have new ids.
    for lost in (NAMES[24:], NAMES):
        host.run("\n".join(f"userdel {name}" for name in lost))
        host.reboot(fedora_tree)
        assert _group(host) == FORMER_GROUP_ID
        assert [_ids(host)[name] for name in lost] == [IDS[NAMES.index(name)] for name in lost]
        _check_builds(host)
    # Now the group has the new id, and its users have earlier ids.
    host.run("sed -i /^nixbld:/d /etc/group /etc/gshadow")
    host.reboot()
    assert _group(host) == GROUP_ID
    _check_builds(host)
    # An image can bring a new /etc/passwd to a host that has not changed its own.
    host.run("sed -i /^nixbld/d /etc/passwd /etc/group /etc/shadow /etc/gshadow")
    host.run("chgrp 30000 /var/lib/nix/store")
    host.reboot()
    assert (_group(host), _ids(host)) == (GROUP_ID, dict(zip(NAMES, IDS, strict=True)))
    _check_builds(host)


# --- a host whose ids are taken


@pytest.mark.parametrize("taken", [range(GROUP_ID, IDS[-1] + 1), (GROUP_ID, IDS[0], IDS[8])])
def test_builds_work_if_the_ids_are_taken(
    tree_with_nix: Tree, nix_tree: Tree, make_host: HostMaker, taken: list[int]
) -> None:
    """Run the host without the package first, with users that have the build users' ids."""
    host = make_host(tree_with_nix)
    host.boot()
    host.run(
        "\n".join(
            f"groupadd --gid {number} taken{number}\n"
            f"useradd --uid {number} --gid {number} --no-create-home taken{number}"
            for number in taken
        )
    )
    host.reboot(nix_tree)
    ids = _ids(host)
    assert _group(host) not in taken
    assert len(set(ids.values())) == len(NAMES)
    for name, number in zip(NAMES, IDS, strict=True):
        assert ids[name] < 1000 if number in taken else ids[name] == number
    _check_builds(host)
    assert doctor(host, "root") == []


def test_a_site_can_choose_the_ids(
    tree_with_nix: Tree, nix_tree: Tree, make_host: HostMaker
) -> None:
    """Create a sysusers.d file of the site before the package is installed."""
    with nix_tree.scratch() as image:
        packaged = image.read("/usr/lib/sysusers.d/nix-aurora.conf")
    host = make_host(tree_with_nix)
    host.boot()
    host.run(
        'mkdir -p /etc/sysusers.d; printf %s "$TEXT" >/etc/sysusers.d/nix-aurora.conf',
        env={"TEXT": packaged.replace(" 61", " 70")},
    )
    host.reboot(nix_tree)
    assert _group(host) == GROUP_ID + 9000
    assert _ids(host) == {name: number + 9000 for name, number in zip(NAMES, IDS, strict=True)}
    _check_builds(host)


# --- a host that has lost some users


def test_boot_adds_the_members_to_an_empty_group(host: Host) -> None:
    host.run("cp -a /etc/group /run/; sed -i 's/^\\(nixbld:.*:\\).*/\\1/' /etc/group")
    host.reboot()
    assert len(host.run("getent group nixbld").stdout.split(",")) == 32
    assert build(host)


def test_builds_work_if_only_the_host_knows_the_build_users(
    nix_tree: Tree, make_host: HostMaker, tmp_path: Path
) -> None:
    """Hide the build users from Nix, as rpm-ostree with nss-altfiles does.

    The C library of Nix's closure lacks the module.
    """
    host = make_host(nix_tree.changed(tmp_path / "userdb", _IN_USERDB))
    host.boot()
    assert host.failed_units() == []
    members = host.run("getent --service=files group nixbld").stdout.strip().split(":")[3]
    assert len(members.split(",")) == 32
    in_files = "getent --service=files passwd nixbld{1..32}; grep -c ^nixbld /etc/group /etc/passwd"
    users = host.run(in_files).stdout
    assert build(host)

    # No account is appended to the last line, which has no newline at its end.
    host.run(
        "sed -i /^nixbld/d /etc/passwd /etc/group\n"
        "for file in /etc/passwd /etc/group; do truncate --size=-1 $file; done\n"
        "chmod 0604 /etc/passwd; tail --lines=1 /etc/passwd >/run/last\n"
        f"{_SETUP}"
    )
    assert host.run(in_files).stdout == users
    last = host.read("/run/last")
    assert last.startswith("other:")
    assert f"{last}\nnixbld1:" in host.read("/etc/passwd")
    assert host.run_as("other", "id -un").stdout == "other\n"
    assert host.run("stat --format=%a /etc/passwd /etc/.pwd.lock").stdout == "604\n600\n"
    assert host.run("ls -A /etc | grep -E '^[.](passwd|group)'", check=False).stdout == ""

    # The group has lost its members.
    host.run(f"sed -i 's/^\\(nixbld:.*:\\).*/\\1/' /etc/group; {_SETUP}")
    assert host.run(in_files).stdout == users
    # An import that is killed between the two files leaves this state.
    host.run(f"sed -i '/^nixbld/d' /etc/passwd; {_SETUP}")
    assert host.run(in_files).stdout == users
    # If the users already exist, only the group is copied.
    host.run(f"sed -i '/^nixbld/d' /etc/group; {_SETUP}")
    assert host.run(in_files).stdout == users
