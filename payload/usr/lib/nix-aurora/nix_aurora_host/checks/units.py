"""Units, sockets, the daemon."""

from collections.abc import Iterator

from nix_aurora_host import facts as kinds
from nix_aurora_host import paths
from nix_aurora_host.checks import fixes, settings_file
from nix_aurora_host.facts import Facts, Unit
from nix_aurora_host.finding import Finding, Severity

_EFFECT = {
    paths.LAYOUT: "no boot makes /nix or decides where the store appears",
    paths.MOUNT: "no boot shows the store on /nix",
    paths.RELOCATED_MOUNT: "no boot shows a relocated store on /run/nix/store",
    paths.SETUP: "no boot imports the packaged Nix",
    paths.SOCKET: "no client reaches the daemon",
    paths.DAEMON: "no client gets an answer",
}


def check_masked(facts: Facts) -> Iterator[Finding]:
    """Units that an administrator, or another installer, has switched off for good."""
    for name, unit in facts.basics.units.items():
        if unit.masked:
            message = f"{name} is masked: {_EFFECT[name]}"
            yield Finding(f"unit-masked:{name}", Severity.ERROR, message, _unmask(facts, unit))


def _unmask(facts: Facts, unit: Unit) -> str:
    unmask = fixes.unmask_unit(unit)
    if unit.name == paths.SOCKET:
        return f"{unmask} && {fixes.start_socket(facts)}"
    if unit.name == paths.DAEMON:
        return f"{unmask} && {fixes.restart_daemon()}"
    return f"{unmask} && sudo systemctl enable --now {unit.name}"


def check_disabled(facts: Facts) -> Iterator[Finding]:
    """Units that the next boot would not start."""
    for name, unit in facts.basics.units.items():
        if unit.file_state == "disabled" and name != paths.DAEMON:
            message = f"{name} is disabled: {_EFFECT[name]}"
            enable = f"sudo systemctl enable --now {name}"
            fix = fixes.start_socket(facts) if name == paths.SOCKET else enable
            yield Finding(f"unit-disabled:{name}", Severity.ERROR, message, fix)


def check_failed(facts: Facts) -> Iterator[Finding]:
    """Units that systemd calls failed."""
    for name, unit in facts.basics.units.items():
        if unit.active != "failed" or unit.masked:
            continue
        message = f"{name} has failed ({unit.result}): journalctl -b -u {name} tells why"
        fix = f"sudo systemctl restart {name}"
        if name == paths.SETUP:
            fix = fixes.cure_import(facts)
        elif name in {paths.SOCKET, paths.DAEMON}:
            fix = fixes.restart_daemon()
        yield Finding(f"unit-failed:{name}", Severity.ERROR, message, fix)


def check_shadowed(facts: Facts) -> Iterator[Finding]:
    """Units in /etc that systemd reads in place of the packaged ones."""
    for name, unit in facts.basics.units.items():
        path = unit.fragment
        if unit.load == "masked" or not path or path.startswith(paths.OUR_UNITS):
            continue
        # Aside, under a name that systemd does not read: nothing of the other Nix is lost.
        aside = f"sudo mv --backup=numbered {path} {path}.before-nix-aurora"
        steps = [aside, "sudo systemctl daemon-reload"]
        if name in {paths.SOCKET, paths.DAEMON}:
            stop = f"sudo systemctl stop {paths.SOCKET} {paths.DAEMON}"
            steps = [stop, *steps, _begin(paths.SOCKET)]
        else:
            steps.append(_begin(name))
        message = f"{path} takes the place of the packaged {name}: another Nix put it there"
        yield Finding(f"unit-shadowed:{name}", Severity.ERROR, message, " && ".join(steps))


def _begin(name: str) -> str:
    # Links that enabled the other one may lead to it still.
    return f"sudo systemctl reenable {name} && sudo systemctl start {name}"


def check_missing(facts: Facts) -> Iterator[Finding]:
    """Units that systemd has not read, most often because the package came after the boot."""
    for name, unit in facts.basics.units.items():
        if unit.load == "not-found":
            message = f"{name} is unknown to systemd: {_EFFECT[name]}"
            fix = "sudo systemctl daemon-reload"
            yield Finding(f"unit-missing:{name}", Severity.ERROR, message, fix)
    if not facts.basics.units:
        message = "systemd does not answer: units were not looked at"
        yield Finding("systemd-silent", Severity.ERROR, message, "systemctl status")


