"""Act as the boot loader: find the kernel that a disk boots."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nix_aurora.errors import ToolError
from nix_aurora.files import remove_tree
from nix_aurora.run import run

_ENTRIES = "/boot/loader/entries"


@dataclass(frozen=True)
class Boot:
    """The inputs of a boot: two files of this machine, and a command line."""

    kernel: Path
    initrd: Path
    options: str


def default_boot(disk: Path, directory: Path) -> Boot:
    """Return the disk's default boot, which is the entry with the highest version.

    The disk may contain only /boot; then ``boot`` is a link to itself, as on Fedora. The files are
    copied into ``directory``. Like a boot loader, this reads the file system (ext4) from the disk,
    without its journal. Raises ToolError if the disk has no entry.
    """
    entries = directory / "entries"
    remove_tree(entries)
    _debugfs(disk, f"rdump {_ENTRIES} {directory}")
    found = [parse_entry(path.read_text()) for path in entries.glob("*.conf")]
    if not found:
        raise ToolError(f"reading boot entries: {disk}: expected some in {_ENTRIES}, got none")
    entry = max(found, key=lambda entry: int(entry["version"]))
    boot = Boot(directory / "vmlinuz", directory / "initrd", entry["options"])
    for name, target in (("linux", boot.kernel), ("initrd", boot.initrd)):
        target.unlink(missing_ok=True)
        _debugfs(disk, f"dump /boot{entry[name]} {target}")
        if not target.exists() or not target.stat().st_size:
            raise ToolError(f"reading a boot entry: {disk}: expected {entry[name]}, got no file")
    return boot


def parse_entry(text: str) -> Mapping[str, str]:
    """Parse a boot loader entry (Boot Loader Specification, type 1)."""
    pairs = (line.split(None, 1) for line in text.splitlines() if line and line[0] != "#")
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _debugfs(disk: Path, request: str) -> None:
    # Bitmaps and checksums on the disk may be outdated after a power cut. The exit code means
    # nothing.
    run(["debugfs", "-c", "-n", "-R", request, disk])
