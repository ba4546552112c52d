"""Check logins, NIX_REMOTE, Fedora's packages of Nix, and SELinux labels."""

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.fixes import Fix
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.gather.logins import Shell
from nix_aurora_host.gather.store import AtNix
from nix_aurora_host.text import printable

LOGIN_BROKEN = Kind("login-broken", Severity.NOTE)
PATH = Kind("path", Severity.ERROR)
NIX_REMOTE = Kind("nix-remote", Severity.ERROR)
FOREIGN_PACKAGES = Kind("foreign-packages", Severity.ERROR)
LABEL = Kind("label", Severity.WARNING)

# With each of these values, a client uses our daemon.
_FITTING = frozenset({"", "auto", "daemon", "unix:///nix/var/nix/daemon-socket/socket"})


def check_logins(facts: Facts) -> Iterator[Finding]:
    """Check that a login with each shell finds the programs of the profiles."""
    store, profile = facts.basics.store, facts.basics.profile
    if store.nix != AtNix.OURS or profile.nix is None or store.relocated:
        return  # logins leave directories that lead nowhere out of PATH
    for shell in facts.shells:
        who = f"a login of {printable(facts.person.name)} in {shell.name}"
        if shell.environment is None:
            message = f"{who} failed, timed out or printed too much: its PATH was not checked"
            fix = fixes.as_person(facts, fixes.command(shell.name, "-l", "-c", "true"))
            yield found(LOGIN_BROKEN, message, fix, shell.name)
        elif paths.PROFILE_BIN not in shell.environment.get("PATH", "").split(":"):
            message = f"{who} does not have {paths.PROFILE_BIN} in PATH"
            yield found(PATH, message, _repair_login(facts, shell), shell.name)


def _repair_login(facts: Facts, shell: Shell) -> Fix:
    if shell.script and not shell.script_intact:
        return fixes.restore(shell.script)
    line = "if [ -r /etc/profile.d/nix.sh ]; then . /etc/profile.d/nix.sh; fi"
    if shell.name == "fish":
        line = f"fish_add_path --path --prepend {paths.PROFILE_BIN} ~/.nix-profile/bin"
    folder = fixes.command("mkdir", "-p", str(PurePath(shell.startup).parent))
    return fixes.as_person(facts, fixes.chain(folder, fixes.append(line, shell.startup)))


def check_remotes(facts: Facts) -> Iterator[Finding]:
    """Check that no NIX_REMOTE of an older installation makes clients bypass our daemon."""
    stale = [remote for remote in facts.remotes if remote.value not in _FITTING]
    files = sorted({remote.path: remote.value for remote in stale if remote.path}.items())
    for path, value in files:
        message = f"{printable(path)} sets NIX_REMOTE={printable(value)}, which bypasses the daemon"
        words = fixes.edit(path, _comment(path))
        own = path.startswith(f"{facts.person.home}/")
        fix = fixes.as_person(facts, fixes.command(*words)) if own else fixes.sudo(*words)
        yield found(NIX_REMOTE, message, fix, path)
    # A value from a file is also in the environment, until the next login.
    if not files and (here := [remote for remote in stale if remote.path is None]):
        value = printable(here[0].value)
        message = f"NIX_REMOTE={value} is set in this shell, which bypasses the daemon"
        yield found(NIX_REMOTE, message, fixes.command("unset", "NIX_REMOTE"))


def _comment(path: str) -> str:
    """Return a sed script that removes the setting; a shell may need a command in its place."""
    command = "" if path.endswith(".conf") or path == "/etc/environment" else ": "
    word = r"(export|set|typeset|declare)[[:space:]].*NIX_REMOTE|NIX_REMOTE"
    return rf"s/^([[:space:]]*)({word})/\1{command}# \2/"


def check_foreign(facts: Facts) -> Iterator[Finding]:
    """Check that Fedora's packages of Nix, which have the same files as ours, are absent."""
    foreign = facts.foreign
    if foreign.packages:
        message = f"Fedora's packages of Nix own the same files: {' '.join(foreign.packages)}"
        yield found(FOREIGN_PACKAGES, message, _remove(facts, foreign.packages))


def _remove(facts: Facts, packages: Sequence[str]) -> Fix:
    if facts.host.ostree:
        return fixes.sudo("rpm-ostree", "uninstall", *packages)
    remove = fixes.sudo("dnf", "remove", *packages)
    if facts.host.image:  # only until the next boot, as the image is built elsewhere
        return fixes.chain(fixes.sudo("bootc", "usr-overlay"), remove)
    return remove


def check_labels(facts: Facts) -> Iterator[Finding]:
    """Check the labels by which SELinux decides what the daemon and systemd may do."""
    for label in facts.basics.labels or ():
        if label.context is None or label.wanted in {None, "", "<<none>>"}:
            continue
        got, wanted = _type(label.context), _type(label.wanted or "")
        if got != wanted:
            message = f"{label.path}: expected the SELinux type {wanted}, got {printable(got)}"
            inside = label.path == paths.BASE or label.path.startswith(f"{paths.BASE}/")
            restore = fixes.sudo("restorecon", "-v", label.path)
            fix = fixes.sudo("nix-aurora", "relabel") if inside else restore
            yield found(LABEL, message, fix, label.path)


def _type(context: str) -> str:
    return context.split(":")[2] if context.count(":") >= 2 else context


CHECKS = (check_foreign, check_logins, check_remotes, check_labels)
