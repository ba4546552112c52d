"""What doctor prints, and its exit code."""

from collections.abc import Sequence

from nix_aurora_host.finding import Finding, Severity


def is_well(findings: Sequence[Finding]) -> bool:
    """Tell whether nothing but notes was found."""
    return all(finding.severity is Severity.NOTE for finding in findings)


def describe(findings: Sequence[Finding]) -> dict[str, object]:
    """Give the findings as JSON has them."""
    return {
        "well": is_well(findings),
        "findings": [
            {
                "id": finding.id,
                "severity": str(finding.severity),
                "message": finding.message,
                "fix": finding.fix,
            }
            for finding in findings
        ],
    }


def render(findings: Sequence[Finding], *, root: bool) -> str:
    """Give the findings in lines, each with its fix; ``root`` tells who has looked."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.severity}: {finding.message} [{finding.id}]")
        if finding.fix is not None:
            lines.append(f"  fix: {finding.fix}")
    faults = sum(finding.severity is not Severity.NOTE for finding in findings)
    if faults:
        count = "1 fault" if faults == 1 else f"{faults} faults"
        lines.append(f"nix-aurora doctor: {count}; start with the first fix, then look again")
    else:
        lines.append("nix-aurora doctor: all is well")
    if not root and any(finding.fix == "sudo nix-aurora doctor" for finding in findings):
        lines.append("Some things can only root look at: sudo nix-aurora doctor")
    return "\n".join(lines) + "\n"
