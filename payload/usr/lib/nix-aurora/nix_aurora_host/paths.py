"""Where the package and what it manages lie."""

BASE = "/var/lib/nix"
STORE = f"{BASE}/store"
STATE = f"{BASE}/var/nix"
DATABASE = f"{STATE}/db/db.sqlite"
ROOTS = f"{STATE}/gcroots/nix-aurora"
PROFILE = f"{STATE}/profiles/default"
OWN = f"{BASE}/.nix-aurora"
STAMP = f"{OWN}/imported"
ASIDE = f"{OWN}/aside"
SOCKETS = (f"{STATE}/daemon-socket/socket", f"{BASE}/daemon-socket/socket")

PACKAGE = "/usr/lib/nix-aurora"
ARCHIVE = f"{PACKAGE}/closure.tar.zst"
PRISTINE = f"{PACKAGE}/etc"  # the settings below /etc as the package brought them
SYSUSERS = "/usr/lib/sysusers.d/nix-aurora.conf"
RUN = "/run/nix-aurora"
SETTINGS = "/etc/nix-aurora.conf"
PENDING = "/etc/nix-aurora.root-pending"  # nix-root's: a boot with its root is under way

PROFILE_BIN = "/nix/var/nix/profiles/default/bin"  # as logins have it in PATH

SETUP = "nix-setup.service"
ROOT = "nix-root.service"
ROOT_GOOD = "nix-root-good.service"
ROOT_OFF = "nix_aurora.root=off"  # the kernel argument
LAYOUT = "nix-layout.service"
MOUNT = "nix.mount"
SOCKET = "nix-daemon.socket"
DAEMON = "nix-daemon.service"
OUR_UNITS = "/usr/lib/systemd/system/"
UNITS = (LAYOUT, MOUNT, SETUP, SOCKET, DAEMON)


def store_name(path: str) -> str:
    """Give what a store path is called, without its hash: /nix/store/<hash>-nix-2.34: nix-2.34."""
    name = path.removeprefix("/nix/store/").removeprefix(f"{STORE}/").split("/", 1)[0]
    return name.partition("-")[2] or name
