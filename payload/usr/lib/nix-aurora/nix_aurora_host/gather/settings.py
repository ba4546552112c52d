"""Nix's settings: Nix's errors about them, the places of these, and unsafe values."""

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
OWN = ".config/nix/nix.conf"  # in a home directory
_SHOW = ["config", "show", "--extra-experimental-features", "nix-command"]
_WITH_NIX = "/usr/libexec/nix-aurora/with-nix"
_NSCD = ("/run/nscd/socket", "/var/run/nscd/socket")
# The prefix that Nix prints before an error, which a terminal shows in color.
_ERROR = re.compile(r"^\s*error: *(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Settings:
    """The state of /etc/nix/nix.conf, and Nix's report about all of its settings.

    ``error`` is Nix's own text, ``place`` the line that causes it, if doctor knows that, and
    ``broken_for_all`` whether the daemon fails, too. ``values`` are the daemon's settings that
    matter here, and ``places`` the lines that set them. ``unknown`` maps a list of users to the ids
    of those whose names Nix cannot look up.
    """

    exists: bool = True
    differs: bool = False
    private: bool = False  # users cannot read nix.custom.conf
    error: str | None = None
    place: Place | None = None
    broken_for_all: bool = False
    starts: bool = True  # whether the packaged Nix starts
    values: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    unknown: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def gather_settings(closure: Closure, store: Store, person: Person) -> Settings:
    """Compare nix.conf with the packaged one, and let Nix read all of its settings."""
    ours, now = read(f"{paths.PRISTINE}/nix/nix.conf"), read(CONF)
    exists, differs = now is not None, None not in {ours, now} and ours != now
    private = _is_private(CUSTOM)
    if closure.nix in store.missing or (paths.RELOCATED and store.nix != AtNix.OURS):
        return Settings(exists, differs, private)  # without /nix, Nix does not start
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
    """Return the files that the daemon reads and this user may read, in Nix's order."""
    files = [CONF, paths.GC_CONF, CUSTOM, XDG]
    return [*files, f"{_home_of_root()}/{OWN}"] if os.geteuid() == 0 else files


def _home_of_root() -> str:
    return pwd.getpwuid(0).pw_dir


def _ask(closure: Closure, store: Store, person: Person | None, options: list[str]) -> Outcome:
    """Run the packaged Nix to show its settings: the daemon's, or those of ``person``."""
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
    """Return Nix's error about its settings; None if there is none, or it did not read them."""
    if outcome.code in {0, NOT_STARTED, TIMED_OUT, TOO_MUCH}:
        return None
    errors = _ERROR.findall(outcome.stderr)
    return errors[-1].strip() if errors else None


def has_started(outcome: Outcome) -> bool:
    """Return whether Nix started; also true if no attempt was made."""
    if outcome.code in {0, TIMED_OUT, TOO_MUCH}:
        return True
    return outcome.stderr.startswith("nix-aurora: ")  # with-nix could not create a namespace


def parse_values(text: str) -> dict[str, str]:
    """Return the settings that matter here, from the output of nix config show --json."""
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
    """Return the ids of a user, or of the members of @GROUP, as the host knows them."""
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
    """Return the ids of listed users whose names only the host's C library can look up.

    Nix's own C library reads only /etc/passwd and /etc/group, not the users of sssd, systemd-homed
    or LDAP. The settings have to name such a user by number.
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
    """Return the whole file that most likely contains an error that no known line explains."""
    path = CUSTOM if CUSTOM in files else next(iter(files), None)
    return Place(path, 0) if path else None


def _is_private(path: str) -> bool:
    try:
        return not Path(path).stat().st_mode & 0o004
    except OSError:  # there is no such file
        return False
