"""Logins, NIX_REMOTE, Nix's settings, another Nix, SELinux."""

import shlex
from collections.abc import Iterator
from pathlib import PurePath

from nix_aurora_host import facts as kinds
from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.facts import Facts, Shell
from nix_aurora_host.finding import Finding, Severity

# What a client makes the daemon of, as any of them.
_FITTING = frozenset({"", "auto", "daemon", "unix:///nix/var/nix/daemon-socket/socket"})
_NIXD = "/usr/local/bin/determinate-nixd"
_CONF = "/etc/nix/nix.conf"
_CUSTOM = "/etc/nix/nix.custom.conf"
_RELOAD = f"sudo systemctl try-restart {paths.DAEMON}"  # it reads its settings once


def check_logins(facts: Facts) -> Iterator[Finding]:
    """Every shell's login is to find the programs of the profiles."""
    store, profile = facts.basics.store, facts.basics.profile
    if store.nix != kinds.OURS or profile.nix is None or store.layout == "relocated":
        return  # their directories stay out of PATH while they lead nowhere
    for shell in facts.shells:
        who = f"a login of {facts.person.name} in {shell.name}"
        if shell.environment is None:
            message = f"{who} does not come to its end: its PATH was not looked at"
            fix = f"{shell.name} -l -c true"
            yield Finding(f"login-broken:{shell.name}", Severity.WARNING, message, fix)
        elif paths.PROFILE_BIN not in shell.environment.get("PATH", "").split(":"):
            message = f"{who} does not have {paths.PROFILE_BIN} in PATH"
            fix = _repair_login(facts, shell)
            yield Finding(f"path:{shell.name}", Severity.ERROR, message, fix)


def _repair_login(facts: Facts, shell: Shell) -> str:
    if shell.script and not shell.script_intact:
        return fixes.restore(shell.script)
    line = "if [ -r /etc/profile.d/nix.sh ]; then . /etc/profile.d/nix.sh; fi"
    if shell.name == "fish":
        line = f"fish_add_path --path --prepend {paths.PROFILE_BIN} ~/.nix-profile/bin"
    folder, path = shlex.quote(str(PurePath(shell.startup).parent)), shlex.quote(shell.startup)
    return fixes.as_person(facts, f"mkdir -p {folder} && echo {shlex.quote(line)} >>{path}")


def check_remotes(facts: Facts) -> Iterator[Finding]:
    """NIX_REMOTE from an older installation sends clients past our daemon."""
    stale = [remote for remote in facts.remotes if remote.value not in _FITTING]
    files = sorted({remote.path: remote.value for remote in stale if remote.path}.items())
    for path, value in files:
        message = f"{path} sets NIX_REMOTE={value}: Nix does not go through the daemon"
        sed = f"sed --in-place=.before-nix-aurora --regexp-extended {_comment(path)} {path}"
        own = path.startswith(f"{facts.person.home}/")
        fix = fixes.as_person(facts, sed) if own else f"sudo {sed}"
        yield Finding(f"nix-remote:{path}", Severity.ERROR, message, fix)
    # A file's setting is in the environment, too, until the next login.
    if not files and (here := [remote for remote in stale if remote.path is None]):
        message = f"NIX_REMOTE={here[0].value} is set here: Nix does not go through the daemon"
        yield Finding("nix-remote", Severity.ERROR, message, "unset NIX_REMOTE")


def _comment(path: str) -> str:
    """Give a sed script that takes the setting out; a shell may need a command in its place."""
    command = "" if path.endswith(".conf") or path == "/etc/environment" else ": "
    word = r"(export|set|typeset|declare)[[:space:]].*NIX_REMOTE|NIX_REMOTE"
    return shlex.quote(rf"s/^([[:space:]]*)({word})/\1{command}# \2/")


def check_settings(facts: Facts) -> Iterator[Finding]:
    """Nix has to understand its settings; the packaged nix.conf gets our newer defaults."""
    settings = facts.settings
    if not settings.exists:
        message = f"{_CONF} is missing: Nix uses its own defaults, not the packaged ones"
        yield Finding("nix-conf-missing", Severity.WARNING, message, _restore(_CONF))
    elif settings.differs:
        message = f"{_CONF} is not the packaged one, and gets no newer defaults from upgrades"
        fix = f"diff -u {paths.PRISTINE}/nix/nix.conf {_CONF}"
        yield Finding("nix-conf-changed", Severity.NOTE, message, fix)
    if settings.error is not None:
        path = settings.error_path
        if path in {_CONF, _CUSTOM}:
            fix = _restore(path)
        elif path:
            quoted = shlex.quote(path)
            move = f"mv --backup=numbered {quoted} {quoted}.broken"
            own = path.startswith(f"{facts.person.home}/")
            fix = fixes.as_person(facts, move) if own else f"sudo {move} && {_RELOAD}"
        else:
            fix = f"diff -ru {paths.PRISTINE}/nix /etc/nix"
        message = f"Nix does not understand its settings: {settings.error}"
        yield Finding("nix-conf-broken", Severity.ERROR, message, fix)


def _restore(path: str) -> str:
    return f"{fixes.restore(path.removeprefix('/etc/'))} && {_RELOAD}"


def check_foreign(facts: Facts) -> Iterator[Finding]:
    """Another Nix on the machine gets in the way sooner or later."""
    foreign = facts.foreign
    if foreign.receipt:
        message = "/nix/receipt.json: Determinate's installer has installed a Nix of its own"
        fix = "sudo mv /nix/receipt.json /nix/receipt.json.before-nix-aurora"
        if foreign.uninstaller and facts.basics.store.nix != kinds.OURS:
            fix = "sudo /nix/nix-installer uninstall"
        yield Finding("foreign-receipt", Severity.WARNING, message, fix)
    if foreign.nixd:
        message = f"{_NIXD} is there: Determinate's daemon, which the package does not use"
        fix = f"sudo mv {_NIXD} {_NIXD}.before-nix-aurora"
        yield Finding("foreign-nixd", Severity.WARNING, message, fix)
    if foreign.packages:
        names = " ".join(foreign.packages)
        tool = "rpm-ostree uninstall" if facts.host.ostree else "dnf remove"
        message = f"Fedora's packages of Nix own the same files: {names}"
        yield Finding("foreign-packages", Severity.ERROR, message, f"sudo {tool} {names}")


def check_labels(facts: Facts) -> Iterator[Finding]:
    """SELinux decides by labels what the daemon and systemd may do."""
    for label in facts.basics.labels or ():
        if label.context is None or label.wanted in {None, "", "<<none>>"}:
            continue
        got, wanted = _type(label.context), _type(label.wanted or "")
        if got != wanted:
            message = f"{label.path}: expected the SELinux type {wanted}, got {got}"
            inside = label.path == paths.BASE or label.path.startswith(f"{paths.BASE}/")
            fix = "sudo nix-aurora relabel" if inside else f"sudo restorecon -v {label.path}"
            yield Finding(f"label:{label.path}", Severity.WARNING, message, fix)


def _type(context: str) -> str:
    return context.split(":")[2] if context.count(":") >= 2 else context


CHECKS = (
    check_foreign,
    check_logins,
    check_remotes,
    check_settings,
    check_labels,
)
