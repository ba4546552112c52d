"""The output of doctor, and its exit code."""

from collections.abc import Sequence

from nix_aurora_host.checks.fixes import LOOK_AS_ROOT
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.text import printable

_NOT_CHECKED = "not checked: a build by an ordinary user, which doctor does not run"
_AS_ROOT = str(LOOK_AS_ROOT)


def is_well(findings: Sequence[Finding]) -> bool:
    """Return whether all findings are notes."""
    return all(finding.severity is Severity.NOTE for finding in findings)


def describe(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the JSON value of the findings."""
    return {
        "well": is_well(findings),
        "findings": [
            {
                "id": _plain(finding.id),
                "severity": str(finding.severity),
                "message": _plain(finding.message),
                "fix": None if finding.fix is None else _plain(finding.fix),
            }
            for finding in findings
        ],
    }


def render(findings: Sequence[Finding], *, root: bool) -> str:
    """Return lines about the findings, with fixes; ``root`` is whether root ran the checks.

    The verdict is the last line. For an ordinary user, one line stands for all checks that root has
    to repeat: every healthy host has some.
    """
    lines = []
    unread = [
        finding
        for finding in findings
        if not root and finding.severity is Severity.NOTE and finding.fix == _AS_ROOT
    ]
    for finding in findings:
        if finding in unread:
            continue
        lines.append(f"{finding.severity}: {_plain(finding.message)} [{_plain(finding.id)}]")
        if finding.fix is not None:
            lines.append(f"  fix: {_plain(finding.fix)}")
    if unread:
        lines.append(f"not checked: files that only root can read: {_AS_ROOT}")
    faults = sum(finding.severity is not Severity.NOTE for finding in findings)
    if faults:
        count = "1 fault" if faults == 1 else f"{faults} faults"
        lines.append(f"nix-aurora doctor: {count}; apply the first fix, then run doctor again")
    else:
        lines += [_NOT_CHECKED, "nix-aurora doctor: all is well"]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Return text that is safe for a terminal; the checks have already shortened quotes."""
    return printable(text, limit=None)
