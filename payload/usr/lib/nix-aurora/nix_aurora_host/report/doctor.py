"""What doctor prints, and its exit code."""

from collections.abc import Sequence

from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.text import printable

_NOT_CHECKED = "not checked: a build by an ordinary user, which doctor does not run"


def is_well(findings: Sequence[Finding]) -> bool:
    """Return whether nothing but notes was found."""
    return all(finding.severity is Severity.NOTE for finding in findings)


def describe(findings: Sequence[Finding]) -> dict[str, object]:
    """Return the findings as JSON has them."""
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
    """Return the findings in lines, each with its fix; ``root`` tells who has looked.

    The verdict is the last line, or, for an ordinary user, the one before it.
    """
    lines = []
    for finding in findings:
        lines.append(f"{finding.severity}: {_plain(finding.message)} [{_plain(finding.id)}]")
        if finding.fix is not None:
            lines.append(f"  fix: {_plain(finding.fix)}")
    faults = sum(finding.severity is not Severity.NOTE for finding in findings)
    if faults:
        count = "1 fault" if faults == 1 else f"{faults} faults"
        lines.append(f"nix-aurora doctor: {count}; start with the first fix, then look again")
    else:
        lines += [_NOT_CHECKED, "nix-aurora doctor: all is well"]
    if not root and any(finding.fix == "sudo nix-aurora doctor" for finding in findings):
        lines.append("some checks need root: sudo nix-aurora doctor")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Return text as a terminal shows it; what checks quote from others they have cut already."""
    return printable(text, limit=None)
