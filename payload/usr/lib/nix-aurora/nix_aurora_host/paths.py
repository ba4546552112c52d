"""Paths of the package and of the files that it manages, in the layout that the boot chose."""

from nix_aurora_host import layouts

_CHOSEN = layouts.read_chosen()

RUN = "/run/nix-aurora"
RELOCATED = layouts.is_relocated(_CHOSEN)

BASE = "/var/lib/nix"
HOME = _CHOSEN["home"]  # of the store in use
STORE = f"{HOME}/store"
PREFIX = _CHOSEN["store"]  # of store paths
# The directory that is shown to programs, the place where it is shown, and the unit that does so.
SHOWN, AT = (STORE, PREFIX) if RELOCATED else (BASE, "/nix")
STORE_MOUNT = _CHOSEN["mount"]
STATE = f"{HOME}/var/nix"
DATABASE_DIRECTORY = f"{STATE}/db"
DATABASE = f"{DATABASE_DIRECTORY}/db.sqlite"
ROOTS = f"{STATE}/gcroots/nix-aurora"
PROFILE = f"{STATE}/profiles/default"
OWN = f"{HOME}/.nix-aurora"
STAMP = f"{OWN}/imported"  # the id of the closure that was imported last
# The import's work directory. After an import it contains only a stamp, named after the closure's
# id. A package from before 2027 knows only the stamp above, and removes this directory when it
# begins to import: so an upgrade after a rollback to it finds no stamp here, and imports again.
WORK = f"{OWN}/unpack"
ASIDE = f"{OWN}/aside"
IMPORT_NEEDED = f"{OWN}/import-needed"  # makes the next import run
IMPORT_LOCK = f"{OWN}/lock"
COPIES = f"{OWN}/database"  # of Nix's database; only root may read them
ADOPTION = f"{OWN}/adopt"  # the work directory of `nix-aurora adopt`, with its journal
DATABASE_LOST = f"{OWN}/database-lost"  # the import made a new database without a copy
COLLECTOR_LOCK = f"{STATE}/gc.lock"  # of Nix; shared among processes that register paths
DATABASE_LOCK = (
    f"{DATABASE_DIRECTORY}/big-lock"  # of Nix; shared among processes that use the database
)
SOCKETS = (f"{BASE}/var/nix/daemon-socket/socket", f"{BASE}/daemon-socket/socket")

PACKAGE = "/usr/lib/nix-aurora"
PACKAGED_STORE = f"{PACKAGE}/store"
DESCRIPTION = f"{PACKAGE}/closure.json"
ENVIRONMENT = f"{PACKAGE}/closure.env"
PRISTINE = f"{PACKAGE}/etc"  # the packaged settings below /etc
FEDORA_PACKAGES = f"{PACKAGE}/fedora-packages"  # the packages of Fedora's own Nix, one name a line
SYSUSERS = "/usr/lib/sysusers.d/nix-aurora.conf"
SETTINGS = "/etc/nix-aurora.conf"
NIX_CONF = "/etc/nix/nix.conf"
CUSTOM_CONF = "/etc/nix/nix.custom.conf"
GC_CONF = "/etc/nix/nix.gc.conf"  # `nix-aurora gc enable` writes it; nix.conf includes it
# Files of nix-root: boots with its root that are not complete, and kinds of root that failed.
PENDING = "/etc/nix-aurora.root-pending"
AVOIDED = "/etc/nix-aurora.root-avoid"
UNMOVED = f"{RUN}/unmoved"  # of nix-root: why it left / unchanged
MOVE_NOW = f"{RUN}/move-now"  # asks nix-root to switch the running system

DESCRIBED = f"{HOME}/closure"  # if RELOCATED: the parts of the closure, for Nix's start
USERS_MISSING = f"{RUN}/users-missing"  # of nix-layout: Nix does not find its build users

# The link in which programs of nixpkgs look for graphics drivers, and the files that keep it.
GPU_LINK = "/run/opengl-driver"
GPU_TMPFILES = "/etc/tmpfiles.d/nix-aurora-gpu.conf"
GPU_ROOTS = f"{STATE}/gcroots/nix-aurora-gpu"

RECOVERY = f"{RUN}/recovery"  # the progress of the check of the store's content, in one line

# The directories of profiles as programs see them: the system's, and a user's below the home.
PROFILES = f"{_CHOSEN['state']}/profiles"
USER_PROFILES = f".local/state/{_CHOSEN['user_state']}/profiles"
PROFILE_BIN = f"{_CHOSEN['profile']}/bin"  # in the PATH of logins

SETUP = "nix-setup.service"
ROOT = "nix-root.service"
ROOT_GOOD = "nix-root-good.service"
ROOT_OFF = "nix_aurora.root=off"  # the kernel argument
LAYOUT = "nix-layout.service"
MOUNT = "nix.mount"
SOCKET = "nix-daemon.socket"
DAEMON = "nix-daemon.service"
BACKUP_TIMER = "nix-database-backup.timer"
BACKUP = "nix-database-backup.service"
GC_TIMER = "nix-gc.timer"
GC = "nix-gc.service"
GC_FULL_TIMER = "nix-gc-full.timer"
GC_FULL = "nix-gc-full.service"
OUR_UNITS = "/usr/lib/systemd/system/"
UNIT_FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
)
"""The folders whose units replace packaged ones: systemd.unit(5), without those of generators."""
NIX_MOUNTERS = ("nix.mount", "nix.automount")
"""The units that mount something on /nix."""


def store_name(path: str) -> str:
    """Return the name of a store path without its hash: nix-2.34 of /nix/store/<hash>-nix-2.34."""
    name = path.removeprefix(f"{PREFIX}/").removeprefix(f"{STORE}/").split("/", 1)[0]
    return name.partition("-")[2] or name


def physical(path: str) -> str:
    """Return the physical place of the file that programs see as ``path``; it need not exist."""
    return SHOWN + path[len(AT) :] if path == AT or path.startswith(f"{AT}/") else path


def nix_command(nix: str, name: str) -> list[str]:
    """Return the command line that starts a program of the packaged Nix, a store path."""
    return ["/usr/libexec/nix-aurora/relocated", name] if RELOCATED else [f"{nix}/bin/{name}"]
