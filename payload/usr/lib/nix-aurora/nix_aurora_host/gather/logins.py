"""The environment of login shells, and the files that set NIX_REMOTE."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nix_aurora_host import paths, system
from nix_aurora_host.others import exists_untrusted, names_untrusted, read_untrusted
from nix_aurora_host.person import Person
from nix_aurora_host.system import names, read, run

_MARK = "nix-aurora: environment"
# The packaged file below /etc that sets up a shell; the one for fish is in /usr.
_SCRIPTS = {"bash": "profile.d/nix.sh", "zsh": "profile.d/nix.sh", "fish": None}
# The last file of a user that a login reads: the first of these that exists.
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
# Limits for a login: its user writes the start-up files, and root waits for them.
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
    """A login with ``name``; ``environment`` is None if it failed or took too long.

    ``script`` is the packaged file below /etc that sets up the shell, if there is one, and
    ``script_intact`` whether it is unchanged. ``startup`` is the last file of the user that it
    reads.
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
    """Return the environment that env -0 prints after our mark; None if the login ended before."""
    _, mark, rest = text.rpartition(f"\n{_MARK}\n")
    pairs = (entry.split("=", 1) for entry in rest.split("\0") if "=" in entry)
    return {entry[0]: entry[1] for entry in pairs} if mark else None


def gather_remotes(person: Person) -> tuple[Remote, ...]:
    """Return every NIX_REMOTE in the environment and in the files that set it for logins."""
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
    """Return the values for NIX_REMOTE in a start-up file of a shell or of systemd."""
    return [match["value"] for match in _ASSIGNMENT.finditer(text)]
