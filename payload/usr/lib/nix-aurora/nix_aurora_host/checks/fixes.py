"""Commands that findings name, built from words. Each is one line for an administrator's shell.

Nothing in them comes from a file that its user can write: they name constants, and what root has
written. The exception is a person's own file, which is named to commands that run as that person.
"""

from collections.abc import Sequence
from typing import NewType

from nix_aurora_host import paths, text
from nix_aurora_host.former.facts import FormerStore, Trace
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.gather.units import Unit
from nix_aurora_host.gather.upgrades import upgrade_command

Fix = NewType("Fix", str)
"""A line for a shell; only this module makes one."""

SUFFIX = ".before-nix-aurora"
"""What a file that a fix puts aside is called by, behind its name."""

_OWN_LINE = r"\n%s\n"  # for printf: the file may lack its last newline
LOOK_AS_ROOT = Fix("sudo nix-aurora doctor")
COLLECT = Fix("sudo nix-aurora gc run")


def command(*words: str) -> Fix:
    """Return a command made of ``words``."""
    return Fix(text.command(words))


def sudo(*words: str) -> Fix:
    """Return a command that root runs."""
    return command("sudo", *words)


def systemctl(*words: str) -> Fix:
    """Return a command to systemd."""
    return sudo("systemctl", *words)


def chain(*steps: Fix) -> Fix:
    """Return all ``steps``, each to be run if the one before it succeeds."""
    return Fix(" && ".join(steps))


def regardless(first: Fix, then: Fix) -> Fix:
    """Return two steps; the second is run however the first ends."""
    return Fix(f"{first}; {then}")


def append(line: str, path: str) -> Fix:
    """Return a command of ``path``'s owner that adds a line to the file."""
    return Fix(f"{command('printf', _OWN_LINE, line)} >>{command(path)}")


def append_as_root(line: str, path: str) -> Fix:
    """Return a command that adds a line to a file of root's."""
    return Fix(f"{command('printf', _OWN_LINE, line)} | {sudo('tee', '--append', path)}")


def edit(path: str, script: str) -> tuple[str, ...]:
    """Return the words of a command that applies a script of sed to a file, and keeps a copy."""
    options = (f"--in-place={SUFFIX}", "--follow-symlinks", "--regexp-extended")
    return ("sed", *options, script, path)


def comment_out(path: str, line: int) -> tuple[str, ...]:
    """Return the words of a command that makes a comment of one line of a file."""
    return edit(path, f"{line}s/^/# /")


def put_aside(path: str) -> tuple[str, ...]:
    """Return the words of a command that gives a file a name that nothing reads."""
    return ("mv", "--backup=numbered", "--no-target-directory", path, f"{path}{SUFFIX}")


def set_aside(facts: Facts, trace: Trace | None) -> Fix:
    """Put aside what another Nix has left: ``trace``, or where there are more, all at once."""
    alone = trace is not None and len(facts.basics.former.traces) == 1
    words = [trace.path] if trace and alone else []
    return sudo("nix-aurora", "set-aside", *words)


def adopt(stores: Sequence[FormerStore], wanted: FormerStore) -> Fix:
    """Take a store of another Nix over, named where there are several."""
    words = ["--from", wanted.path or wanted.source] if len(stores) > 1 else []
    return sudo("nix-aurora", "adopt", *words)


def as_person(facts: Facts, fix: Fix) -> Fix:
    """Return what runs ``fix`` as the person whose logins were looked at."""
    if not facts.person.through_sudo:
        return fix
    return sudo("-u", facts.person.name, "bash", "-c", fix)


def unit(facts: Facts, name: str) -> Unit:
    """Return a unit; one that systemd did not tell of is taken to be well."""
    return facts.basics.units.get(name) or Unit(name)


def reinstall(facts: Facts) -> Fix:
    """Bring the package's files back, as the kind of host wants it."""
    if not facts.host.image:
        return chain(sudo("dnf", "reinstall", "nix-aurora"), repeat_import(facts))
    upgrade = sudo("bootc", "upgrade")
    if not facts.host.ostree:
        return upgrade
    # The damaged object is in the repository that every deployment is made from.
    drop = sudo("ostree", "fsck", "--delete")
    if not facts.host.layered:
        return regardless(drop, upgrade)
    remove, install = (sudo("rpm-ostree", verb, "nix-aurora") for verb in ("uninstall", "install"))
    return regardless(drop, chain(remove, install))


def upgrade(facts: Facts) -> Fix:
    """Return commands that upgrade the package, in the way in which this host has it."""
    line = upgrade_command(facts.basics.upgrades)
    step = sudo("rpm-ostree" if facts.host.layered else "bootc", "upgrade")
    if line is not None:
        step = Fix(line)
    return chain(step, systemctl("reboot") if facts.host.image else repeat_import(facts))


def repeat_import(facts: Facts) -> Fix:
    """Import again, whatever the stamp says; what is there and right stays."""
    setup = unit(facts, paths.SETUP)
    steps = [unmask_unit(setup)] if setup.masked else []
    return chain(*steps, ask_for_import(), systemctl("restart", paths.SETUP))


def ask_for_import() -> Fix:
    """Have the next start of the import look at everything, whatever its stamp says."""
    return sudo("install", "-D", "-m", "0600", "/dev/null", paths.IMPORT_NEEDED)


def cure_import(facts: Facts) -> Fix:
    """Get what the import brings: from the package, if that is whole."""
    if not facts.packaged.whole:
        return reinstall(facts)
    return repeat_import(facts)


def unmask_unit(masked: Unit) -> Fix:
    """Take a mask away."""
    runtime = ["--runtime"] if masked.file_state == "masked-runtime" else []
    return systemctl("unmask", *runtime, masked.name)


def start_socket(facts: Facts) -> Fix:
    """Enable and start the socket, which systemd refuses while its service is running."""
    running = unit(facts, paths.DAEMON).active in {"active", "deactivating"}
    steps = [systemctl("stop", paths.DAEMON)] if running else []
    return chain(*steps, systemctl("enable", "--now", paths.SOCKET))


def restart_daemon() -> Fix:
    """Start daemon and socket anew, even where systemd has given up on them."""
    both = (paths.SOCKET, paths.DAEMON)
    again = chain(systemctl("stop", *both), systemctl("start", paths.SOCKET))
    return regardless(systemctl("reset-failed", *both), again)


def reload_daemon() -> Fix:
    """Return a command that makes the daemon read its settings again."""
    return systemctl("try-restart", paths.DAEMON)


def restore(setting: str) -> Fix:
    """Return a command that restores the packaged file below /etc, and keeps the present one."""
    source, target = f"{paths.PRISTINE}/{setting}", f"/etc/{setting}"
    return sudo("install", "-D", "-m", "0644", "--backup=numbered", source, target)
