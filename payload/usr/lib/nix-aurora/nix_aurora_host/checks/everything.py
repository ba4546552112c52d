"""All checks, the causes before what comes of them."""

from nix_aurora_host.checks import (
    database,
    environment,
    mounts,
    nix_root,
    profiles,
    settings,
    settings_file,
    store,
    units,
)
from nix_aurora_host.finding import Finding
from nix_aurora_host.gather.everything import Facts

CHECKS = (
    *settings_file.CHECKS,
    *nix_root.CHECKS,
    *mounts.CHECKS,
    *database.CHECKS,
    *units.CHECKS,
    *store.CHECKS,
    *profiles.CHECKS,
    *environment.CHECKS,
    *settings.CHECKS,
)


def judge(facts: Facts) -> list[Finding]:
    """Return what is wrong, each fault once."""
    findings = [finding for check in CHECKS for finding in check(facts)]
    return list({finding.id: finding for finding in findings}.values())
