"""Test taking over another Nix's store in a root that is not booted."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from nix_aurora.run import run
from tests.harness.scratch import Scratch
from tests.harness.tree import Tree
from tests.host.adopting import (
    ADOPT,
    ARCHIVE,
    CHECK_KEPT,
    FORMER,
    IN_OURS,
    MAKE_SUBVOLUMES,
    MAKE_VAR,
    SHOW,
    UNPACK,
    check_adopted,
    measure,
)
from tests.host.losing import BUILD
from tests.readme import commands
from tests.torture import chosen
from tests.whole import IMPORT, WHOLE, check_clean

_DATABASE = f"{FORMER}/var/nix/db"
_HOME_ELSEWHERE = "mount -t tmpfs -o mode=0755 home /var/home\n"
_LINKED = "find {}/store -path '*/.links/*' -prune -o -type f -links +2 -print | wc -l"
# This shows root's Nix before the takeover.
_SHOW_FORMER = f"""
. /usr/lib/nix-aurora/closure.env
export NIX_REMOTE=local HOME=/root
default=/nix/var/nix/profiles/default
umount /nix
mount --bind {FORMER} /nix
"""
_HIDE_FORMER = "cd /; umount /nix; mount --bind /var/lib/nix /nix"


class RootMaker(Protocol):
    """Create a root with a former store in /var/home/nix."""

    def __call__(self, prepare: str = MAKE_VAR, images: dict[Path, str] | None = None) -> Scratch:
        """Return a new root with a former store; the script ``prepare`` creates /var."""


@pytest.fixture
def make_root(nix_tree: Tree, former_root: Path) -> Iterator[RootMaker]:
    """Return a maker of roots that last as long as the test."""
    with ExitStack() as stack:

        def make(prepare: str = MAKE_VAR, images: dict[Path, str] | None = None) -> Scratch:
            binds = {former_root: ARCHIVE}
            scratch = stack.enter_context(Scratch(nix_tree.layers, binds=binds, images=images))
            scratch.run(prepare + UNPACK)
            return scratch

        yield make


def test_store_on_the_same_file_system_is_moved(make_root: RootMaker) -> None:
    root = make_root()
    before = root.run(f"ls -A {FORMER}/store | sort").stdout
    planned = root.run("nix-aurora adopt --dry-run").stderr
    assert "It is moved to /var/lib/nix: it is on the same file system" in planned
    assert "users: other, root, tester" in planned
    assert "profiles: 4 with 9 generations; channels among them: 1" in planned
    assert root.run(f"ls -A {FORMER}/store | sort").stdout == before
    done = json.loads(root.run(f"{ADOPT} --json").stdout)
    assert done["adopted"]
    assert done["way"] == "move"
    check_adopted(root)
    assert root.run(f"ls {FORMER}").stdout == ""
    (aside,) = root.run("echo /var/lib/nix/.nix-aurora/aside/*/former").stdout.split()
    assert root.run(f"ls {aside}").stdout == "store\nvar\n"


def test_default_profile_gets_the_packaged_nix_and_keeps_other_programs(
    make_root: RootMaker,
) -> None:
    """Use a former Nix with another name: Determinate's package is not called nix."""
    root = make_root()
    root.run(
        f"""
        {_SHOW_FORMER}
        mkdir -p /run/determinate-nix-3.0/bin
        echo "exec $CLOSURE_NIX/bin/nix" >/run/determinate-nix-3.0/bin/nix
        "$CLOSURE_NIX/bin/nix-env" --profile $default --uninstall "$CLOSURE_NIX"
        path=$("$CLOSURE_NIX/bin/nix-store" --add /run/determinate-nix-3.0)
        "$CLOSURE_NIX/bin/nix-env" --profile $default --install "$path"
        {_HIDE_FORMER}
        """
    )
    root.run(ADOPT)
    root.run(
        """
        . /usr/lib/nix-aurora/closure.env
        default=/nix/var/nix/profiles/default
        [ "$(readlink -f $default/bin/nix)" = "$(readlink -f $CLOSURE_NIX/bin/nix)" ]
        [ "$($default/bin/extra)" = "hello from extra-1" ]
        """
    )
    check_adopted(root)


