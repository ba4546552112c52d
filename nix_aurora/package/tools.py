"""Every program that our host scripts call, and the Fedora package that contains it.

The spec requires exactly these packages, and the lint tier reads every script and finds each
command that it calls in this table.
"""

from types import MappingProxyType

TOOLS = MappingProxyType(
    {
        "bash": "bash",
        "chmod": "coreutils",
        "cp": "coreutils",
        "grep": "grep",
        "ln": "coreutils",
        "mkdir": "coreutils",
        "mktemp": "coreutils",
        "mount": "util-linux",
        "mountpoint": "util-linux",
        "mv": "coreutils",
        "pivot_root": "util-linux",
        "python3": "python3",
        "readlink": "coreutils",
        "rm": "coreutils",
        "sed": "sed",
        "sleep": "coreutils",
        "stat": "coreutils",
        "systemctl": "systemd",
        "systemd-sysusers": "systemd",
        "systemd-tmpfiles": "systemd",
        "touch": "coreutils",
        "umount": "util-linux",
        "unshare": "util-linux",
    }
)

REQUIRES = tuple(sorted(set(TOOLS.values())))
