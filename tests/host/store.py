"""A root that is not booted, just before an upgraded package is imported."""

from dataclasses import dataclass
from pathlib import Path

from tests.harness.commands import Result
from tests.harness.scratch import Scratch
from tests.whole import IMPORT, WHOLE, check_clean

# This damages a library of the packaged closure, which every program in the closure needs.
DAMAGE = "truncate --size=1000 /usr/lib/nix-aurora/store/*/lib/libc.so.6"
STEP = Path(__file__).with_name("step.py")
"""A program that runs the import with an action before a step."""
KILL = "kill -KILL $PPID"
_PREPARE = """
mkdir -p /var/home /var/roothome
systemd-tmpfiles --create nix-aurora.conf
mount --bind /var/lib/nix /nix
"""
# The database that Nix closes is a single file, so a copy of all files is a copy of the state.
_SAVE = "cp -a /var/lib/nix /var/saved"
RESTORE = """
find /var/lib/nix -mindepth 1 -delete
cp -a /var/saved/. /var/lib/nix/
"""
# This adds a user's own path, and its root.
_BUILD = """
export NIX_REMOTE=local
. /usr/lib/nix-aurora/closure.env
echo content >/run/mine
path=$($CLOSURE_NIX/bin/nix-store --add /run/mine)
ln -s "$path" /nix/var/nix/gcroots/mine
"""
# $OLDER is the store path of the Nix before the upgrade.
_STILL_WORKS = """
cd /nix/store
"$OLDER/bin/nix-store" --version
/nix/var/nix/profiles/default/bin/nix --version
[ "$(cat /nix/var/nix/gcroots/mine)" = content ]
NIX_REMOTE=local "$OLDER/bin/nix-store" --check-validity "$OLDER" \
    "$(readlink /nix/var/nix/gcroots/mine)"
"""


@dataclass(frozen=True)
class Store:
    """A root with 2.26 imported and the package of 2.34: the start of an upgrade.

    ``older`` is the store path of the imported Nix.
    """

    scratch: Scratch
    older: str

    def restore(self) -> None:
        """Restore the state before the upgrade is imported."""
        self.scratch.run(RESTORE)

    def run_import(
        self, *, check: bool = True, at: str | None = None, action: str = KILL, before: str = ":"
    ) -> Result:
        """Run the import; ``action`` runs before the step ``at``, as step.py defines it."""
        if at is None:
            return self.scratch.run(IMPORT, check=check)
        command = f'{before}\nexec python3 -I /run/step.py "{at}" "$ACTION"'
        return self.scratch.run(command, env={"ACTION": action}, check=check)

    def check_still_works(self) -> None:
        """Fail unless the older Nix and everything that was built with it still work."""
        self.scratch.run(_STILL_WORKS, env={"OLDER": self.older})

    def check_whole(self) -> None:
        """Fail unless the packaged closure is complete, and the store is sound."""
        check_clean(self.scratch.run(WHOLE))

    def listing(self) -> str:
        """Return a list of all files in the store and in Nix's state, with sizes and times.

        SQLite's files beside the database are left out: each reader of the database creates them.
        """
        script = (
            "cd /nix; ls -lAR --time-style=full-iso store var | grep -v ' db\\(\\.sqlite-.*\\)\\?$'"
        )
        return self.scratch.run(script).stdout


def prepare(scratch: Scratch, newer: Path) -> Store:
    """Import the installed package, then upgrade it to the RPM ``newer``."""
    scratch.copy_in(STEP, "/run/step.py")
    scratch.run(f"{_PREPARE}{IMPORT}\n{_BUILD}")
    older = scratch.run(". /usr/lib/nix-aurora/closure.env; echo $CLOSURE_NIX").stdout.strip()
    scratch.copy_in(newer, f"/run/{newer.name}")
    scratch.run(f"rpm --upgrade --nosignature /run/{newer.name}\n{_SAVE}")
    return Store(scratch, older)
