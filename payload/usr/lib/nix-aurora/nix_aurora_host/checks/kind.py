"""Kinds of findings. Each is declared once, in the module of the check that finds it.

Each kind that is an error or a warning has a fix. A scenario in tests/host makes the fault and runs
the fix as it is printed; tests/lint/test_findings.py lists the kinds that have none yet.
"""

from dataclasses import dataclass

from nix_aurora_host.checks.fixes import Fix
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.text import printable


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding: the first part of its id, and its severity."""

    name: str
    severity: Severity


def found(kind: Kind, message: str, fix: Fix | None, subject: str | None = None) -> Finding:
    """Return a finding of ``kind``, about ``subject`` if there can be several.

    ``fix`` is None for a note that no command can change.
    """
    name = kind.name if subject is None else f"{kind.name}:{printable(subject)}"
    return Finding(name, kind.severity, message, fix)
