"""Where the package and what it manages lie, in the layout that the boot has chosen."""

from nix_aurora_host import layouts

_CHOSEN = layouts.read_chosen()

RUN = "/run/nix-aurora"
RELOCATED = layouts.is_relocated(_CHOSEN)

BASE = "/var/lib/nix"
HOME = _CHOSEN["home"]  # of the store in use
STORE = f"{HOME}/store"
PREFIX = _CHOSEN["store"]  # of store paths
# What is shown to programs, where, and by which unit.
SHOWN, AT = (STORE, PREFIX) if RELOCATED else (BASE, "/nix")
STORE_MOUNT = _CHOSEN["mount"]
STATE = f"{HOME}/var/nix"
DATABASE_DIRECTORY = f"{STATE}/db"
DATABASE = f"{DATABASE_DIRECTORY}/db.sqlite"
ROOTS = f"{STATE}/gcroots/nix-aurora"
PROFILE = f"{STATE}/profiles/default"
OWN = f"{HOME}/.nix-aurora"
STAMP = f"{OWN}/imported"  # the id of the closure that was imported last
# The import's work directory; when one has ended it has a stamp alone, named by the closure's id. A
# package from before 2027 knows the stamp above only, and removes this directory as it begins to
# import: after a rollback to it, the way back finds no stamp here.
WORK = f"{OWN}/unpack"
ASIDE = f"{OWN}/aside"
IMPORT_NEEDED = f"{OWN}/import-needed"  # one more reason for the import to run
IMPORT_LOCK = f"{OWN}/lock"
COPIES = f"{OWN}/database"  # of Nix's database, root's alone
ADOPTION = f"{OWN}/adopt"  # the work directory of `nix-aurora adopt`, with its journal
DATABASE_LOST = f"{OWN}/database-lost"  # the import made a new database without a copy
COLLECTOR_LOCK = f"{STATE}/gc.lock"  # Nix's own: shared for those that register paths
DATABASE_LOCK = (
    f"{DATABASE_DIRECTORY}/big-lock"  # Nix's own: shared for those that use the database
)
SOCKETS = (f"{BASE}/var/nix/daemon-socket/socket", f"{BASE}/daemon-socket/socket")

PACKAGE = "/usr/lib/nix-aurora"
PACKAGED_STORE = f"{PACKAGE}/store"
DESCRIPTION = f"{PACKAGE}/closure.json"
ENVIRONMENT = f"{PACKAGE}/closure.env"
PRISTINE = f"{PACKAGE}/etc"  # the settings below /etc as the package brought them
FEDORA_PACKAGES = f"{PACKAGE}/fedora-packages"  # those of Fedora's own Nix, a name a line
SYSUSERS = "/usr/lib/sysusers.d/nix-aurora.conf"
SETTINGS = "/etc/nix-aurora.conf"
NIX_CONF = "/etc/nix/nix.conf"
CUSTOM_CONF = "/etc/nix/nix.custom.conf"
GC_CONF = "/etc/nix/nix.gc.conf"  # of `nix-aurora gc enable`; nix.conf includes it
# nix-root's: the boots with its root that are not up, and the kinds of root that failed before.
PENDING = "/etc/nix-aurora.root-pending"
AVOIDED = "/etc/nix-aurora.root-avoid"
UNMOVED = f"{RUN}/unmoved"  # nix-root's: why it left / as it is
MOVE_NOW = f"{RUN}/move-now"  # asks nix-root to move a system that is up

DESCRIBED = f"{HOME}/closure"  # where RELOCATED: what its Nix has to know of the closure
USERS_MISSING = f"{RUN}/users-missing"  # nix-layout's: Nix does not find its build users

# Where programs of nixpkgs look for graphics drivers, and what makes and keeps that link.
GPU_LINK = "/run/opengl-driver"
GPU_TMPFILES = "/etc/tmpfiles.d/nix-aurora-gpu.conf"
GPU_ROOTS = f"{STATE}/gcroots/nix-aurora-gpu"

RECOVERY = f"{RUN}/recovery"  # how far the check of the store's content has come, in one line

# Of the profiles, as programs see them: the directory of the system's, and that of a user's own
# below the home.
PROFILES = f"{_CHOSEN['state']}/profiles"
USER_PROFILES = f".local/state/{_CHOSEN['user_state']}/profiles"
PROFILE_BIN = f"{_CHOSEN['profile']}/bin"  # as logins have it in PATH

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
    """Return where what programs see as ``path`` lies, whatever is there now."""
    return SHOWN + path[len(AT) :] if path == AT or path.startswith(f"{AT}/") else path


def nix_command(nix: str, name: str) -> list[str]:
    """Return the command line that starts a program of the packaged Nix, a store path."""
    return ["/usr/libexec/nix-aurora/relocated", name] if RELOCATED else [f"{nix}/bin/{name}"]
