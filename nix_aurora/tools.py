"""Every program that our host scripts call, and the Fedora package that has it.

The spec requires exactly these packages, and the lint tier reads every script and finds each
command that it calls in this table.
"""

from types import MappingProxyType

TOOLS = MappingProxyType(
    {
        "b2sum": "coreutils",
        "bash": "bash",
        "chcon": "coreutils",
        "chmod": "coreutils",
        "chown": "coreutils",
        "cp": "coreutils",
        "dd": "coreutils",
        "findmnt": "util-linux",
        "flock": "util-linux",
        "grep": "grep",
        "id": "coreutils",
        "ln": "coreutils",
        "ls": "coreutils",
        "mkdir": "coreutils",
        "mktemp": "coreutils",
        "mount": "util-linux",
        "mountpoint": "util-linux",
        "mv": "coreutils",
        "pivot_root": "util-linux",
        "readlink": "coreutils",
        "rm": "coreutils",
        "rmdir": "coreutils",
        "sed": "sed",
        "sha256sum": "coreutils",
        "sleep": "coreutils",
        "stat": "coreutils",
        "sync": "coreutils",
        "systemctl": "systemd",
        "systemd-sysusers": "systemd",
        "systemd-tmpfiles": "systemd",
        "tar": "tar",
        "touch": "coreutils",
        "umount": "util-linux",
        "unshare": "util-linux",
        "zstd": "zstd",
    }
)

REQUIRES = tuple(sorted(set(TOOLS.values())))
