"""The part of status about upgrades of the package."""

from nix_aurora_host.gather.upgrades import Upgrades, Way, upgrade_command

_WAYS = {
    Way.IMAGE: "with the image",
    Way.REPOSITORY: "layered, from a repository",
    Way.FILES: "layered, from files, which rpm-ostree upgrade does not upgrade",
    Way.DNF: "from dnf's repositories",
    Way.UNKNOWN: "unknown: the origin of this deployment cannot be read",
}


def describe(upgrades: Upgrades) -> dict[str, object]:
    """Return the JSON value."""
    return {
        "way": str(upgrades.way),
        "command": upgrade_command(upgrades),
        "locked": upgrades.locked,
    }


def explain(upgrades: Upgrades) -> str:
    """Return lines about the way, and the command if there is one."""
    lines = [_WAYS[upgrades.way]]
    if (line := upgrade_command(upgrades)) is not None:
        lines.append(line.replace(" --uninstall", " \\\n    --uninstall", 1))
    if upgrades.locked and upgrades.layered:
        lines.append("LockLayering=true in /etc/rpm-ostreed.conf: rpm-ostree refuses it")
    return "\n".join(lines)
