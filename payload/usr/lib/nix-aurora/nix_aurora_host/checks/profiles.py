"""Check the default profile, devbox's requirements, and the person's own profile."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.fixes import Fix
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.person import LostProfile
from nix_aurora_host.text import printable

PROFILE_MISSING = Kind("profile-missing", Severity.ERROR)
PROFILE_WITHOUT_NIX = Kind("profile-without-nix", Severity.ERROR)
PROFILE_STALE = Kind("profile-stale", Severity.WARNING)
STORE_UNREADABLE = Kind("store-unreadable", Severity.ERROR)
DEVBOX_SCRIPT = Kind("devbox-script", Severity.WARNING)
DEVBOX_VERSION = Kind("devbox-version", Severity.WARNING)
PROFILE_LOST = Kind("profile-lost", Severity.WARNING)

_DEVBOX = (2, 18)  # jetify-com/devbox: internal/nix/install.go


def check_profile(facts: Facts) -> Iterator[Finding]:
    """Check the default profile, in which devbox and every login look for Nix."""
    store, profile = facts.basics.store, facts.basics.profile
    if facts.basics.closure.nix in store.missing or store.relocated:
        return
    fix = fixes.cure_import(facts)
    if not profile.exists:
        message = f"the default profile is missing: {paths.PROFILE}"
        yield found(PROFILE_MISSING, message, fix)
    elif profile.nix is None:
        message = f"the default profile has no Nix: {paths.PROFILE}/bin/nix"
        yield found(PROFILE_WITHOUT_NIX, message, fix)
    elif profile.owner == "imported":
        name = printable(paths.store_name(profile.nix))
        yield found(
            PROFILE_STALE,
            f"the default profile contains the Nix of an earlier package: {name}",
            fix,
        )


def check_devbox(facts: Facts) -> Iterator[Finding]:
    """Check devbox's requirements: without them it tries to install Nix, which fails here."""
    store, profile = facts.basics.store, facts.basics.profile
    if store.exists and not store.listable:
        message = f"{paths.STORE} cannot be read by users"
        yield found(STORE_UNREADABLE, message, fixes.sudo("chmod", "1775", paths.STORE))
    if profile.nix is None:
        return
    if not profile.script:
        message = f"devbox cannot use Nix: {paths.PROFILE} has no etc/profile.d/nix-daemon.sh"
        yield found(DEVBOX_SCRIPT, message, _replace_profile(facts))
    if profile.version is not None and profile.version < _DEVBOX:
        version = ".".join(map(str, profile.version))
        message = (
            "devbox cannot use Nix: expected version 2.18 or newer in the default profile, "
            f"got {version}"
        )
        yield found(DEVBOX_VERSION, message, _replace_profile(facts))


def _replace_profile(facts: Facts) -> Fix:
    # The generations stay, and with them the administrator's Nix.
    return fixes.chain(fixes.sudo("rm", paths.PROFILE), fixes.cure_import(facts))


def check_own(facts: Facts) -> Iterator[Finding]:
    """Check that the person's profile does not lead nowhere, which makes nix profile fail."""
    person = facts.person
    if person.lost_profile is None or facts.basics.store.relocated:
        return  # the profiles of other layouts are elsewhere
    link = f"{person.home}/.nix-profile"
    leads = f"{printable(link)} leads to {printable(person.gone)}"
    message = f"{leads}, whose directory is missing: no profile can be changed"
    words = ["rm", "-f", "--", link]
    if person.lost_profile == LostProfile.CONTENT:
        message = (
            f"{leads}, which is missing: a garbage collection could not see the profile, or the "
            "link is from another host. Install its programs again"
        )
        words.append(f"{person.home}/.local/state/nix/profiles/profile")
    fix = fixes.as_person(facts, fixes.command(*words))
    if facts.keepers:
        message = f"{message}. This host also has a store of another Nix, which may have them"
        fix = fixes.adopt(facts.basics.former.stores, facts.keepers[0])
    yield found(PROFILE_LOST, message, fix)


CHECKS = (check_profile, check_devbox, check_own)
