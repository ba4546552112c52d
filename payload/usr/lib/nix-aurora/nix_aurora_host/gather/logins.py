"""What login shells get, and where NIX_REMOTE is set."""

import os
import re
from pathlib import Path

from nix_aurora_host import paths, system
from nix_aurora_host.facts import Person, Remote, Shell
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
_USER_FILES = (
    *(".profile", ".bash_profile", ".bash_login", ".bashrc", ".pam_environment"),
    *(".zshenv", ".zprofile", ".zshrc", ".zlogin", ".config/fish/config.fish"),
)
_USER_FOLDERS = {".config/environment.d": ".conf", ".config/fish/conf.d": ".fish"}
_HOST_FILES = ("/etc/environment",)
_HOST_FOLDERS = {
    "/etc/environment.d": ".conf",
    "/etc/profile.d": ".sh",
    "/etc/fish/conf.d": ".fish",
}
_ASSIGNMENT = re.compile(
    r"^[ \t]*(?:export[ \t]+|(?:set|typeset|declare)[ \t]+-\S+[ \t]+)?NIX_REMOTE(?:[ \t]*=|[ \t]+)"
    r"[ \t]*(?P<quote>[\"']?)(?P<value>[^\"'\s;#]*)(?P=quote)",
    re.MULTILINE,
)


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
    outcome = run(command, person=person, environment=environment, timeout=30)
    _, mark, rest = outcome.stdout.rpartition(f"\n{_MARK}\n")
    pairs = (entry.split("=", 1) for entry in rest.split("\0") if "=" in entry)
    found = {entry[0]: entry[1] for entry in pairs} if mark else None
    script = _SCRIPTS[shell]
    pristine = read(f"{paths.PRISTINE}/{script}") if script else None
    candidates = [f"{person.home}/{name}" for name in _STARTUP[shell]]
    return Shell(
        name=shell,
        environment=found,
        script=script if pristine is not None else None,
        script_intact=pristine is None or pristine == read(f"/etc/{script}"),
        startup=next((path for path in candidates if Path(path).exists()), candidates[0]),
    )


def gather_remotes(person: Person) -> tuple[Remote, ...]:
    """Find every NIX_REMOTE in the environment and in the files that set it for logins."""
    found = []
    files = [*_HOST_FILES, *(f"{person.home}/{name}" for name in _USER_FILES)]
    own = {f"{person.home}/{name}": suffix for name, suffix in _USER_FOLDERS.items()}
    for folder, suffix in {**_HOST_FOLDERS, **own}.items():
        files += [f"{folder}/{name}" for name in names(folder) or () if name.endswith(suffix)]
    for path in files:
        found += [Remote(path, value) for value in find_assignments(read(path) or "")]
    if "NIX_REMOTE" in os.environ:
        found.append(Remote(None, os.environ["NIX_REMOTE"]))
    return tuple(found)


def find_assignments(text: str) -> list[str]:
    """Give the values that a start-up file, of a shell or of systemd, sets NIX_REMOTE to."""
    return [match["value"] for match in _ASSIGNMENT.finditer(text)]
