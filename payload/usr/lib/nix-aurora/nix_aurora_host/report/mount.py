"""The output of ``nix-aurora mount status``."""

import os
from collections.abc import Sequence

from nix_aurora_host.nix_root.facts import NixRoot
from nix_aurora_host.nix_root.gather import gather_laggards
from nix_aurora_host.nix_root.words import explain, listed
from nix_aurora_host.settings import SettingsFile, describe_fault
from nix_aurora_host.text import printable


def describe(nix_root: NixRoot) -> dict[str, object]:
    """Return the JSON value of the state; ``laggards`` is null unless root asks."""
    laggards = gather_laggards() if nix_root.done and os.geteuid() == 0 else None
    return {
        "enabled": nix_root.enabled,
        "root": nix_root.done,
        "mounted": nix_root.mounted,
        "unmoved": nix_root.unmoved,
        "stopped": nix_root.stopped,
        "failed_boots": [
            {"kind": printable(boot.kind), "kernel": printable(boot.kernel)}
            for boot in nix_root.failed
        ],
        "switched_off": nix_root.off,
        "laggards": laggards,
    }


def render(nix_root: NixRoot, file: SettingsFile) -> str:
    """Return the state as text for people."""
    laggards = gather_laggards() if nix_root.done and os.geteuid() == 0 else []
    return "".join(f"{line}\n" for line in render_lines(nix_root, file, laggards))


def render_lines(nix_root: NixRoot, file: SettingsFile, laggards: Sequence[str]) -> list[str]:
    """Return the lines about the state; ``laggards`` are services that still use the old root."""
    lines = [f"every boot  {'enabled' if nix_root.enabled else 'not enabled'}"]
    lines.append(f"this boot   {'; '.join(explain(nix_root))}")
    if laggards:
        lines.append(
            f"old root    used by these units until they are restarted: {listed(laggards)}"
        )
    lines += [f"settings    {describe_fault(fault)}" for fault in file.faults]
    return lines
