"""Check that Nix's settings are valid, packaged, readable and safe."""

from collections.abc import Iterator

from nix_aurora_host import nixconf, paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.fixes import Fix
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.nixconf import Place
from nix_aurora_host.text import printable

NIX_CONF_MISSING = Kind("nix-conf-missing", Severity.WARNING)
NIX_CONF_CHANGED = Kind("nix-conf-changed", Severity.NOTE)
NIX_CONF_PRIVATE = Kind("nix-conf-private", Severity.NOTE)
NIX_CONF_BROKEN = Kind("nix-conf-broken", Severity.ERROR)
UNSAFE_SETTING = Kind("unsafe-setting", Severity.WARNING)
USERS_UNKNOWN = Kind("users-unknown", Severity.WARNING)

_CONF = "/etc/nix/nix.conf"
_CUSTOM = "/etc/nix/nix.custom.conf"
_SAFE = {
    "build-users-group": "nixbld",
    "require-sigs": "true",
    "sandbox": "true",
    "sandbox-fallback": "false",
    "trusted-users": "root",
}
_EFFECT = {
    "build-users-group": "builds run as root",
    "require-sigs": "Nix accepts store paths without a trusted signature",
    "sandbox": "builds see the host's files and network",
    "sandbox-fallback": "if the sandbox cannot be created, builds run without it",
    "trusted-users": "the users in it can do anything that root can; name users one by one",
}


def check_settings(facts: Facts) -> Iterator[Finding]:
    """Check that Nix accepts its settings, and that nix.conf is the packaged one."""
    settings = facts.settings
    if not settings.exists:
        message = f"{_CONF} is missing: Nix uses its own defaults, not the packaged ones"
        yield found(NIX_CONF_MISSING, message, _restore(_CONF))
    elif settings.differs and not facts.basics.former.at(_CONF):
        message = f"{_CONF} is not the packaged one, and gets no newer defaults from upgrades"
        fix = fixes.command("diff", "-u", f"{paths.PRISTINE}/nix/nix.conf", _CONF)
        yield found(NIX_CONF_CHANGED, message, fix)
    if settings.private:
        message = f"{_CUSTOM} is readable only by root: nix commands of users ignore it"
        yield found(NIX_CONF_PRIVATE, message, fixes.sudo("chmod", "0644", _CUSTOM))
    if settings.error is not None:
        place = settings.place or Place(_CUSTOM, 0)
        where = f"{printable(place.path)}{f', line {place.line}' if place.line else ''}"
        message = f"Nix does not understand {where}: {printable(settings.error)}"
        yield found(NIX_CONF_BROKEN, message, _repair(facts, place))


def _repair(facts: Facts, place: Place) -> Fix:
    own = not facts.settings.broken_for_all
    if place.line:
        words = fixes.comment_out(place.path, place.line)
    elif place.path in {_CONF, _CUSTOM} and not own:
        return _restore(place.path)
    else:
        words = fixes.put_aside(place.path)
    if own:
        return fixes.as_person(facts, fixes.command(*words))
    return fixes.chain(fixes.sudo(*words), _restart(facts))


def _restart(facts: Facts) -> Fix:
    """Return a command that makes the daemon read its settings, even after it failed too often."""
    units = (fixes.unit(facts, name) for name in (paths.SOCKET, paths.DAEMON))
    failed = any(unit.active == "failed" for unit in units)
    return fixes.restart_daemon() if failed else fixes.reload_daemon()


def _restore(path: str) -> Fix:
    return fixes.chain(fixes.restore(path.removeprefix("/etc/")), fixes.reload_daemon())


def check_safety(facts: Facts) -> Iterator[Finding]:
    """Check that no setting lets builds or users act as root."""
    if not facts.settings.exists:
        return  # check_settings reports the missing file, and Nix uses its own defaults
    for name, value in facts.settings.values.items():
        if not nixconf.is_unsafe(name, value):
            continue
        place = facts.settings.places.get(name)
        where = f"{printable(place.path)}, line {place.line}: " if place else ""
        shown = printable(value) or "nothing"
        message = f"{where}{name} is {shown}: {_EFFECT[name]}"
        if place:
            change = fixes.sudo(*fixes.comment_out(place.path, place.line))
        else:
            change = fixes.append_as_root(f"{name} = {_SAFE[name]}", _CUSTOM)
        yield found(UNSAFE_SETTING, message, fixes.chain(change, fixes.reload_daemon()), name)


def check_unknown_users(facts: Facts) -> Iterator[Finding]:
    """Find users in the settings that Nix cannot look up, as they are not in /etc/passwd."""
    for name, numbers in facts.settings.unknown.items():
        listed = " ".join(map(str, numbers))
        message = (
            f"{name} names users that Nix cannot find, since they are not in /etc/passwd or "
            f"/etc/group: expected their numbers, {listed}"
        )
        line = fixes.append_as_root(f"extra-{name} = {listed}", _CUSTOM)
        yield found(USERS_UNKNOWN, message, fixes.chain(line, fixes.reload_daemon()), name)


CHECKS = (check_settings, check_safety, check_unknown_users)