def test_store_on_another_file_system_is_copied_with_its_links(make_root: RootMaker) -> None:
    root = make_root(MAKE_VAR + _HOME_ELSEWHERE)
    listing = f"cd {FORMER}; find store var -printf '%p %l %m %U %s\\n' | grep -v ' db' | sort"
    before = root.run(listing).stdout
    linked = root.run(_LINKED.format(FORMER)).stdout
    said = root.run(ADOPT).stderr
    assert "It is copied to /var/lib/nix, and stays where it is. The copies take " in said
    assert f"when you no longer need it: sudo rm -r {FORMER}/store {FORMER}/var" in said
    assert root.run(_LINKED.format("/var/lib/nix")).stdout == linked
    assert int(linked) > 300
    assert root.run(listing).stdout == before
    check_adopted(root)


def test_subvolumes_of_one_btrfs_share_the_blocks(make_root: RootMaker, tmp_path: Path) -> None:
    """The subvolumes are /var and /home, as in Fedora's desktop installer."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(1 << 30)
    run(["mkfs.btrfs", "--quiet", image])
    root = make_root(MAKE_SUBVOLUMES, {image: "/run/disk"})
    before = measure(root, "/run/disk")
    said = root.run(ADOPT).stderr
    assert "Copies share their blocks with it, and take no space." in said
    assert measure(root, "/run/disk") - before < 20 << 20  # the store has 66 MiB
    check_adopted(root)


def test_host_without_an_import_adopts(make_root: RootMaker) -> None:
    root = make_root()
    root.run(f"umount /nix; rm -r /var/lib/nix; {SHOW}")
    root.run(ADOPT)
    check_adopted(root)


def test_documented_undo_works(make_root: RootMaker) -> None:
    """Uninstall in a boot without /nix; the former Nix then mounts its store again."""
    root = make_root()
    root.run(ADOPT)
    root.run("umount /nix")
    (command,) = commands("The way back to the former installation", "docs/adopt.md")
    root.run(command.removeprefix("sudo "))
    root.run(f"mount --bind {FORMER} /nix")
    root.run(CHECK_KEPT)


# --- users have packages in both stores


def test_paths_that_this_store_lacks_are_copied(make_root: RootMaker) -> None:
    root = make_root()
    root.run(IN_OURS)
    before = root.run(f"ls -AR {FORMER}").stdout
    done = json.loads(root.run(f"{ADOPT} --json").stdout)
    assert done["way"] == "merge"
    assert done["kept"] == ["profiles/default"]
    root.run("[ $(cat /nix/var/nix/profiles/per-user/other/own) = text ]")
    check_adopted(root)
    root.run("[ $(cat /nix/var/nix/profiles/per-user/other/own) = text ]")
    assert root.run(f"ls -AR {FORMER} | grep -v '^db'").stdout.splitlines() == [
        line for line in before.splitlines() if not line.startswith("db")
    ]
    root.run(ADOPT)
    check_adopted(root)


def test_profile_in_both_stores_stays_unchanged(make_root: RootMaker) -> None:
    root = make_root()
    root.run(
        f"""
        {BUILD}
        build mine text
        place=/nix/var/nix/profiles/per-user/tester
        mkdir -p $place
        "$CLOSURE_NIX/bin/nix-env" --profile $place/profile \\
            --set $(readlink -f /nix/var/nix/gcroots/mine)
        """
    )
    said = root.run(ADOPT).stderr
    assert "  profiles/per-user/tester/profile\n" in said
    root.run(
        """
        [ "$(cat /nix/var/nix/profiles/per-user/tester/profile)" = text ]
        [ "$(/nix/var/nix/profiles/per-user/other/profile/bin/greet_other)" = \\
            "hello from greet_other-3" ]
        """
    )
    check_clean(root.run(WHOLE))


def test_unregistered_content_under_an_honest_name_is_moved_aside(make_root: RootMaker) -> None:
    root = make_root()
    root.run(IN_OURS)
    (name,) = root.run(f"cd {FORMER}/store; ls -d *-inner").stdout.split()
    root.run(f"echo evil >/var/lib/nix/store/{name}")
    root.run(ADOPT)
    check_adopted(root)
    assert root.run(f"cat /var/lib/nix/.nix-aurora/aside/*/{name}").stdout == "evil\n"


# --- the places of the store


def test_several_stores_are_named(make_root: RootMaker) -> None:
    root = make_root()
    root.run(f"mkdir /var/nix; cp -a {FORMER}/. /var/nix/")
    refused = root.run(ADOPT, check=False)
    assert refused.returncode == 1
    assert "cannot choose among several stores: /var/home/nix, /var/nix" in refused.stderr
    assert "hint: sudo nix-aurora adopt --from /var/home/nix" in refused.stderr
    root.run(f"{ADOPT} --from /var/nix")
    check_adopted(root)
    root.run(f"[ -d {FORMER}/store ]")


def test_store_that_is_bound_to_nix_is_moved_from_its_source(make_root: RootMaker) -> None:
    root = make_root()
    root.run(f"umount /nix; mv {FORMER} /var/elsewhere; mount --bind /var/elsewhere /nix")
    said = root.run(ADOPT).stderr
    assert "It is moved to" in said
    assert "/nix is not this store yet. Next:\n  sudo nix-aurora set-aside" in said
    root.run("umount /nix; mount --bind /var/lib/nix /nix")
    check_adopted(root)


_SOURCES = {
    "fstab": "echo '/var/elsewhere /nix none bind 0 0' >>/etc/fstab",
    "nix.mount": "printf '[Mount]\\nWhat=/var/elsewhere\\nWhere=/nix\\n'"
    " >/etc/systemd/system/nix.mount",
    "put aside": "mkdir -p /etc/nix-aurora.former/etc;"
    " echo '/var/elsewhere /nix none bind 0 0' >/etc/nix-aurora.former/etc/fstab",
}


@pytest.mark.parametrize("where", chosen([*_SOURCES]))
def test_source_of_nix_is_found(make_root: RootMaker, where: str) -> None:
    root = make_root()
    root.run(f"mv {FORMER} /var/elsewhere; {_SOURCES[where]}")
    root.run(ADOPT)
    check_adopted(root)


def test_store_below_the_mount_on_nix_is_copied(make_root: RootMaker) -> None:
    root = make_root()
    root.run(f"umount /nix; mv {FORMER}/* /nix/; mount --bind /var/lib/nix /nix")
    said = root.run(ADOPT).stderr
    assert "/nix, below the mount of /var/lib/nix" in said
    check_adopted(root)
    root.run("umount /nix; [ -d /nix/store ]; mount --bind /var/lib/nix /nix")


def test_separate_disk_is_mounted_here_from_the_next_boot_on(
    make_root: RootMaker, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(1 << 30)
    run(["mkfs.ext4", "-q", image])
    root = make_root(MAKE_VAR, {image: "/run/disk"})
    root.run(
        f"""
        cp -a {FORMER}/. /run/disk/
        rm -r {FORMER}
        umount /nix
        mount --bind /run/disk /nix
        printf '# first\\nLABEL=nix /nix ext4 noatime 0 0\\n' >/etc/fstab
        """
    )
    said = root.run(ADOPT).stderr
    assert "From the next boot on, /etc/fstab mounts LABEL=nix on /var/lib/nix, and" in said
    assert "Reboot now." in said
    assert root.read("/etc/fstab") == (
        "# first\n# nix-aurora adopt: LABEL=nix /nix ext4 noatime 0 0\n"
        "LABEL=nix /var/lib/nix ext4 noatime 0 0\n"
    )
    root.run(  # these are the steps of a boot
        """
        umount /nix
        mount --bind /run/disk /var/lib/nix
        systemd-tmpfiles --create nix-aurora.conf
        mount --bind /var/lib/nix /nix
        """
    )
    root.run(IMPORT)
    check_adopted(root)


def test_receipt_of_the_former_installer_is_renamed(make_root: RootMaker) -> None:
    root = make_root()
    root.run(f"echo {{}} >{FORMER}/receipt.json")
    said = root.run(ADOPT).stderr
    assert "receipt.json is renamed" in said
    assert root.run(f"ls {FORMER}").stdout == "receipt.json.put-aside\n"


# --- refusals, which change nothing


_FLIP = f"""
file=$(ls -d {FORMER}/store/*-inner)
chmod u+w $file
printf x | dd of=$file bs=1 conv=notrunc
chmod u-w $file
"""
_REFUSED = {
    "schema": (
        f"printf 99 >{_DATABASE}/schema",
        "expected at most schema 10, which the packaged Nix reads, got 99",
    ),
    "no schema": (f"rm {_DATABASE}/schema", "var/nix/db/schema: expected a number"),
    "damage": (
        f"head -c 4096 /dev/urandom | dd of={_DATABASE}/db.sqlite bs=4096 seek=2 conv=notrunc",
        f"cannot adopt a store: {_DATABASE}/db.sqlite: ",
    ),
    "no database": (f": >{_DATABASE}/db.sqlite", "it has no table ValidPaths"),
    "content": (_FLIP, "1 store paths differ from what its database has recorded: "),
    "owner": (f"chown 1000 {FORMER}", "expected the owner 0, got 1000"),
    "mode": (f"chmod 0777 {FORMER}", "expected that only root can write to it, got mode 0777"),
    "a user's link": (
        f"mv {FORMER}/var {FORMER}/else; ln -s else {FORMER}/var",
        "cannot adopt a store: /var/home/nix/var: ",
    ),
    "a mount": (
        f"mkdir {FORMER}/store/inside; mount -t tmpfs none {FORMER}/store/inside",
        "something is mounted inside the store; nothing was changed",
    ),
    "use": (
        f"cp /usr/bin/sleep {FORMER}/store/; {FORMER}/store/sleep 1000 >/dev/null 2>&1 &",
        "1 process uses a store: ",
    ),
}


@pytest.mark.parametrize("fault", _REFUSED)
def test_unusable_store_is_refused(refusing: Scratch, fault: str) -> None:
    script, message = _REFUSED[fault]
    refusing.run(_RESTORE)
    refusing.run(script)
    left_out = "! -path '*/db*' ! -name '*.lock' ! -name .links"
    state = f"find {FORMER} /var/lib/nix {left_out} -printf '%p %i\\n' | sort"
    before = refusing.run(state).stdout
    refused = refusing.run(ADOPT, check=False)
    print(refused.stderr)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert "\nhint: " in refused.stderr
    assert refusing.run(state).stdout == before
    refusing.run(f"pkill -x sleep || :; umount {FORMER}/store/inside 2>/dev/null || :")


_RESTORE = f"""
rm -rf {FORMER}
cp -a /var/saved {FORMER}
"""


@pytest.fixture(scope="module")
def refusing(nix_tree: Tree, former_root: Path) -> Iterator[Scratch]:
    """Yield a root whose former store can be restored after each test."""
    with Scratch(nix_tree.layers, binds={former_root: ARCHIVE}) as scratch:
        scratch.run(MAKE_VAR + UNPACK + f"cp -a {FORMER} /var/saved")
        yield scratch


def test_damaged_content_is_copied_without_a_check(make_root: RootMaker) -> None:
    """Skip the check at root's request; the next step is Nix's own repair."""
    root = make_root()
    root.run(_FLIP)
    root.run(f"{ADOPT} --no-check")
    root.run("[ -d /nix/store/*-inner ] || [ -e /nix/store/*-inner ]")


def test_lack_of_space_is_reported_before_anything_is_copied(make_root: RootMaker) -> None:
    root = make_root(MAKE_VAR + _HOME_ELSEWHERE)
    root.run("mount -o remount,size=$(($(du -sm /var/lib/nix | cut -f 1) + 70))m /var")
    refused = root.run(ADOPT, check=False)
    assert refused.returncode == 1
    assert "cannot copy the store: /var/lib/nix: expected " in refused.stderr
    assert "of free space, got " in refused.stderr
    root.run("mount -o remount,size=1g /var")
    root.run(ADOPT)
    check_adopted(root)


def test_only_root_may_adopt_and_not_in_the_relocated_layout(make_root: RootMaker) -> None:
    root = make_root()
    refused = root.run("nix-aurora adopt --yes", user="tester", check=False)
    assert refused.returncode == 2
    assert "cannot adopt a store: only root may do this" in refused.stderr
    root.run(CHECK_KEPT, check=False)
