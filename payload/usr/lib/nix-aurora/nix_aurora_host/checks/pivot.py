"""nix-root.service, which moves the system onto a root directory with /nix."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.facts import Facts
from nix_aurora_host.finding import Finding, Severity

_AGAIN = "sudo nix-aurora mount enable --yes --now"


def check_pivot(facts: Facts) -> Iterator[Finding]:
    """Where it is enabled, / is to have a /nix."""
    pivot = facts.basics.pivot
    if not pivot.enabled or pivot.done:
        return
    if pivot.stopped:
        message = (
            "an earlier boot with a /nix made by nix-root.service did not come up: "
            "none is made any more"
        )
        yield Finding("mount-stopped", Severity.ERROR, message, _AGAIN)
    elif pivot.off:
        message = f"the kernel's argument {paths.ROOT_OFF} keeps this boot without a /nix"
        yield Finding("mount-switched-off", Severity.NOTE, message, "sudo systemctl reboot")
    elif pivot.failed:
        message = f"/ could not get its /nix: journalctl -b -u {paths.ROOT} tells why"
        yield Finding("mount-failed", Severity.ERROR, message, _AGAIN)
    elif not facts.host.root_writable and facts.basics.store.layout == "namespace":
        message = "nix-aurora mount is enabled, and this system has been up since before"
        yield Finding("mount-not-yet", Severity.WARNING, message, _AGAIN)


CHECKS = (check_pivot,)
