"""Gather all facts, in the order of their dependencies."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from nix_aurora_host import paths
from nix_aurora_host.former.facts import Former, FormerStore
from nix_aurora_host.former.gather import gather_former
from nix_aurora_host.former.stores import find_keepers
from nix_aurora_host.former.tree import Tree
from nix_aurora_host.gather.adoption import gather_adoption, gather_waiting_disk
from nix_aurora_host.gather.closure import Closure, Packaged, gather_closure, gather_packaged
from nix_aurora_host.gather.collection import Garbage, gather_garbage
from nix_aurora_host.gather.damage import gather_damaged
from nix_aurora_host.gather.database import Database, gather_database, look_deeper
from nix_aurora_host.gather.disk import Disk, gather_disk
from nix_aurora_host.gather.gpu import gather_gpu
from nix_aurora_host.gather.host import (
    Foreign,
    Host,
    Label,
    gather_foreign,
    gather_host,
    gather_labels,
)
from nix_aurora_host.gather.logins import Remote, Shell, gather_remotes, gather_shells
from nix_aurora_host.gather.profile import Profile, gather_profile
from nix_aurora_host.gather.settings import Settings, gather_settings
from nix_aurora_host.gather.store import AtNix, Store, gather_store
from nix_aurora_host.gather.units import (
    Daemon,
    Unit,
    daemon_answers,
    gather_daemon,
    gather_listening,
    gather_units,
)
from nix_aurora_host.gather.upgrades import Upgrades, gather_upgrades
from nix_aurora_host.gather.users import Users, find_person, gather_users
from nix_aurora_host.gpu.facts import Gpu
from nix_aurora_host.nix_root.facts import NixRoot
from nix_aurora_host.nix_root.gather import gather_nix_root
from nix_aurora_host.person import Person
from nix_aurora_host.settings import SettingsFile, gather_settings_file

_PATIENCE = 30.0  # seconds, as the daemon may have to start


@dataclass(frozen=True, slots=True)
class Basics:
    """The facts that status shows. ``labels`` is None if SELinux is off."""

    closure: Closure
    units: Mapping[str, Unit]
    store: Store
    profile: Profile
    users: Users
    daemon: Daemon | None
    listening: frozenset[str]  # physical paths of sockets
    labels: tuple[Label, ...] | None
    nix_root: NixRoot = field(default_factory=NixRoot)
    settings_file: SettingsFile = field(default_factory=SettingsFile)
    database: Database = field(default_factory=Database)
    former: Former = field(default_factory=Former)
    upgrades: Upgrades = field(default_factory=Upgrades)
    gpu: Gpu = field(default_factory=Gpu)
    garbage: Garbage = field(default_factory=Garbage)
    disk: Disk = field(default_factory=Disk)


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that doctor checks.

    ``answers`` is None if the daemon was not asked. ``damaged`` are the packaged store paths with
    content that differs from the database.
    """

    basics: Basics
    host: Host
    packaged: Packaged
    person: Person
    shells: tuple[Shell, ...]
    remotes: tuple[Remote, ...]
    foreign: Foreign
    settings: Settings
    answers: bool | None
    damaged: tuple[str, ...] = ()
    adoption: str | None = None  # the store whose takeover was interrupted
    disk: str | None = None  # the source for /var/lib/nix that is not mounted yet
    keepers: tuple[FormerStore, ...] = ()  # may contain what the person's profile lost


def gather_basics(*, ask_version: bool = False) -> Basics:
    """Gather the facts that status shows."""
    closure = gather_closure()
    units = gather_units()
    listening = gather_listening()
    settings_file = gather_settings_file()
    return Basics(
        closure=closure,
        units=units,
        store=gather_store(closure),
        profile=gather_profile(closure, ask_version=ask_version),
        users=gather_users(),
        daemon=gather_daemon(units),
        listening=listening,
        labels=gather_labels(closure, listening),
        nix_root=gather_nix_root(settings_file),
        settings_file=settings_file,
        database=gather_database(),
        former=gather_former(),
        upgrades=gather_upgrades(),
        gpu=gather_gpu(),
        garbage=gather_garbage(settings_file),
        disk=gather_disk(),
    )


def gather_all() -> Facts:
    """Gather the facts that doctor checks."""
    basics = gather_basics(ask_version=True)
    database = look_deeper(basics.database, basics.store, basics.closure.nix)
    basics = replace(basics, database=database)
    packaged = gather_packaged(basics.closure)
    person = find_person()
    settings = gather_settings(basics.closure, basics.store, person)
    damaged = gather_damaged(basics.closure)
    greet = may_greet(basics, settings, damaged)
    return Facts(
        basics=basics,
        host=gather_host(ask_rpm_ostree=not packaged.whole),
        packaged=packaged,
        person=person,
        shells=gather_shells(person) if basics.store.nix == AtNix.OURS else (),
        remotes=gather_remotes(person),
        foreign=gather_foreign(),
        settings=settings,
        answers=daemon_answers(paths.SOCKETS[0], _PATIENCE) if greet else None,
        damaged=damaged,
        adoption=gather_adoption(),
        disk=gather_waiting_disk(),
        keepers=find_keepers(Tree(), basics.former.stores, person.gone) if person.gone else (),
    )


def may_greet(basics: Basics, settings: Settings, damaged: Collection[str]) -> bool:
    """Return whether greeting the daemon is harmless.

    A greeting starts the daemon if it is not running. A daemon that cannot start would fail again
    each time that a user runs doctor.
    """
    setup, daemon = basics.units.get(paths.SETUP), basics.units.get(paths.DAEMON)
    if setup is None or setup.active == "activating" or not basics.store.database:
        return False  # it cannot answer yet, and would create a new database
    if not basics.database.opens:
        return False
    if daemon is None or not daemon.fragment.startswith(paths.OUR_UNITS):
        return False  # masked, or not our daemon
    if settings.broken_for_all or paths.SOCKETS[0] not in basics.listening:
        return False
    store = basics.store
    imported = basics.closure.nix not in store.missing and store.nix != AtNix.LINK
    sound = imported and settings.starts and not damaged and not store.noexec
    known = not settings.private or os.geteuid() == 0
    return daemon.active == "active" or (sound and known)
