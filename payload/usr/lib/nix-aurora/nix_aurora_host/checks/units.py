"""Check the units, the sockets and the daemon."""

from collections.abc import Iterator

from nix_aurora_host import layouts, paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.fixes import Fix
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.former.mounts import FSTAB
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.gather.units import Unit
from nix_aurora_host.text import printable

UNIT_MASKED = Kind("unit-masked", Severity.ERROR)
UNIT_DISABLED = Kind("unit-disabled", Severity.ERROR)
UNIT_FAILED = Kind("unit-failed", Severity.ERROR)
UNIT_SHADOWED = Kind("unit-shadowed", Severity.ERROR)
UNIT_MISSING = Kind("unit-missing", Severity.ERROR)
SYSTEMD_SILENT = Kind("systemd-silent", Severity.ERROR)
SOCKET_STOPPED = Kind("socket-stopped", Severity.ERROR)
SOCKET_GONE = Kind("socket-gone", Severity.ERROR)
DAEMON_SILENT = Kind("daemon-silent", Severity.ERROR)
DAEMON_OUTDATED = Kind("daemon-outdated", Severity.WARNING)

_EFFECT = {
    paths.LAYOUT: "boots do not create /nix or choose where the store appears",
    paths.MOUNT: "boots do not mount the store on /nix",
    **{
        layout["mount"]: f"boots do not mount the {layout['layout']} store on {layout['store']}"
        for layout in layouts.read_all()
        if layouts.is_relocated(layout)
    },
    paths.SETUP: "boots do not import the packaged Nix",
    paths.SOCKET: "nix commands cannot reach the daemon",
    paths.DAEMON: "nix commands get no answer from the daemon",
}
_GENERATED = "/run/systemd/generator"


def check_masked(facts: Facts) -> Iterator[Finding]:
    """Find units that an administrator, or another installer, has masked."""
    for name, unit in facts.basics.units.items():
        if unit.masked:
            message = f"{name} is masked: {_EFFECT.get(name, 'it does not start')}"
            yield found(UNIT_MASKED, message, _unmask(facts, unit), name)


def _unmask(facts: Facts, unit: Unit) -> Fix:
    unmask = fixes.unmask_unit(unit)
    if unit.name == paths.SOCKET:
        return fixes.chain(unmask, fixes.start_socket(facts))
    if unit.name == paths.DAEMON:
        return fixes.chain(unmask, fixes.restart_daemon())
    return fixes.chain(unmask, fixes.systemctl("enable", "--now", unit.name))


def check_disabled(facts: Facts) -> Iterator[Finding]:
    """Find units that the next boot would not start."""
    for name, unit in facts.basics.units.items():
        if unit.file_state == "disabled" and name != paths.DAEMON:
            message = f"{name} is disabled: {_EFFECT.get(name, 'boots do not start it')}"
            enable = fixes.systemctl("enable", "--now", name)
            fix = fixes.start_socket(facts) if name == paths.SOCKET else enable
            yield found(UNIT_DISABLED, message, fix, name)


def check_failed(facts: Facts) -> Iterator[Finding]:
    """Find units that failed."""
    for name, unit in facts.basics.units.items():
        if unit.active != "failed" or unit.masked:
            continue
        message = f"{name} failed ({printable(unit.result)}): see journalctl -b -u {name}"
        fix = fixes.systemctl("restart", name)
        if name == paths.SETUP:
            fix = fixes.cure_import(facts)
        elif name in {paths.SOCKET, paths.DAEMON}:
            fix = fixes.restart_daemon()
        yield found(UNIT_FAILED, message, fix, name)


def check_shadowed(facts: Facts) -> Iterator[Finding]:
    """Find units in /etc that systemd reads in place of the packaged ones."""
    former = facts.basics.former
    for name, unit in facts.basics.units.items():
        trace = former.of_unit(name)
        packaged = not unit.fragment or unit.fragment.startswith(paths.OUR_UNITS)
        if unit.load in {"masked", "not-found"} or (packaged and trace is None):
            continue
        if unit.fragment.startswith(_GENERATED) and former.at(FSTAB):
            continue  # the line in fstab that generates it has a finding of its own
        path = trace.path if trace else unit.fragment
        whose = trace.whose if trace else "another Nix"
        message = f"{printable(path)} replaces the packaged {name}; {whose} created it"
        yield found(UNIT_SHADOWED, message, fixes.set_aside(facts, trace), name)


def check_missing(facts: Facts) -> Iterator[Finding]:
    """Find units that systemd has not read, often because the package was installed after boot."""
    for name, unit in facts.basics.units.items():
        if unit.load != "not-found":
            continue
        message = f"{name} is unknown to systemd: {_EFFECT.get(name, 'it does not start')}"
        fix = fixes.systemctl("daemon-reload")
        if trace := facts.basics.former.of_unit(name):  # a link to a unit of a Nix that was removed
            message = f"{printable(trace.path)} is a broken link: {name} is unknown to systemd"
            fix = fixes.set_aside(facts, trace)
        yield found(UNIT_MISSING, message, fix, name)
    if not facts.basics.units:
        message = "systemd does not answer: units were not checked"
        yield found(SYSTEMD_SILENT, message, fixes.systemctl("start", "dbus.socket"))


def check_socket(facts: Facts) -> Iterator[Finding]:
    """Check that the socket listens, even while no daemon is running."""
    unit = facts.basics.units.get(paths.SOCKET)
    if unit is None or unit.load != "loaded" or not unit.fragment.startswith(paths.OUR_UNITS):
        return
    if unit.file_state == "disabled" or unit.active == "failed":
        return
    if unit.active == "inactive":
        message = f"{paths.SOCKET} is stopped: nix commands cannot reach the daemon"
        yield found(SOCKET_STOPPED, message, fixes.start_socket(facts))
    elif silent := [path for path in paths.SOCKETS if path not in facts.basics.listening]:
        message = f"no process listens on {', '.join(silent)}, though {paths.SOCKET} is started"
        yield found(SOCKET_GONE, message, fixes.restart_daemon())


def check_daemon(facts: Facts) -> Iterator[Finding]:
    """Check that the daemon answers, and that it is the packaged one."""
    if facts.answers is False and not facts.basics.store.read_only:
        message = f"the daemon does not answer: see journalctl -b -u {paths.DAEMON}"
        yield found(DAEMON_SILENT, message, fixes.restart_daemon())
    daemon, closure = facts.basics.daemon, facts.basics.closure
    if daemon and daemon.program and not daemon.program.startswith(f"{closure.nix}/"):
        runs, wanted = (paths.store_name(path) for path in (daemon.program, closure.nix))
        message = f"the daemon still runs {printable(runs)}: the package has {printable(wanted)}"
        fix = fixes.systemctl("restart", paths.DAEMON)
        if closure.nix in facts.basics.store.missing:
            fix = fixes.chain(fixes.cure_import(facts), fix)
        yield found(DAEMON_OUTDATED, message, fix)


CHECKS = (
    check_missing,
    check_masked,
    check_disabled,
    check_shadowed,
    check_failed,
    check_socket,
    check_daemon,
)
