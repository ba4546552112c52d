"""A root in which an upgrade of the package is about to be imported, without a boot."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.harness.commands import Result
from tests.harness.scratch import Scratch
from tests.whole import IMPORT, WHOLE, check_clean

# The import is bash, and bash reads this file first: before each command of the main process, it
# counts it, and either writes it down, or at one of them does what $ACTION says.
HOOK = """
[ "$0" = /usr/libexec/nix-aurora/import ] || return 0
hook_count=0
hook() {
    [ "$BASHPID" = "$$" ] || return 0
    hook_count=$((hook_count + 1))
    hook_text=${BASH_COMMAND//$'\\n'/ }
    if [ -z "$ACTION" ]; then
        echo "$hook_text" >>/run/trace
    elif [ "$hook_count" = "$AT" ] || { [ "$AT" = 0 ] && [[ $hook_text == "$COMMAND"* ]]; }; then
        echo "reached: $hook_count: $hook_text"
        AT=-1
        eval "$ACTION"
    fi
}
set -o functrace
trap hook DEBUG
"""
# How the command that roots the paths begins.
ROOTING = 'mv --force --no-copy --target-directory="$roots" -- "$work/roots"'
_PREPARE = """
mkdir -p /var/home /var/roothome
systemd-tmpfiles --create nix-aurora.conf
mount --bind /var/lib/nix /nix
"""
# The database that Nix closes is one file, and so a copy of all files is one of the state.
_SAVE = "cp -a /var/lib/nix /var/saved"
RESTORE = """
find /var/lib/nix -mindepth 1 -delete
cp -a /var/saved/. /var/lib/nix/
"""
# A path of a user's own, and its root.
_BUILD = """
export NIX_REMOTE=local
. /usr/lib/nix-aurora/closure.env
echo content >/run/mine
path=$($CLOSURE_NIX/bin/nix-store --add /run/mine)
ln -s "$path" /nix/var/nix/gcroots/mine
"""
# $OLDER is the store path of the Nix that was there before.
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
    """A root where 2.26 is imported and the package of 2.34 is there: what an upgrade begins with.

    ``trace`` is each command of an undisturbed import from there.
    """

    scratch: Scratch
    older: str
    trace: list[str]

    def restore(self) -> None:
        """Go back to the beginning."""
        self.scratch.run(RESTORE)

    def run_import(self, *, check: bool = True, **hook: str | int) -> Result:
        """Run the import; ``hook`` is ACTION and AT (a number) or COMMAND (how it begins)."""
        env = {"BASH_ENV": "/run/hook", "ACTION": ":", "AT": "0", "COMMAND": "-"}
        env |= {name: str(value) for name, value in hook.items()}
        return self.scratch.run(IMPORT, env=env if hook else None, check=check)

    def check_still_works(self) -> None:
        """Fail unless the older Nix and what was made with it are as usable as they were."""
        self.scratch.run(_STILL_WORKS, env={"OLDER": self.older})

    def check_whole(self) -> None:
        """Fail unless the packaged closure is all that it should be, and the store is sound."""
        check_clean(self.scratch.run(WHOLE))

    def listing(self) -> str:
        """Give all that is in the store and in Nix's state, with sizes and times."""
        return self.scratch.run("cd /nix; ls -lAR --time-style=full-iso store var").stdout


def prepare(scratch: Scratch, newer: Path) -> Store:
    """Import the package that is there, then upgrade it to the RPM ``newer``."""
    with TemporaryDirectory() as place:
        hook = Path(place, "hook")
        hook.write_text(HOOK)
        scratch.copy_in(hook, "/run/hook")
    scratch.run(f"{_PREPARE}{IMPORT}\n{_BUILD}")
    older = scratch.run(". /usr/lib/nix-aurora/closure.env; echo $CLOSURE_NIX").stdout.strip()
    scratch.copy_in(newer, f"/run/{newer.name}")
    scratch.run(f"rpm --upgrade --nosignature /run/{newer.name}\n{_SAVE}")
    scratch.run(IMPORT, env={"BASH_ENV": "/run/hook", "ACTION": ""})
    return Store(scratch, older, scratch.read("/run/trace").splitlines())
