"""Check for files that another Nix left on the host, except units that replace ours."""

from collections.abc import Iterator

from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.former import facts as traces
from nix_aurora_host.former.facts import Trace
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.text import printable

FORMER_UNIT = Kind("former-unit", Severity.WARNING)
FORMER_FILE = Kind("former-file", Severity.WARNING)
FORMER_COPY = Kind("former-copy", Severity.NOTE)
FORMER_FSTAB = Kind("former-fstab", Severity.ERROR)
FORMER_STORE = Kind("former-store", Severity.NOTE)
FOREIGN_RECEIPT = Kind("foreign-receipt", Severity.WARNING)
FOREIGN_NIXD = Kind("foreign-nixd", Severity.WARNING)


def check_units(facts: Facts) -> Iterator[Finding]:
    """Find units of another Nix, changes of our units, and links that start either."""
    former = facts.basics.former
    changing = {traces.Kind.DROP_IN, traces.Kind.LINK}
    for trace in former.traces:
        ours = trace.kind is traces.Kind.UNIT and trace.unit in facts.basics.units
        # units.py reports units that replace ours. Drop-ins and links of a unit are set aside with
        # it.
        named = ours or (trace.kind in changing and former.of_unit(trace.unit) is not None)
        if trace.kind in {traces.Kind.UNIT, *changing} and not named:
            fix = fixes.set_aside(facts, trace)
            yield found(FORMER_UNIT, _describe(trace), fix, trace.path)


def check_files(facts: Facts) -> Iterator[Finding]:
    """Find files of another Nix that logins, boots or Nix read."""
    for trace in facts.basics.former.traces:
        message, fix = _describe(trace), fixes.set_aside(facts, trace)
        match trace.kind:
            case traces.Kind.SETTINGS:
                message = f"{message}; put what you want to keep into /etc/nix/nix.custom.conf"
                yield found(FORMER_FILE, message, fix, trace.path)
            case traces.Kind.TMPFILES | traces.Kind.SCRIPT | traces.Kind.POLICY:
                yield found(FORMER_FILE, message, fix, trace.path)
            case traces.Kind.COPY:
                yield found(FORMER_COPY, message, fix, trace.path)
            case traces.Kind.FSTAB:
                listed = ", ".join(map(str, trace.lines))
                message = f"{trace.path}, line {listed}: another Nix {printable(trace.effect)}"
                yield found(FORMER_FSTAB, message, fix)
            case traces.Kind.RECEIPT:
                yield found(FOREIGN_RECEIPT, message, fix)
            case traces.Kind.PROGRAM:
                yield found(FOREIGN_NIXD, message, fix)


def check_stores(facts: Facts) -> Iterator[Finding]:
    """Find stores of another Nix: they are harmless, and may contain what users miss."""
    stores = facts.basics.former.stores
    if not stores:
        return
    listed = ", ".join(printable(store.path or store.source) for store in stores)
    message = f"a store of another Nix is kept, with the packages of its users: {listed}"
    if any(store.uninstaller for store in stores):
        message = f"{message}. Its uninstaller deletes them: take the store over before you run it"
    yield found(FORMER_STORE, message, fixes.adopt(stores, stores[0]))


def _describe(trace: Trace) -> str:
    return f"{printable(trace.path)} was left by {trace.whose}: it {printable(trace.effect)}"


CHECKS = (check_units, check_files, check_stores)
"""The checks of causes, which come before the checks of their effects."""
