"""Check that a host with the package works, whatever happened to it before."""

import itertools
import json
import shlex

from tests.build_users import NAMES
from tests.harness.commands import Result
from tests.harness.system import System

IMPORT = "/usr/libexec/nix-aurora/import"
_count = itertools.count()
# Nix's message when it finds nothing.
_CLEAN = {
    *("reading the Nix store...", "checking path existence...", "checking link hashes..."),
    "checking store hashes...",
}
# This checks the results of the import, in a root that is booted or not, with the store on /nix.
WHOLE = """
. /usr/lib/nix-aurora/closure.env
export NIX_REMOTE=local
own=/var/lib/nix/.nix-aurora
[ "$(cat $own/imported)" = "$CLOSURE_ID" ]
[ "$(ls $own/unpack)" = imported-$CLOSURE_ID ]
"$CLOSURE_NIX/bin/nix-store" --verify --check-contents
"$CLOSURE_NIX/bin/nix-store" --check-validity \
    $(ls /usr/lib/nix-aurora/store | sed s,^,/nix/store/,)
roots=/nix/var/nix/gcroots/nix-aurora
[ "$(readlink $roots/nix) $(readlink $roots/cacert)" = "$CLOSURE_NIX $CLOSURE_CACERT" ]
[ /nix/var/nix/gcroots/profiles -ef /nix/var/nix/profiles ]
profile=/nix/var/nix/profiles/default
[ "$(readlink -f $profile/bin/nix)" = "$(readlink -f $CLOSURE_NIX/bin/nix)" ]
[ -s $profile/etc/ssl/certs/ca-bundle.crt ]
[ -z "$(find /nix/store -maxdepth 1 -name '.*' ! -name .links)" ]
"""
# This does the same for the relocated layout, which has no default profile.
WHOLE_RELOCATED = """
. /usr/lib/nix-aurora/closure.env
export NIX_REMOTE=local
relocated=/usr/libexec/nix-aurora/relocated own=/var/lib/nix/relocated/.nix-aurora
described=/var/lib/nix/relocated/closure
[ "$(cat $own/imported)" = "$CLOSURE_ID" ]
[ "$(ls $own/unpack)" = imported-$CLOSURE_ID ]
$relocated nix-store --verify --check-contents
$relocated nix-store --check-validity $(ls /usr/lib/nix-aurora/store | sed s,^,/run/nix/store/,)
roots=/var/lib/nix/relocated/var/nix/gcroots/nix-aurora
[ "$(readlink $roots/nix) $(readlink $roots/cacert)" = "/run$CLOSURE_NIX /run$CLOSURE_CACERT" ]
. $described/closure
[ "$nix" = "/run$CLOSURE_NIX" ]
[ -z "$(find /run/nix/store -maxdepth 1 -name '.*' ! -name .links)" ]
"""
_CHECK = 'exec /usr/libexec/nix-aurora/with-nix bash -euo pipefail -c "$SCRIPT"'
_GREET = """
mkdir -p greet/bin greet/share/applications
printf '#!/bin/sh\\necho hello from a profile\\n' >greet/bin/greet
chmod +x greet/bin/greet
printf '[Desktop Entry]\\nType=Application\\nName=Greet\\nExec=greet\\n' \\
    >greet/share/applications/greet.desktop
nix profile install "$(nix-store --add greet)"
"""

# This is a template unit of every user's manager, which runs its instance name and keeps the
# output. root owns the file, since Debian's SELinux policy does not let users start units of their
# own.
_USER_UNIT = """
mkdir -p /etc/systemd/user
printf '[Service]\\nType=oneshot\\nExecStart=/bin/sh -c "%%i >%%h/said"\\n' \\
    >/etc/systemd/user/try@.service
"""
_START = """
start() {
    systemctl --user daemon-reload
    systemctl --user start "try@$1.service"
    cat said
}
"""
# This acts like a menu: the entry is in one of XDG_DATA_DIRS, and the manager starts its command.
_MENU = """
shares=$(systemctl --user show-environment | sed -n 's/^XDG_DATA_DIRS=//p' | tr : ' ')
entry=$(ls $(printf '%s/applications/greet.desktop ' $shares) 2>/dev/null | head -n 1)
start "$(sed -n s/^Exec=//p "$entry")"
"""


def check_clean(verification: Result) -> None:
    """Fail if Nix's verification printed anything other than its progress."""
    assert set(verification.stderr.splitlines()) <= _CLEAN


def physical(path: str) -> str:
    """Return the physical path of a store path, which may not be visible under its own name."""
    if path.startswith("/run/"):
        return path.replace("/run/nix", "/var/lib/nix/relocated", 1)
    return path.replace("/nix", "/var/lib/nix", 1)


def count_packaged(host: System) -> int:
    """Return the number of store paths in the package."""
    return len(json.loads(host.read("/usr/lib/nix-aurora/closure.json"))["paths"])


def _layout(host: System) -> str:
    return host.read("/run/nix-aurora/layout").strip()


def add_program(host: System) -> None:
    """Add a program to the profile of tester, which check_profile() runs."""
    host.run_as("tester", _GREET)


def check_profile(host: System) -> None:
    """Fail unless tester's program starts; by its bare name except in the namespace layout."""
    inside = _layout(host) == "namespace"
    done = host.run_as("tester", "nix-aurora shell greet" if inside else "greet")
    assert done.stdout == "hello from a profile\n"


def check_session(host: System) -> None:
    """Fail unless tester's program starts by its bare name in a user unit and from a menu.

    A desktop session starts programs with the user manager of tester, who lingers.
    """
    host.run(_USER_UNIT)
    for script in ("start greet", _MENU):
        done = host.run_as("tester", f"set -eu\n{_START}{script}")
        assert done.stdout == "hello from a profile\n"


def derivation(script: str) -> str:
    """Return a Nix expression, quoted for a shell, of a derivation that was never built before."""
    return shlex.quote(
        """derivation { name = "built"; system = builtins.currentSystem; builder = "/bin/sh"; """
        f"""args = [ "-c" "{script}" ]; unique = "{next(_count)}"; }}"""
    )


def build(host: System, options: str = "--no-link") -> str:
    """Build something new as tester, in a sandbox; return its store path."""
    done = host.run_as(
        "tester",
        f"nix build --impure --print-out-paths {options} --expr "
        + derivation("cat /proc/self/uid_map >$out"),
    )
    path = done.stdout.strip()
    builder = host.read(physical(path)).split()[1]
    assert host.run(f"id --user --name {builder}").stdout.strip() in NAMES
    return path


def version(host: System) -> str:
    """Return the version of the packaged Nix, which the wrapper and the daemon run."""
    expected = host.run(". /usr/lib/nix-aurora/closure.env; echo $CLOSURE_VERSION").stdout.strip()
    said = host.run_as("tester", "nix --version; nix store info 2>&1").stdout
    assert f"nix (Nix) {expected}\n" in said
    assert f"Version: {expected}\n" in said
    return expected


def check_store(host: System) -> None:
    """Fail unless the packaged Nix is imported completely, and the database matches the store."""
    if _layout(host) == "relocated":
        check_clean(host.run(WHOLE_RELOCATED))
    else:
        check_clean(host.run(_CHECK, env={"SCRIPT": WHOLE}))


def check_works(host: System) -> None:
    """Fail unless all units are up, and a user's build and the program in tester's profile run."""
    assert host.failed_units() == []
    build(host)
    check_profile(host)


def check_whole(host: System) -> None:
    """Fail unless the host is in the complete state after a boot with the package."""
    assert host.failed_units() == []
    check_store(host)
    version(host)
    build(host)
    check_profile(host)
