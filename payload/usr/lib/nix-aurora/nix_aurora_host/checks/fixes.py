"""Build the commands that findings name. Each is one line for an administrator's shell.

They name only constants and text that root wrote, never text from a file that a user can write. The
exception is the path of a person's own file, in commands that run as that person.
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
"""The suffix that a fix adds to the name of a file that it sets aside."""

_OWN_LINE = r"\n%s\n"  # for printf; the file may lack its last newline
LOOK_AS_ROOT = Fix("sudo nix-aurora doctor")
COLLECT = Fix("sudo nix-aurora gc run")


def command(*words: str) -> Fix:
    """Return a command made of ``words``."""
    return Fix(text.command(words))


def sudo(*words: str) -> Fix:
    """Return a command that root runs."""
    return command("sudo", *words)


def systemctl(*words: str) -> Fix:
    """Return a systemctl command that root runs."""
    return sudo("systemctl", *words)


def chain(*steps: Fix) -> Fix:
    """Return all ``steps`` as one command; each runs only if the one before it succeeds."""
    return Fix(" && ".join(steps))


def regardless(first: Fix, then: Fix) -> Fix:
    """Return two steps as one command; the second runs even if the first fails."""
    return Fix(f"{first}; {then}")


def append(line: str, path: str) -> Fix:
    """Return a command of ``path``'s owner that adds a line to the file."""
    return Fix(f"{command('printf', _OWN_LINE, line)} >>{command(path)}")


def append_as_root(line: str, path: str) -> Fix:
    """Return a command that adds a line to a file that belongs to root."""
    return Fix(f"{command('printf', _OWN_LINE, line)} | {sudo('tee', '--append', path)}")


def edit(path: str, script: str) -> tuple[str, ...]:
    """Return the words of a command that applies a sed script to a file, and keeps a copy."""
    options = (f"--in-place={SUFFIX}", "--follow-symlinks", "--regexp-extended")
    return ("sed", *options, script, path)


def comment_out(path: str, line: int) -> tuple[str, ...]:
    """Return the words of a command that comments out one line of a file."""
    return edit(path, f"{line}s/^/# /")


def put_aside(path: str) -> tuple[str, ...]:
    """Return the words of a command that renames a file to a name that no program reads."""
    return ("mv", "--backup=numbered", "--no-target-directory", path, f"{path}{SUFFIX}")


def set_aside(facts: Facts, trace: Trace | None) -> Fix:
    """Return a command that sets aside ``trace`` of another Nix, or all if there are more."""
    alone = trace is not None and len(facts.basics.former.traces) == 1
    words = [trace.path] if trace and alone else []
    return sudo("nix-aurora", "set-aside", *words)


def adopt(stores: Sequence[FormerStore], wanted: FormerStore) -> Fix:
    """Return a command that takes over a store of another Nix; it names one of several."""
    words = ["--from", wanted.path or wanted.source] if len(stores) > 1 else []
    return sudo("nix-aurora", "adopt", *words)


def as_person(facts: Facts, fix: Fix) -> Fix:
    """Return ``fix`` as a command that runs as the person whose logins were checked."""
    if not facts.person.through_sudo:
        return fix
    return sudo("-u", facts.person.name, "bash", "-c", fix)


def unit(facts: Facts, name: str) -> Unit:
    """Return a unit; one that systemd did not report counts as healthy."""
    return facts.basics.units.get(name) or Unit(name)


def reinstall(facts: Facts) -> Fix:
    """Return a command that restores the package's files on this kind of host."""
    if not facts.host.image:
        return chain(sudo("dnf", "reinstall", "nix-aurora"), repeat_import(facts))
    upgrade = sudo("bootc", "upgrade")
    if not facts.host.ostree:
        return upgrade
    # The damaged object is in the repository, from which every deployment is made.
    drop = sudo("ostree", "fsck", "--delete")
    if not facts.host.layered:
        return regardless(drop, upgrade)
    remove, install = (sudo("rpm-ostree", verb, "nix-aurora") for verb in ("uninstall", "install"))
    return regardless(drop, chain(remove, install))


def upgrade(facts: Facts) -> Fix:
    """Return a command that upgrades the package in the way it was installed on this host."""
    line = upgrade_command(facts.basics.upgrades)
    step = sudo("rpm-ostree" if facts.host.layered else "bootc", "upgrade")
    if line is not None:
        step = Fix(line)
    return chain(step, systemctl("reboot") if facts.host.image else repeat_import(facts))


def repeat_import(facts: Facts) -> Fix:
    """Return a command that imports again despite the stamp; intact paths stay."""
    setup = unit(facts, paths.SETUP)
    steps = [unmask_unit(setup)] if setup.masked else []
    return chain(*steps, ask_for_import(), systemctl("restart", paths.SETUP))


def ask_for_import() -> Fix:
    """Return a command after which the next import checks everything, despite its stamp."""
    return sudo("install", "-D", "-m", "0600", "/dev/null", paths.IMPORT_NEEDED)


def cure_import(facts: Facts) -> Fix:
    """Return a command that imports again, after it has restored the package if that is damaged."""
    if not facts.packaged.whole:
        return reinstall(facts)
    return repeat_import(facts)


def unmask_unit(masked: Unit) -> Fix:
    """Return a command that unmasks a unit."""
    runtime = ["--runtime"] if masked.file_state == "masked-runtime" else []
    return systemctl("unmask", *runtime, masked.name)


def start_socket(facts: Facts) -> Fix:
    """Return a command that enables and starts the socket; systemd needs its service stopped."""
    running = unit(facts, paths.DAEMON).active in {"active", "deactivating"}
    steps = [systemctl("stop", paths.DAEMON)] if running else []
    return chain(*steps, systemctl("enable", "--now", paths.SOCKET))


def restart_daemon() -> Fix:
    """Return a command that restarts daemon and socket, even after systemd gave up on them."""
    both = (paths.SOCKET, paths.DAEMON)
    again = chain(systemctl("stop", *both), systemctl("start", paths.SOCKET))
    return regardless(systemctl("reset-failed", *both), again)


def reload_daemon() -> Fix:
    """Return a command that makes the daemon read its settings again."""
    return systemctl("try-restart", paths.DAEMON)


def restore(setting: str) -> Fix:
    """Return a command that restores a packaged file below /etc, and keeps the present one."""
    source, target = f"{paths.PRISTINE}/{setting}", f"/etc/{setting}"
    return sudo("install", "-D", "-m", "0644", "--backup=numbered", source, target)
