"""Check /etc/nix-aurora.conf, which the boot reads."""

from collections.abc import Iterator

from nix_aurora_host import paths, settings
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.fixes import Fix
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts

SETTINGS_FILE_UNREAD = Kind("settings-file-unread", Severity.NOTE)
SETTINGS_FILE = Kind("settings-file", Severity.WARNING)


def check_settings_file(facts: Facts) -> Iterator[Finding]:
    """Check that each line is valid: the boot skips the others."""
    file = facts.basics.settings_file
    if file.unread:
        message = f"{paths.SETTINGS} was not checked: this user cannot read it"
        yield found(SETTINGS_FILE_UNREAD, message, fixes.LOOK_AS_ROOT)
    if not file.faults:
        return
    message = "; ".join(settings.describe_fault(fault) for fault in file.faults)
    lines = [fault.line for fault in file.faults if fault.line]
    fix = _comment_out(lines) if lines else fixes.sudo(*fixes.put_aside(paths.SETTINGS))
    yield found(SETTINGS_FILE, f"ignored at boot: {message}", fix)


def ask_for_auto(facts: Facts) -> list[Fix]:
    """Return the first step of a fix: remove all layouts from the file; nothing if it has none."""
    lines = [line for line, _ in facts.basics.settings_file.assigned]
    return [_comment_out(lines)] if lines else []


def ask_for_mount(facts: Facts) -> list[Fix]:
    """Return the first steps of a fix: make the file request the mount layout and no other."""
    return [*ask_for_auto(facts), fixes.append_as_root("STORE_LAYOUT=mount", paths.SETTINGS)]


def _comment_out(lines: list[int]) -> Fix:
    return Fix(settings.comment_out(lines))


CHECKS = (check_settings_file,)
