"""A takeover of another Nix's store that was interrupted."""

from collections.abc import Iterator

from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.text import printable

ADOPTION_UNFINISHED = Kind("adoption-unfinished", Severity.ERROR)


def check_adoption(facts: Facts) -> Iterator[Finding]:
    """Until a takeover has ended, Nix cannot use either store."""
    if facts.adoption is not None:
        message = f"the takeover of {printable(facts.adoption)} was interrupted"
        fix = fixes.sudo("nix-aurora", "adopt", "--yes")
        yield found(ADOPTION_UNFINISHED, message, fix)


CHECKS = (check_adoption,)
