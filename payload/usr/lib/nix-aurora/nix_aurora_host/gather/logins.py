"""What login shells get, and where NIX_REMOTE is set."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nix_aurora_host import paths, system
from nix_aurora_host.others import exists_untrusted, names_untrusted, read_untrusted
from nix_aurora_host.person import Person
from nix_aurora_host.system import names, read, run

_MARK = "nix-aurora: environment"
# The packaged file below /etc that sets a shell up; fish has its own in /usr.
_SCRIPTS = {"bash": "profile.d/nix.sh", "zsh": "profile.d/nix.sh", "fish": None}
# The last file of a user's that a login reads; of several, the first that is there.
_STARTUP = {
    "bash": (".bash_profile", ".bash_login", ".profile"),
    "zsh": (".zlogin",),
    "fish": (".config/fish/config.fish",),
}
USER_FILES = (
    *(".profile", ".bash_profile", ".bash_login", ".bashrc", ".pam_environment"),
    *(".zshenv", ".zprofile", ".zshrc", ".zlogin", ".config/fish/config.fish"),
)
USER_FOLDERS = {".config/environment.d": ".conf", ".config/fish/conf.d": ".fish"}
HOST_FILES = ("/etc/environment",)
HOST_FOLDERS = {
    "/etc/environment.d": ".conf",
    "/etc/profile.d": ".sh",
    "/etc/fish/conf.d": ".fish",
}
# What a login may take and leave: its files are its user's, and root waits for them.
_SECONDS = 30
_BYTES = 1 << 20
_MEMORY = 2 << 30
_ASSIGNMENT = re.compile(
    r"^[ \t]*(?:export[ \t]+|(?:set|typeset|declare)[ \t]+-\S+[ \t]+)?NIX_REMOTE(?:[ \t]*=|[ \t]+)"
    r"[ \t]*(?P<quote>[\"']?)(?P<value>[^\"'\s;#]*)(?P=quote)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Shell:
    """What a login in ``name`` has; ``environment`` is None where it did not come to its end.

    ``script`` is the packaged file below /etc that sets it up, if it has one, and
    ``script_intact`` tells whether that is as packaged. ``startup`` is the user's last file.
    """

    name: str
    environment: Mapping[str, str] | None
    script: str | None
    script_intact: bool
    startup: str


@dataclass(frozen=True, slots=True)
class Remote:
    """A setting of NIX_REMOTE; ``path`` is None for the environment of this process."""

    path: str | None
    value: str


def gather_shells(person: Person) -> tuple[Shell, ...]:
    """Log in with each shell that is installed, and read its environment."""
    return tuple(
        _login(shell, person)
        for shell in _SCRIPTS
        if any(os.access(f"{folder}/{shell}", os.X_OK) for folder in ("/usr/bin", "/bin"))
    )


def _login(shell: str, person: Person) -> Shell:
    environment = {
        "HOME": person.home,
        "USER": person.name,
        "LOGNAME": person.name,
        "SHELL": f"/usr/bin/{shell}",
        "TERM": "dumb",
        "PATH": system.PATH,
    }
    command = [shell, "-l", "-c", f"echo; echo '{_MARK}'; /usr/bin/env -0"]
    outcome = run(
        command,
        person=person,
        environment=environment,
        timeout=_SECONDS,
        limit=_BYTES,
        memory=_MEMORY,
    )
    script = _SCRIPTS[shell]
    pristine = read(f"{paths.PRISTINE}/{script}") if script else None
    candidates = _STARTUP[shell]
    there = (name for name in candidates if exists_untrusted(person.home, name))
    return Shell(
        name=shell,
        environment=parse_login(outcome.stdout),
        script=script if pristine is not None else None,
        script_intact=pristine is None or pristine == read(f"/etc/{script}"),
        startup=f"{person.home}/{next(there, candidates[0])}",
    )


def parse_login(text: str) -> dict[str, str] | None:
    """Return the environment that env -0 prints after our mark; None where a login ended before."""
    _, mark, rest = text.rpartition(f"\n{_MARK}\n")
    pairs = (entry.split("=", 1) for entry in rest.split("\0") if "=" in entry)
    return {entry[0]: entry[1] for entry in pairs} if mark else None


def gather_remotes(person: Person) -> tuple[Remote, ...]:
    """Find every NIX_REMOTE in the environment and in the files that set it for logins."""
    found = [
        Remote(path, value)
        for path, text in (*_host_files(), *_files_of(person))
        for value in find_assignments(text)
    ]
    if "NIX_REMOTE" in os.environ:
        found.append(Remote(None, os.environ["NIX_REMOTE"]))
    return tuple(found)


def _host_files() -> Iterator[tuple[str, str]]:
    files = list(HOST_FILES)
    for folder, suffix in HOST_FOLDERS.items():
        files += [f"{folder}/{name}" for name in names(folder) or () if name.endswith(suffix)]
    for path in files:
        if (text := read(path)) is not None:
            yield path, text


def _files_of(person: Person) -> Iterator[tuple[str, str]]:
    files = list(USER_FILES)
    for folder, suffix in USER_FOLDERS.items():
        inside = names_untrusted(person.home, folder)
        files += [f"{folder}/{name}" for name in inside if name.endswith(suffix)]
    for name in files:
        if (text := read_untrusted(person.home, name)) is not None:
            yield f"{person.home}/{name}", text


def find_assignments(text: str) -> list[str]:
    """Return the values that a start-up file, of a shell or of systemd, sets NIX_REMOTE to."""
    return [match["value"] for match in _ASSIGNMENT.finditer(text)]
