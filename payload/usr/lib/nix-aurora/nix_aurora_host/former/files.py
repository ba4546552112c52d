"""Find settings and programs of another Nix.

These are nix.conf, tmpfiles.d, a policy, a receipt, and a daemon.
"""

import re
from collections.abc import Iterator

from nix_aurora_host.former.facts import ANOTHER, INSTALLER, Kind, Trace
from nix_aurora_host.former.tree import Tree

CONF = "/etc/nix/nix.conf"
POLICY = "/etc/nix-installer/selinux/packages/nix.pp"
POLICY_MODULE = "nix"
RECEIPTS = ("/nix/receipt.json", "/nix/uninstall-phase1.json", "/nix/uninstall-phase2.json")
PROGRAM = "/usr/local/bin/determinate-nixd"
_TMPFILES = "/etc/tmpfiles.d"
_OUR_NIXD = "/usr/libexec/nix-aurora-nixd/determinate-nixd"
_INCLUDE = re.compile(r"^\s*!?include\s+(?:\S*/)?nix\.custom\.conf\s*$", re.MULTILINE)
_GENERATED = re.compile(
    r"^#.*(?:DeterminateSystems/nix-installer|determinate-nixd|DETERMINATE NIX CONFIG)",
    re.MULTILINE,
)
_DAEMON_DIRECTORIES = re.compile(r"^\s*\S+\s+/nix/var/nix/(?:daemon-socket|builds)\b", re.MULTILINE)


def judge_settings(text: str) -> Trace | None:
    """Return the trace for nix.conf, unless an administrator has changed the file."""
    if _GENERATED.search(text):
        effect = "has the settings of that Nix, not the packaged ones"
        return Trace(Kind.SETTINGS, CONF, INSTALLER, effect)
    if not _INCLUDE.search(text):
        return Trace(Kind.SETTINGS, CONF, ANOTHER, "does not include nix.custom.conf")
    return None


def find_files(tree: Tree, *, ours: bool) -> Iterator[Trace]:
    """Yield the files of another Nix; ``ours`` means that /nix is our store."""
    text = tree.read(CONF)
    if text is not None and not tree.exists(_OUR_NIXD) and (trace := judge_settings(text)):
        yield trace
    for name in tree.names(_TMPFILES):
        path = f"{_TMPFILES}/{name}"
        target = tree.link(path) or ""
        if target.startswith("/nix/") or _DAEMON_DIRECTORIES.search(tree.read(path) or ""):
            yield Trace(
                Kind.TMPFILES,
                path,
                ANOTHER,
                "makes each boot create directories in the store of that Nix",
            )
    if tree.exists(POLICY):
        effect = "is the SELinux module nix, whose labels differ from the package's"
        yield Trace(Kind.POLICY, POLICY, INSTALLER, effect)
    for path in RECEIPTS if ours else ():  # otherwise the receipt is in a store that is not ours
        if tree.exists(path):
            effect = "lets /nix/nix-installer uninstall delete the store, with users' packages"
            yield Trace(Kind.RECEIPT, path, INSTALLER, effect)
    if tree.exists(PROGRAM):
        yield Trace(Kind.PROGRAM, PROGRAM, INSTALLER, "is a daemon that the package does not use")
