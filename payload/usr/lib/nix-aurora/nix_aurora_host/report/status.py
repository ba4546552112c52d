"""The output of status: lines for people, or JSON."""

from nix_aurora_host import layouts, paths
from nix_aurora_host.former.plan import describe_all, render_all
from nix_aurora_host.gather.everything import Basics
from nix_aurora_host.gather.store import AtNix, Store
from nix_aurora_host.gpu.words import explain as explain_gpu
from nix_aurora_host.nix_root.words import explain
from nix_aurora_host.report import collection, database, gpu, upgrades
from nix_aurora_host.settings import describe_fault
from nix_aurora_host.text import human, printable

_OWNERS = {
    "packaged": "the packaged one",
    "imported": "from an earlier import",
    "administrator": "the administrator's own, which imports do not replace",
}
# The limits of a layout, by its name, or because it is relocated.
_LIMITS = {
    "namespace": ("programs of a profile start only in nix-aurora shell",),
    "relocated": (
        "no binary cache of /nix/store",
        "everything is built here, from source",
        "no devbox",
    ),
}
_NIX = {
    AtNix.OURS: f"{paths.BASE} on /nix",
    AtNix.OTHER_MOUNT: "/nix is another mount",
    AtNix.OTHER_STORE: "/nix has files of its own",
    AtNix.DIRECTORY: "/nix is an empty directory",
    AtNix.LINK: "/nix is a link",
    AtNix.NOTHING: "no /nix",
}


def describe(basics: Basics) -> dict[str, object]:
    """Return the JSON value of the state; sizes are in bytes, null is unknown or none."""
    closure, store, profile = basics.closure, basics.store, basics.profile
    state = {
        "layout": store.layout,
        "limits": list(_limits(store)),
        "nix": store.nix,
        "root": {"kind": basics.nix_root.done, "unmoved": basics.nix_root.unmoved},
        "settings": {
            "STORE_LAYOUT": basics.settings_file.layout,
            "faults": [describe_fault(fault) for fault in basics.settings_file.faults],
        },
        "packaged": {"version": closure.version, "nix": closure.nix, "id": closure.id},
        "commands_run": closure.nix,
        "imported": {"id": store.stamp, "current": _is_current(basics)},
        "profile": {"nix": profile.nix, "owner": profile.owner},
        "daemon": None
        if basics.daemon is None
        else {"pid": basics.daemon.pid, "program": basics.daemon.program},
        "sockets": {path: path in basics.listening for path in paths.SOCKETS},
        "units": {
            name: {"load": unit.load, "enabled": unit.file_state, "active": unit.active}
            for name, unit in basics.units.items()
        },
        "users": {"group": basics.users.group, "ids": dict(basics.users.ids)},
        "space": {"free": store.free, "size": store.size},
        "store": {"paths": store.valid_paths, "size": store.content},
        "garbage": collection.describe(basics.garbage),
        "selinux": None
        if basics.labels is None
        else {label.path: label.context for label in basics.labels},
        "aside": None if store.aside is None else list(store.aside),
        "database": database.describe(basics.database),
        "former": describe_all(basics.former),
        "upgrades": upgrades.describe(basics.upgrades),
        "gpu": gpu.describe(basics.gpu),
    }
    return {name: _plain(value) for name, value in state.items()}


def _limits(store: Store) -> tuple[str, ...]:
    return _LIMITS.get("relocated" if store.relocated else store.layout, ())


def _plain(value: object) -> object:
    """Return a JSON value with all text in it safe for a terminal."""
    if isinstance(value, str):
        return printable(value, limit=None)
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {_plain(name): _plain(entry) for name, entry in value.items()}
    return value


def render(basics: Basics) -> str:
    """Return the state as text for people."""
    rows = {
        "layout": _layout(basics),
        "root": "\n".join(explain(basics.nix_root)),
        "packaged": _packaged(basics),
        "imported": _imported(basics),
        "profile": _profile(basics),
        "daemon": _daemon(basics),
        "sockets": _sockets(basics),
        "units": _units(basics),
        "users": _users(basics),
        "space": _space(basics),
        "garbage": collection.render(basics.garbage),
        "selinux": _labels(basics),
        "aside": _aside(basics),
        "database": database.render(basics.database),
        "former": "\n".join(render_all(basics.former)),
        "upgrades": upgrades.explain(basics.upgrades),
        "graphics": "\n".join(explain_gpu(basics.gpu)),
    }
    return "".join(f"{name:<9} {_hang(text)}\n" for name, text in rows.items())


