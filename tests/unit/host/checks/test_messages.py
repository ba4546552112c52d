"""Test the form of doctor's and status's messages: one line, the failure first, then a command."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from nix_aurora_host.checks.everything import KINDS, judge
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.former.facts import ANOTHER, Former, Kind, Trace
from nix_aurora_host.report import status

from tests.unit.host.checks import test_checks as checks

# A message begins with one of these, with a lowercase word, or with a path.
_NAMES = ("Nix ", "NIX_REMOTE=", "Fedora's ")
# Words of the old dialect, which the style guide replaces.
_DIALECT = re.compile(
    r"\b(?:is told|tells why|does not come to its end|is rid of|nobody|perhaps\?)\b", re.IGNORECASE
)
_COMMANDS = {
    *("sudo", "nix-aurora", "journalctl", "systemctl", "diff", "sed", "mv", "rm", "mkdir", "unset"),
    *("bash", "zsh", "fish", "printf", "nix-store"),
}


def _findings() -> Iterator[Finding]:
    mark = checks.test_each_fault_has_exactly_its_finding.pytestmark[0]  # type: ignore[attr-defined]
    for facts, _ in mark.args[1]:
        yield from judge(facts)
    for name, unit in checks.UNITS.items():
        units = {**checks.UNITS, name: replace(unit, load="not-found")}
        trace = Trace(Kind.UNIT, f"/etc/systemd/system/{name}", ANOTHER, "does this", unit=name)
        for former in (Former(), Former((trace,))):
            basics = replace(checks.BASICS, units=units, former=former)
            yield from judge(replace(checks.WELL, basics=basics))


_ALL = list({finding.id: finding for finding in _findings()}.values())


@pytest.mark.parametrize("finding", _ALL, ids=lambda finding: finding.id)
def test_message_has_the_form(finding: Finding) -> None:
    message = finding.message
    assert re.match(r"[a-z/]", message) or message.startswith(_NAMES), message
    assert not message.endswith((".", "!", ":")), message
    assert message.isprintable()
    assert not _DIALECT.search(message), message
    if finding.severity is not Severity.NOTE:
        assert finding.fix
    if finding.fix:
        assert finding.fix.split()[0] in _COMMANDS, finding.fix
        assert finding.fix.isprintable()


def test_nearly_all_kinds_of_messages_were_checked() -> None:
    """The tests on hosts check the rest."""
    seen = {finding.kind for finding in _ALL}
    kinds = {kind.name for kind in KINDS}
    rare = {kind for kind in kinds if kind.startswith(("mount-", "database-", "settings-file"))}
    assert kinds - seen <= rare | {"roots-unregistered", "paths-unregistered", "nix-link"}


def test_lines_of_status_have_the_form() -> None:
    for line in status.render(checks.BASICS).splitlines():
        assert line.isprintable()
        assert not line.endswith((".", "!"))
        assert not _DIALECT.search(line), line
