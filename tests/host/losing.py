"""A root that is not booted, with a user's store paths and a copy of the database."""

from tests.whole import IMPORT

BACKUP = "/usr/libexec/nix-aurora/backup-database"
DATABASE = "/var/lib/nix/var/nix/db/db.sqlite"
SCHEMA = "/var/lib/nix/var/nix/db/schema"
OWN = "/var/lib/nix/.nix-aurora"
COPIES = f"{OWN}/database"
# This builds a user's path that refers to another one, and adds a root for it.
BUILD = """
export NIX_REMOTE=local
. /usr/lib/nix-aurora/closure.env
build() { # NAME TEXT
    "$CLOSURE_NIX/bin/nix-build" --option sandbox false --out-link /nix/var/nix/gcroots/$1 \\
        --option build-users-group '' --expr "derivation {
        name = \\"$1\\"; system = builtins.currentSystem; builder = \\"/bin/sh\\";
        args = [ \\"-c\\" \\"echo $2 >\\$out\\" ]; }"
}
"""
PREPARE = f"""
mkdir -p /var/home /var/roothome
systemd-tmpfiles --create nix-aurora.conf
mount --bind /var/lib/nix /nix
{IMPORT}
{BUILD}
build inner content
build mine "\\${{builtins.storePath $(readlink -f /nix/var/nix/gcroots/inner)}}"
{BACKUP}
cp -a /var/lib/nix /var/saved
"""
