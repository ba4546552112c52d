"""What is known about a host: data alone, the seam between gathering and judging.

None means that it could not be read, or that there is none, as the attribute says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nix_aurora_host.database.facts import Database
from nix_aurora_host.nix_root.facts import NixRoot

# Why a profile leads nowhere.
FOLDER = "folder"
CONTENT = "content"

# What /nix is.
OURS = "ours"  # /var/lib/nix
OTHER_MOUNT = "other mount"
OTHER_STORE = "other store"  # a directory with anything in it
DIRECTORY = "directory"  # an empty one
LINK = "link"
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit, in systemd's words; ``file_state`` is is-enabled's.

    ``shadow`` is what lies in /etc or /run under its name, in place of the packaged one.
    """

    name: str
    load: str = "loaded"
    active: str = "active"
    sub: str = ""
    result: str = "success"
    file_state: str = "enabled"
    fragment: str = ""
    pid: int = 0
    shadow: str = ""

    @property
    def masked(self) -> bool:
        """Return whether the unit is masked, for now or for good."""
        return self.load == "masked"


@dataclass(frozen=True, slots=True)
class Closure:
    """The packaged Nix; ``paths`` are store paths.

    ``contents`` has the SHA-256 and size in bytes of each path's NAR, by the path's name.
    """

    id: str
    version: str
    system: str
    nix: str
    cacert: str
    paths: tuple[str, ...]
    contents: Mapping[str, tuple[bytes, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Packaged:
    """The package's own files, as far as they are not what closure.json says.

    ``damaged`` are packaged store paths by their names, each with the reason, ``foreign`` what
    lies beside them, ``differing`` the values of closure.env, which scripts read. ``described`` is
    false where closure.json itself does not have the id that follows from it.
    """

    damaged: Mapping[str, str] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    described: bool = True

    @property
    def whole(self) -> bool:
        """Return whether all of it is what the package says."""
        return self.described and not (self.damaged or self.foreign or self.differing)


@dataclass(frozen=True, slots=True)
class Store:
    """/var/lib/nix and what /nix is; sizes are in bytes."""

    layout: str
    nix: str
    free: int
    size: int
    exists: bool = True
    read_only: bool = False  # as /nix
    noexec: tuple[str, ...] = ()  # mount points that forbid to start programs
    listable: bool = True
    group: int | None = None
    stamp: str | None = None
    stamp_read: bool = True  # False: this user may not see whether there is one
    database: bool = True
    valid_paths: int | None = None  # None: the database cannot be read
    content: int | None = None
    missing: tuple[str, ...] = ()  # of the closure, not on disk
    unregistered: tuple[str, ...] = ()  # of the closure, on disk and not in the database
    lost: tuple[str, ...] = ()  # others that roots keep, on disk and not in the database
    roots: Mapping[str, str] = field(default_factory=dict)
    aside: tuple[str, ...] | None = ()  # None: cannot be read


@dataclass(frozen=True, slots=True)
class Profile:
    """The default profile; ``nix`` is the store path that has the program."""

    exists: bool
    nix: str | None
    owner: str  # packaged, imported (by us, of another closure), administrator, none
    script: bool  # etc/profile.d/nix-daemon.sh
    version: tuple[int, ...] | None = None  # of its Nix, where that was asked for


@dataclass(frozen=True, slots=True)
class Users:
    """The build users: ``ids`` of those that are there, ``absent`` those that should be."""

    group: int | None
    members: tuple[str, ...]
    ids: Mapping[str, int]
    absent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Daemon:
    """The running daemon: ``program`` is its path in the store."""

    pid: int
    program: str | None


@dataclass(frozen=True, slots=True)
class Label:
    """An SELinux context, and the one that the policy wants."""

    path: str
    context: str | None
    wanted: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """A line of /etc/nix-aurora.conf that cannot be understood, and why; 0 is the whole file."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """/etc/nix-aurora.conf: the layout asked for, line and value of each STORE_LAYOUT, faults.

    ``unread`` means that this user may not read it.
    """

    layout: str = "auto"
    assigned: tuple[tuple[int, str], ...] = ()
    faults: tuple[Fault, ...] = ()
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Basics:
    """What status shows. ``labels`` is None where SELinux is off."""

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


@dataclass(frozen=True, slots=True)
class Person:
    """Whose logins are looked at: the caller, or who called sudo.

    ``lost_profile`` tells why ~/.nix-profile leads nowhere: FOLDER, its directory is gone, or
    CONTENT, its store path is; None where it is well.
    """

    uid: int
    gid: int
    name: str
    home: str
    through_sudo: bool = False
    lost_profile: str | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """Traces of another Nix."""

    receipt: bool = False
    uninstaller: bool = False
    nixd: bool = False
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a settings file that doctor knows; line 0 is the whole file."""

    path: str
    line: int


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


@dataclass(frozen=True, slots=True)
class Host:
    """What kind of host it is.

    ``image`` means that it boots an image, ``ostree`` that ostree has deployed that, ``layered``
    that rpm-ostree has added us to an image without us.
    """

    image: bool
    ostree: bool
    layered: bool
    root_writable: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All that doctor looks at.

    ``answers`` is None where the daemon was not asked. ``damaged`` are the packaged store paths
    whose content is not what the database says.
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
