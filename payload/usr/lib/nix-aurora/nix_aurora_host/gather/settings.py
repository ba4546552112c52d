"""Nix's settings: what Nix says about them, where, and which of them are unsafe."""

import grp
import json
import os
import pwd
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nix_aurora_host import nixconf, paths
from nix_aurora_host.gather.closure import Closure
from nix_aurora_host.gather.store import AtNix, Store
from nix_aurora_host.nixconf import Place
from nix_aurora_host.others import read_untrusted
from nix_aurora_host.person import Person
from nix_aurora_host.system import NOT_STARTED, TIMED_OUT, TOO_MUCH, Outcome, read, run

CONF = paths.NIX_CONF
CUSTOM = paths.CUSTOM_CONF
XDG = "/etc/xdg/nix/nix.conf"
OWN = ".config/nix/nix.conf"  # below a home
_SHOW = ["config", "show", "--extra-experimental-features", "nix-command"]
_WITH_NIX = "/usr/libexec/nix-aurora/with-nix"
_NSCD = ("/run/nscd/socket", "/var/run/nscd/socket")
# Prefixes of what a terminal would show in color.
_ERROR = re.compile(r"^\s*error: *(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Settings:
    """/etc/nix/nix.conf, and what Nix says about all of its settings.

    ``error`` is Nix's own text, ``place`` where it is, as far as doctor knows that place, and
    ``broken_for_all`` tells whether the daemon has it, too. ``values`` are the daemon's settings
    that matter here, ``places`` where they are set, and ``unknown`` maps a list of users to the
    user ids that it names in a way that Nix does not understand.
    """

    exists: bool = True
    differs: bool = False
    private: bool = False  # users cannot read nix.custom.conf
    error: str | None = None
    place: Place | None = None
    broken_for_all: bool = False
    starts: bool = True  # the packaged Nix does
    values: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    unknown: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def gather_settings(closure: Closure, store: Store, person: Person) -> Settings:
    """Compare nix.conf with the packaged one, and let Nix read everything that it would."""
    ours, now = read(f"{paths.PRISTINE}/nix/nix.conf"), read(CONF)
    exists, differs = now is not None, None not in {ours, now} and ours != now
    private = _is_private(CUSTOM)
    if closure.nix in store.missing or (paths.RELOCATED and store.nix != AtNix.OURS):
        return Settings(exists, differs, private)  # Nix does not start there
    shared = {path: text for path in _shared_files() if (text := read(path)) is not None}
    everybody = _ask(closure, store, None, ["--json"])
    error = parse_error(everybody)
    if error is not None:
        place = nixconf.find_error(error, shared, os.path.exists) or _whole(shared)
        return Settings(exists, differs, private, error, place, broken_for_all=True)
    values = parse_values(everybody.stdout)
    unknown = {} if any(map(os.path.exists, _NSCD)) else _find_unknown(values)
    place = None
    if person.uid != 0 and (error := parse_error(_ask(closure, store, person, []))) is not None:
        own = {f"{person.home}/{OWN}": read_untrusted(person.home, OWN) or ""}
        place = nixconf.find_error(error, own, os.path.exists) or _whole(own)
    return Settings(
        exists,
        differs,
        private,
        error,
        place,
        starts=has_started(everybody),
        values=values,
        places=nixconf.find_unsafe(shared),
        unknown=unknown,
    )


def _shared_files() -> list[str]:
    """Return the files that the daemon reads and that this user may, in Nix's order."""
    files = [CONF, paths.GC_CONF, CUSTOM, XDG]
    return [*files, f"{_home_of_root()}/{OWN}"] if os.geteuid() == 0 else files


def _home_of_root() -> str:
    return pwd.getpwuid(0).pw_dir


def _ask(closure: Closure, store: Store, person: Person | None, options: list[str]) -> Outcome:
    """Let the packaged Nix show its settings: the daemon's, or those of ``person``."""
    command = [*paths.nix_command(closure.nix, "nix"), *_SHOW, *options]
    if not paths.RELOCATED and store.nix != AtNix.OURS:
        command = [_WITH_NIX, *command]
    if person is not None:
        return run(command, person=person, environment={"HOME": person.home})
    files = [XDG]
    if os.geteuid() == 0:
        files = [f"{_home_of_root()}/{OWN}", XDG]
    environment = {"HOME": "/", "NIX_USER_CONF_FILES": ":".join(files)}
    return run(command, environment=environment)


def parse_error(outcome: Outcome) -> str | None:
    """Return what Nix does not understand; None where it does, or did not get so far."""
    if outcome.code in {0, NOT_STARTED, TIMED_OUT, TOO_MUCH}:
        return None
    errors = _ERROR.findall(outcome.stderr)
    return errors[-1].strip() if errors else None


def has_started(outcome: Outcome) -> bool:
    """Return whether Nix was able to start; also where nothing has tried to start it."""
    if outcome.code in {0, TIMED_OUT, TOO_MUCH}:
        return True
    return outcome.stderr.startswith("nix-aurora: ")  # with-nix, which could make no namespace


def parse_values(text: str) -> dict[str, str]:
    """Return the settings that matter here, from nix config show --json."""
    try:
        content = json.loads(text)
        pairs = {name: content[name]["value"] for name in (*nixconf.UNSAFE, *nixconf.USERS)}
    except (ValueError, KeyError, TypeError):
        return {}
    return {name: _text(value) for name, value in pairs.items()}


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _find_unknown(values: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    users, groups = (_names(read(f"/etc/{name}") or "") for name in ("passwd", "group"))
    return find_unknown(values, users, groups, _ids_of)


def _names(text: str) -> frozenset[str]:
    return frozenset(line.split(":", 1)[0] for line in text.splitlines())


def _ids_of(word: str) -> tuple[int, ...]:
    """Return the user ids that the host knows a user, or the members of @GROUP, by."""
    try:
        if not word.startswith("@"):
            return (pwd.getpwnam(word).pw_uid,)
        members = grp.getgrnam(word[1:]).gr_mem
    except KeyError:
        return ()
    return tuple(number for name in members for number in _ids_of(name.lstrip("@")))


def find_unknown(
    values: Mapping[str, str],
    users: frozenset[str],
    groups: frozenset[str],
    ids_of: Callable[[str], tuple[int, ...]],
) -> dict[str, tuple[int, ...]]:
    """Return the ids that lists of users name, by names that only the host's C library knows.

    Nix's own reads /etc/passwd and /etc/group alone, not sssd's, systemd-homed's or LDAP's. A user
    that it does not know is called by number.
    """
    found = {}
    for setting in nixconf.USERS:
        words = values.get(setting, "").split()
        foreign = [
            word
            for word in words
            if word != "*" and not word.isdecimal()
            if (word[1:] not in groups if word.startswith("@") else word not in users)
        ]
        ids = {number for word in foreign for number in ids_of(word)}
        if missing := sorted(number for number in ids if str(number) not in words):
            found[setting] = tuple(missing)
    return found


def _whole(files: Mapping[str, str]) -> Place | None:
    """Return the file that an error in no line of ours is most likely in, as a whole."""
    path = CUSTOM if CUSTOM in files else next(iter(files), None)
    return Place(path, 0) if path else None


def _is_private(path: str) -> bool:
    try:
        return not Path(path).stat().st_mode & 0o004
    except OSError:  # there is none
        return False
