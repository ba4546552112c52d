"""Report security advisories that apply to the packaged Nix."""

from collections.abc import Iterator

from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.text import printable

ADVISORY_ACCEPTED = Kind("advisory-accepted", Severity.NOTE)


def check_accepted(facts: Facts) -> Iterator[Finding]:
    """Name the advisories that the builder of the package accepted: its users should know them."""
    for advisory in facts.basics.closure.accepted:
        message = (
            f"the packaged Nix is affected by {printable(advisory)}, and was packaged with "
            f"--accept: https://github.com/advisories/{printable(advisory)}"
        )
        yield found(ADVISORY_ACCEPTED, message, None, advisory)


CHECKS = (check_accepted,)
