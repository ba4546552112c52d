"""Inspect another Nix's store: its paths, and what users have in it."""

import os
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nix_aurora_host import paths, removal
from nix_aurora_host.adopt import snapshot, tree
from nix_aurora_host.database.rows import Row, read_rows
from nix_aurora_host.database.schema import SCHEMAS, read_schema
from nix_aurora_host.system import link

_GENERATION = re.compile(r"(?P<profile>.+)-[0-9]+-link")
_PER_USER = re.compile(r"(?:profiles|gcroots)/per-user/(?P<name>[^/]+)(?:/|$)")
_CHANNELS = re.compile(r"(?:.*/)?channels(?:-[0-9]+-link)?")
_MAX_LINKS = 64
_NOT_ROOTS = ("gcroots/profiles", "gcroots/nix-aurora")


@dataclass(frozen=True, slots=True)
class State:
    """Profiles with the number of their generations, users, and other roots.

    Names are relative to var/nix, except those of profiles in homes.
    """

    profiles: Mapping[str, int] = field(default_factory=dict)
    people: Sequence[str] = ()
    roots: Sequence[str] = ()

    @property
    def channels(self) -> list[str]:
        """Return the profiles that are channels."""
        return [name for name in self.profiles if _CHANNELS.fullmatch(name)]


@dataclass(frozen=True, slots=True)
class Former:
    """Another Nix's store; ``size`` is its size on disk, in bytes."""

    directory: str
    rows: Sequence[Row]
    state: State
    size: int
    schema: int | None
    receipt: bool

    @property
    def store(self) -> str:
        """Return the directory of its store paths."""
        return f"{self.directory}/store"


def look(directory: str, database: str) -> Former:
    """Inspect a store whose database was copied to ``database``."""
    with snapshot.opened(database) as connection:
        rows = list(read_rows(connection).values())
    return Former(
        directory,
        rows,
        read_state(f"{directory}/var/nix"),
        removal.measure(f"{directory}/store", across=True),
        read_schema(os.path.dirname(database), SCHEMAS[0]),
        os.path.lexists(f"{directory}/receipt.json"),
    )


def read_state(state: str) -> State:
    """Return the profiles and gcroots below a Nix's state directory.

    A user's profile may be in the home, and then has a root for each of its generations.
    """
    people: set[str] = set()
    profiles: dict[str, int] = {}
    roots = []
    for entry in tree.walk(state, lambda path: path.split("/")[0] not in {"profiles", "gcroots"}):
        if entry.target is None or entry.path.startswith(_NOT_ROOTS):
            continue
        if (person := _PER_USER.match(entry.path)) is not None:
            people.add(person["name"])
        elsewhere = entry.path.startswith("gcroots/auto/") and not entry.target.startswith("/nix/")
        if elsewhere and (owner := _find_owner(entry.target)) is not None:
            people.add(owner)
        generation = _GENERATION.fullmatch(entry.target if elsewhere else entry.path)
        if generation is not None and (elsewhere or entry.path.startswith("profiles/")):
            profiles[generation["profile"]] = profiles.get(generation["profile"], 0) + 1
        elif entry.path.startswith("gcroots/") and not entry.target.startswith("/nix/var/"):
            roots.append(entry.path)
    return State(profiles, sorted(people), roots)


def _find_owner(path: str) -> str | None:
    """Return the owner of a link; None if there is no such link or no such user."""
    try:
        return pwd.getpwuid(os.lstat(path).st_uid).pw_name
    except (OSError, KeyError):
        return None


def find_nix(directory: str) -> str | None:
    """Return the store path of the default profile's Nix; None if there is none."""
    program = _follow(f"{paths.PROFILE_BIN}/nix", directory)
    store = f"{directory}/store/"
    if program is None or not program.startswith(store) or not os.path.lexists(program):
        return None
    return f"{paths.PREFIX}/{program[len(store) :].split('/')[0]}"


def _follow(path: str, directory: str) -> str | None:
    """Follow every link as a process that sees ``directory`` as /nix; None for a circle."""
    done, pending, links = "", path.split("/")[::-1], 0
    while pending:
        part = pending.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            done = os.path.dirname(done)
            continue
        done = f"{done}/{part}"
        if done == "/nix":
            done = directory
        elif (target := link(done)) is not None:
            links += 1
            if links > _MAX_LINKS:
                return None
            done = "" if target.startswith("/") else os.path.dirname(done)
            pending += target.split("/")[::-1]
    return done
