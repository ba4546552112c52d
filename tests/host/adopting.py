"""A root that is not booted, with another Nix's store in which users have packages."""

from pathlib import Path

from tests.harness.scratch import Scratch
from tests.harness.tree import Tree
from tests.host.losing import BUILD
from tests.whole import IMPORT, WHOLE, check_clean

ADOPT = "nix-aurora adopt --yes"
FORMER = "/var/home/nix"
USERS = ("tester", "other")
# Everything is on one tmpfs with stable inode numbers, which an overlay may lack.
MAKE_VAR = """
mount -t tmpfs -o mode=0755 var /var
mkdir -p /var/lib /var/home /var/roothome /var/tmp
chmod 1777 /var/tmp
"""
SHOW = """
systemd-tmpfiles --create nix-aurora.conf
mount --bind /var/lib/nix /nix
"""
# This creates two users with three generations each, a channel, a root elsewhere, a program in the
# default profile, many paths, and equal files that are hard links.
FILL = f"""
{BUILD}
export NIX_REMOTE=local
nix=$CLOSURE_NIX/bin
cd /run
mkdir -p many
for number in $(seq 400); do echo "$((number / 2))" >many/file-$number; done
"$nix/nix-store" --add many/* >/dev/null
program() {{ # NAME
    mkdir -p /run/$1/bin
    printf '#!/bin/sh\\necho hello from %s\\n' $1 >/run/$1/bin/${{1%-*}}
    chmod +x /run/$1/bin/${{1%-*}}
    "$nix/nix-store" --add /run/$1
}}
for user in tester other; do
    mkdir -p /nix/var/nix/profiles/per-user/$user
    id $user >/dev/null 2>&1 || useradd --create-home --base-dir /var/home $user
    for number in 1 2 3; do
        "$nix/nix-env" --profile /nix/var/nix/profiles/per-user/$user/profile \\
            --set $(program greet_$user-$number)
    done
    chown -hR $user: /nix/var/nix/profiles/per-user/$user
done
mkdir -p /nix/var/nix/profiles/per-user/root
"$nix/nix-env" --profile /nix/var/nix/profiles/per-user/root/channels --set $(program channel-1)
HOME=/root "$nix/nix-env" --profile /nix/var/nix/profiles/default --install $(program extra-1)
build inner content
build result "\\${{builtins.storePath $(readlink -f /nix/var/nix/gcroots/inner)}}"
rm /nix/var/nix/gcroots/{{inner,result}}
"$nix/nix-store" --realise --indirect --add-root /var/home/result \\
    $(ls -d /nix/store/*-result) >/dev/null
"$nix/nix-store" --optimise 2>/dev/null
cd /
"""
# This turns the store into another Nix's, and sets up the host again without its store.
PART = f"""
umount /nix
mkdir -p {FORMER}
mv /var/lib/nix/store /var/lib/nix/var {FORMER}
rm -r {FORMER}/var/nix/gcroots/nix-aurora /var/lib/nix
{SHOW}
{IMPORT}
"""
ARCHIVE = "/run/former"
"""The place, in a root, of the directory that pack_root() has filled."""

_PACK = f"""
umount /nix
shopt -s nullglob
cd /
tar --create --file={ARCHIVE}/root.tar --numeric-owner var \\
    etc/passwd* etc/group* etc/shadow* etc/gshadow* etc/subuid* etc/subgid*
"""
UNPACK = f"""
tar --extract --file={ARCHIVE}/root.tar --directory=/ --numeric-owner --preserve-permissions
{SHOW}
"""


def pack_root(tree: Tree, place: Path) -> None:
    """Create a root with another Nix's store in /var/home/nix, and pack it into a file.

    UNPACK restores it, in a root of ``tree`` that sees ``place`` as ARCHIVE. Unpacking is quick,
    while Nix would need much longer to create the root.
    """
    with Scratch(tree.layers, binds={place: ARCHIVE}) as scratch:
        scratch.run(MAKE_VAR + SHOW + IMPORT + FILL + PART + _PACK)


CHECK_USERS = """
. /usr/lib/nix-aurora/closure.env
export NIX_REMOTE=local
for user in tester other; do
    for number in 1 2 3; do
        profile=/nix/var/nix/profiles/per-user/$user/profile
        [ "$($profile-$number-link/bin/greet_$user)" = "hello from greet_$user-$number" ]
    done
    [ "$($profile/bin/greet_$user)" = "hello from greet_$user-3" ]
    [ "$(stat -c %U $profile)" = $user ]
done
[ "$(/nix/var/nix/profiles/per-user/root/channels/bin/channel)" = "hello from channel-1" ]
[ -s /var/home/result ]
[ -s "$(cat /var/home/result)" ]
"$CLOSURE_NIX/bin/nix-store" --check-validity $(readlink /nix/var/nix/profiles/per-user/*/*-link) \\
    $(readlink /var/home/result)
"""
COLLECT = '"$CLOSURE_NIX/bin/nix-store" --gc >/dev/null 2>&1\n'
# A collection must delete only paths without a root.
CHECK_KEPT = CHECK_USERS + COLLECT + CHECK_USERS


def check_adopted(root: Scratch) -> None:
    """Fail unless users have everything as before, and package and store are complete."""
    root.run(CHECK_USERS)
    check_clean(root.run(WHOLE))
    root.run(CHECK_KEPT)
    check_clean(root.run(WHOLE))
    root.run("! ls -d /var/lib/nix/.nix-aurora/adopt 2>/dev/null")


# This adds paths that users keep in this host's own store.
IN_OURS = f"""
{BUILD}
build mineonly text
place=/nix/var/nix/profiles/per-user/other
mkdir -p $place
"$CLOSURE_NIX/bin/nix-env" --profile $place/own --set $(readlink -f /nix/var/nix/gcroots/mineonly)
"""
MAKE_SUBVOLUMES = """
python3 -I - <<'END'
import fcntl, os, struct
disk = os.open("/run/disk", os.O_RDONLY)
for name in (b"home", b"var"):
    # BTRFS_IOC_SUBVOL_CREATE
    fcntl.ioctl(disk, 0x5000940E, bytearray(struct.pack("q4088s", 0, name)))
END
mount --bind /run/disk/var /var
mkdir -p /var/lib /var/home /var/roothome /var/tmp
mount --bind /run/disk/home /var/home
"""


def measure(root: Scratch, place: str) -> int:
    """Return the used bytes of a file system."""
    size, blocks, free = root.run(
        f"sync; stat --file-system --format='%S %b %f' {place}"
    ).stdout.split()
    return (int(blocks) - int(free)) * int(size)


# This runs on a running host: it turns the package's store into one that another Nix left. The kill
# fails if no build of the daemon is running, which is fine.
LEAVE = f"""
systemctl stop nix-database-backup.timer nix-daemon.socket nix-daemon.service nix-setup.service
systemctl kill --kill-whom=all nix-daemon.service 2>/dev/null || :
! mountpoint --quiet /nix || umount /nix
mkdir -p {FORMER}
mv /var/lib/nix/store /var/lib/nix/var {FORMER}
echo '{{}}' >{FORMER}/receipt.json
rm -r {FORMER}/var/nix/gcroots/nix-aurora /var/lib/nix
"""
