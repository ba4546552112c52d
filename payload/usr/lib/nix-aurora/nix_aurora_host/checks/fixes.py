"""Commands that several findings name. Each is one line, run by an administrator's shell."""

import shlex

from nix_aurora_host import paths
from nix_aurora_host.facts import Facts, Unit

_ASK = f"sudo install -D -m 0600 /dev/null {paths.IMPORT_NEEDED}"


def unit(facts: Facts, name: str) -> Unit:
    """Give a unit; one that systemd did not tell of is taken to be well."""
    return facts.basics.units.get(name) or Unit(name)


def reinstall(facts: Facts) -> str:
    """Bring the package's files back, as the kind of host wants it."""
    if not facts.host.ostree:
        return "sudo dnf reinstall nix-aurora && " + repeat_import(facts)
    # The damaged object is in the repository that every deployment is made from.
    drop = "sudo ostree fsck --delete; "
    if facts.host.layered:
        return drop + "sudo rpm-ostree uninstall nix-aurora && sudo rpm-ostree install nix-aurora"
    return drop + "sudo bootc upgrade"


def repeat_import(facts: Facts) -> str:
    """Import again, whatever the stamp says; what is there and right stays."""
    unmask = f"{unmask_unit(unit(facts, paths.SETUP))} && "
    masked = unit(facts, paths.SETUP).masked
    return f"{unmask if masked else ''}{_ASK} && sudo systemctl restart {paths.SETUP}"


def cure_import(facts: Facts) -> str:
    """Get what the import brings: from the archive, if that is whole."""
    if not facts.archive.is_of(facts.basics.closure):
        return reinstall(facts)
    return repeat_import(facts)


def unmask_unit(masked: Unit) -> str:
    """Take a mask away."""
    runtime = "--runtime " if masked.file_state == "masked-runtime" else ""
    return f"sudo systemctl unmask {runtime}{masked.name}"


def start_socket(facts: Facts) -> str:
    """Enable and start the socket, which systemd refuses while its service is running."""
    running = unit(facts, paths.DAEMON).active in {"active", "deactivating"}
    stop = f"sudo systemctl stop {paths.DAEMON} && " if running else ""
    return f"{stop}sudo systemctl enable --now {paths.SOCKET}"


def restart_daemon() -> str:
    """Start daemon and socket anew, even where systemd has given up on them."""
    return (
        f"sudo systemctl reset-failed {paths.SOCKET} {paths.DAEMON}; "
        f"sudo systemctl stop {paths.SOCKET} {paths.DAEMON} && sudo systemctl start {paths.SOCKET}"
    )


def restore(setting: str) -> str:
    """Bring a file below /etc back as it was packaged, and keep a copy of what is there."""
    source, target = f"{paths.PRISTINE}/{setting}", f"/etc/{setting}"
    return f"sudo install -D -m 0644 --backup=numbered {source} {target}"


def as_person(facts: Facts, script: str) -> str:
    """Run a line of shell as the person whose logins were looked at."""
    if not facts.person.through_sudo:
        return script
    quoted = shlex.quote(script)
    return f"sudo -u {shlex.quote(facts.person.name)} sh -c {quoted}"
