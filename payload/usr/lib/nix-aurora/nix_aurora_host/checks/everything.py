"""Run all checks, causes before their effects."""

from nix_aurora_host.checks import (
    adoption,
    advisories,
    collection,
    database,
    disk,
    environment,
    former,
    gpu,
    mounts,
    nix_root,
    profiles,
    settings,
    settings_file,
    space,
    store,
    units,
    upgrades,
)
from nix_aurora_host.checks.kind import Kind
from nix_aurora_host.finding import Finding
from nix_aurora_host.gather.everything import Facts

MODULES = (
    adoption,
    settings_file,
    former,
    nix_root,
    disk,
    mounts,
    database,
    space,
    units,
    store,
    collection,
    profiles,
    environment,
    settings,
    gpu,
    upgrades,
    advisories,
)
CHECKS = tuple(check for module in MODULES for check in module.CHECKS)
KINDS = tuple(
    kind for module in MODULES for kind in vars(module).values() if isinstance(kind, Kind)
)
"""Every kind of finding, from the modules that declare them."""


def judge(facts: Facts) -> list[Finding]:
    """Return the findings about a host, one for each fault.

    While a takeover is unfinished, or the store's disk is not mounted, there is no store to check,
    and other fixes would only interfere.
    """
    for check in (*adoption.CHECKS, disk.check_missing):
        if first := list(check(facts)):
            return first
    findings = [finding for check in CHECKS for finding in check(facts)]
    return list({finding.id: finding for finding in findings}.values())
