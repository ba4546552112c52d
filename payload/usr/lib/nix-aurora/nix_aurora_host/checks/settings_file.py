"""/etc/nix-aurora.conf, which the boot reads: what it cannot understand in it."""

from collections.abc import Iterator

from nix_aurora_host import paths, settings
from nix_aurora_host.facts import Facts
from nix_aurora_host.finding import Finding, Severity

_ASIDE = f"sudo mv --backup=numbered {paths.SETTINGS} {paths.SETTINGS}.before-nix-aurora"


def check_settings_file(facts: Facts) -> Iterator[Finding]:
    """Each line is to be understood: the boot skips the others."""
    file = facts.basics.settings_file
    if file.unread:
        message = f"{paths.SETTINGS} was not checked: this user cannot read it"
        yield Finding("settings-file-unread", Severity.NOTE, message, "sudo nix-aurora doctor")
    if not file.faults:
        return
    message = "; ".join(settings.describe_fault(fault) for fault in file.faults)
    lines = [fault.line for fault in file.faults if fault.line]
    fix = settings.comment_out(lines) if lines else _ASIDE
    yield Finding("settings-file", Severity.WARNING, f"{message} (the boot ignores it)", fix)


def ask_for_auto(facts: Facts) -> str:
    """Return the first part of a fix: no line of the file asks for a layout any more."""
    lines = [line for line, _ in facts.basics.settings_file.assigned]
    return f"{settings.comment_out(lines)} && " if lines else ""


CHECKS = (check_settings_file,)