def _hang(text: str) -> str:
    """Return ``text`` with later lines indented; text from outside is one line already."""
    return f"\n{10 * ' '}".join(printable(line, limit=None) for line in text.split("\n"))


def _layout(basics: Basics) -> str:
    faults = map(describe_fault, basics.settings_file.faults)
    return "\n".join((_shown(basics), *faults))


def _shown(basics: Basics) -> str:
    store = basics.store
    layout = layouts.read_layout(store.layout)
    if store.relocated:
        shown = "on" if store.nix == AtNix.OURS else "not on"
        place = f"{layout['home']}/store, {shown} {layout['store']}"
        return f"{store.layout}: {place}\n{'; '.join(_limits(store))}"
    if store.layout != "namespace":
        return f"{printable(store.layout)}: {_NIX[store.nix]}"
    if store.nix == AtNix.OURS:
        return f"namespace: {_NIX[store.nix]}, only in nix-aurora shell"
    return (
        f"namespace: {_NIX[store.nix]}: nix commands use a private one;\n"
        "programs of a profile start only in nix-aurora shell"
    )


def _packaged(basics: Basics) -> str:
    closure = basics.closure
    return (
        f"Nix {closure.version} ({closure.system}): {closure.nix}\n"
        "which /usr/bin/nix and the daemon run, whatever is in a profile"
    )


def _imported(basics: Basics) -> str:
    store, closure = basics.store, basics.closure
    if _is_current(basics) and not store.missing:
        return f"yes: {len(closure.paths)} store paths"
    if store.stamp is None and store.stamp_read:
        return "no: sudo nix-aurora doctor"
    return "differs from the package: sudo nix-aurora doctor"


def _is_current(basics: Basics) -> bool:
    """Return whether the last import was of this package; ordinary users see only its root."""
    store, closure = basics.store, basics.closure
    if not store.stamp_read:
        return store.roots.get("nix") == closure.nix
    return store.stamp == closure.id


def _profile(basics: Basics) -> str:
    profile = basics.profile
    if profile.nix is None and basics.store.relocated:
        return "no Nix in the default profile: this layout cannot start one from there"
    if profile.nix is None:
        return "no Nix in the default profile"
    name = printable(paths.store_name(profile.nix))
    return f"{name} in the default profile: {_OWNERS[profile.owner]}"


def _daemon(basics: Basics) -> str:
    daemon = basics.daemon
    if daemon is None:
        return "not running: the first connection starts it"
    same = (daemon.program or "").startswith(f"{basics.closure.nix}/")
    name = printable(paths.store_name(daemon.program)) if daemon.program else "an unknown program"
    return f"runs {name}{', the packaged one' if same else ''} (process {daemon.pid})"


def _sockets(basics: Basics) -> str:
    return "\n".join(
        f"{path}: {'listening' if path in basics.listening else 'no process listens'}"
        for path in paths.SOCKETS
    )


def _units(basics: Basics) -> str:
    if not basics.units:
        return "systemd does not answer"
    return "\n".join(
        printable(f"{name:<19} {unit.file_state or unit.load:<8} {unit.active} ({unit.sub})")
        for name, unit in basics.units.items()
    )


def _users(basics: Basics) -> str:
    users = basics.users
    if users.group is None:
        return "no group nixbld"
    ids = sorted(users.ids.values())
    spread = f", ids {ids[0]} to {ids[-1]}" if ids else ""
    return f"{len(ids)} build users{spread}; group nixbld {users.group}"


def _space(basics: Basics) -> str:
    store = basics.store
    if basics.disk.missing:
        return (
            f"the file system that belongs on {paths.BASE} is not mounted: sudo nix-aurora doctor"
        )
    text = f"{human(store.free)} of {human(store.size)} free"
    if store.content is None or store.valid_paths is None:
        return f"{text}; the database cannot be read"
    # On disk it is less, because equal files are hard links.
    return f"{text}; the store has {store.valid_paths} paths of {human(store.content)}"


def _labels(basics: Basics) -> str:
    if basics.labels is None:
        return "off"
    return "\n".join(
        f"{label.path}: {printable(label.context or 'no label')}" for label in basics.labels
    )


def _aside(basics: Basics) -> str:
    aside = basics.store.aside
    if aside is None:
        return "cannot be read by this user"
    return f"{len(aside)} damaged, in {paths.ASIDE}" if aside else "nothing"