def check_socket(facts: Facts) -> Iterator[Finding]:
    """The socket is to listen, even while no daemon is running."""
    unit = facts.basics.units.get(paths.SOCKET)
    if unit is None or unit.load != "loaded" or not unit.fragment.startswith(paths.OUR_UNITS):
        return
    if unit.file_state == "disabled" or unit.active == "failed":
        return
    if unit.active == "inactive":
        message = f"{paths.SOCKET} is stopped: no client reaches the daemon"
        yield Finding("socket-stopped", Severity.ERROR, message, fixes.start_socket(facts))
    elif silent := [path for path in paths.SOCKETS if path not in facts.basics.listening]:
        message = f"{', '.join(silent)}: nobody listens there, though {paths.SOCKET} is started"
        yield Finding("socket-gone", Severity.ERROR, message, fixes.restart_daemon())


def check_daemon(facts: Facts) -> Iterator[Finding]:
    """The daemon is to answer, and to be the packaged one."""
    if facts.answers is False and not facts.basics.store.read_only:
        message = f"the daemon does not answer: journalctl -b -u {paths.DAEMON} tells why"
        yield Finding("daemon-silent", Severity.ERROR, message, fixes.restart_daemon())
    daemon, closure = facts.basics.daemon, facts.basics.closure
    if daemon and daemon.program and not daemon.program.startswith(f"{closure.nix}/"):
        runs, wanted = paths.store_name(daemon.program), paths.store_name(closure.nix)
        message = f"the daemon still runs {runs}: the package has {wanted}"
        fix = f"sudo systemctl restart {paths.DAEMON}"
        if closure.nix in facts.basics.store.missing:
            fix = fixes.cure_import(facts) + f" && {fix}"
        yield Finding("daemon-outdated", Severity.WARNING, message, fix)


def check_mount(facts: Facts) -> Iterator[Finding]:
    """/nix is to be the store wherever the root directory can have one."""
    if facts.basics.store.layout == "relocated":
        yield from _check_relocated(facts)
        return
    kind, unit = facts.basics.store.nix, fixes.unit(facts, paths.MOUNT)
    if facts.basics.store.read_only:
        message = "/nix is mounted read-only: Nix can neither build nor install"
        fix = "sudo mount -o remount,bind,rw /nix"
        yield Finding("nix-read-only", Severity.ERROR, message, fix)
    if kind == kinds.OURS or unit.masked or unit.active == "failed":
        return
    if kind in {kinds.NOTHING, kinds.LINK} and not facts.host.root_writable:
        if not facts.basics.pivot.enabled:  # else nix-root.service has its own findings
            message = (
                "the root directory has no /nix, so Nix runs in a namespace that has one: every "
                "nix command works, and programs of a profile start inside nix-aurora shell, "
                "where sudo does not"
            )
            fix = "sudo nix-aurora mount enable"
            yield Finding("nix-directory-missing", Severity.NOTE, message, fix)
        return
    start = f"sudo systemctl restart {paths.LAYOUT} {paths.MOUNT}"
    if kind == kinds.OTHER_MOUNT:
        message = "something else is mounted on /nix: another Nix's store, most likely"
        yield Finding("nix-foreign-mount", Severity.ERROR, message, f"sudo umount /nix && {start}")
    elif kind == kinds.OTHER_STORE:
        message = "/nix has files of another Nix, and nothing is mounted over them"
        fix = f"sudo mv /nix /nix.before-nix-aurora && {start}"
        yield Finding("nix-foreign-store", Severity.ERROR, message, fix)
    elif kind == kinds.LINK:
        message = "/nix is a link, which Nix refuses"
        fix = f"sudo mv /nix /nix.before-nix-aurora && {start}"
        yield Finding("nix-link", Severity.ERROR, message, fix)
    elif facts.basics.store.layout == "mount" or kind == kinds.NOTHING:
        message = "/nix is not the store: programs from it do not start"
        yield Finding("nix-not-mounted", Severity.ERROR, message, start)
    else:
        message = "/etc/nix-aurora.conf asks for the namespace layout: programs see no /nix"
        fix = settings_file.ask_for_auto(facts) + start
        yield Finding("layout-namespace", Severity.WARNING, message, fix)


def _check_relocated(facts: Facts) -> Iterator[Finding]:
    unit = fixes.unit(facts, paths.RELOCATED_MOUNT)
    if facts.basics.store.nix == kinds.OURS:
        message = (
            f"{paths.SETTINGS} asks for the relocated layout: no binary cache of /nix/store, so "
            "everything is built from source, and no devbox"
        )
        fix = f"{settings_file.ask_for_auto(facts)}sudo systemctl reboot"
        yield Finding("layout-relocated", Severity.NOTE, message, fix)
    elif not unit.masked and unit.active != "failed":
        message = "/run/nix/store is not the relocated store: no nix command works"
        fix = f"sudo systemctl restart {paths.LAYOUT} {paths.RELOCATED_MOUNT}"
        yield Finding("store-not-mounted", Severity.ERROR, message, fix)


CHECKS = (
    check_missing,
    check_masked,
    check_disabled,
    check_shadowed,
    check_failed,
    check_mount,
    check_socket,
    check_daemon,
)
