"""The leftovers of other Nix installers on a host, reduced to those with an effect.

The sources are DeterminateSystems/nix-installer at ce18fc8624ea6a609e4178b145ad17ace78a8634
(src/planner/{ostree,mod}.rs; of src/action/common: configure_init_service.rs,
configure_upstream_init_service.rs, configure_determinate_nixd_init_service/,
configure_shell_profile.rs, place_nix_configuration.rs; src/action/linux/provision_selinux.rs), and
NixOS/nix at 88b09c64fbea076a0376830d98e5331f70ed31a3 (scripts/install-multi-user.sh,
scripts/install-systemd-multi-user.sh).
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_UNITS = "/etc/systemd/system"
_PROFILE = "/nix/var/nix/profiles/default"


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


Files = Mapping[str, str | Link]

BLOCK = f"""
# Nix
if [ -e '{_PROFILE}/etc/profile.d/nix-daemon.sh' ]; then
    . '{_PROFILE}/etc/profile.d/nix-daemon.sh'
fi
# End Nix

"""
_FISH = f"""
# Nix
if test -e '{_PROFILE}/etc/profile.d/nix-daemon.fish'
    . '{_PROFILE}/etc/profile.d/nix-daemon.fish'
end
# End Nix

"""
# In Determinate's file, a line of blanks follows the block.
_BLOCK_OF_DETERMINATE = f"{BLOCK}        \n"
MOUNT_UNIT = """\
[Unit]
PropagatesStopTo=nix-daemon.service
PropagatesStopTo=nix-directory.service
After=nix-directory.service
Requires=nix-directory.service
ConditionPathIsDirectory=/nix
DefaultDependencies=no

[Mount]
What=/var/home/nix
Where=/nix
Type=none
DirectoryMode=0755
Options=bind

[Install]
RequiredBy=nix-daemon.service
RequiredBy=nix-daemon.socket
"""
_OF_OSTREE: Files = {
    f"{_UNITS}/nix-directory.service": """\
[Unit]
ConditionPathExists=!/nix
DefaultDependencies=no
Requires=local-fs-pre.target
After=local-fs-pre.target
[Service]
Type=oneshot
ExecStartPre=chattr -i /
ExecStart=mkdir -p /nix
ExecStopPost=chattr +i /
""",
    f"{_UNITS}/nix.mount": MOUNT_UNIT,
    f"{_UNITS}/nix-daemon.service.requires/nix.mount": Link(f"{_UNITS}/nix.mount"),
    f"{_UNITS}/nix-daemon.socket.requires/nix.mount": Link(f"{_UNITS}/nix.mount"),
    f"{_UNITS}/ensure-symlinked-units-resolve.service": """\
[Unit]
After=nix.mount
Requires=nix.mount
DefaultDependencies=no

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/systemctl daemon-reload
ExecStart=/usr/bin/systemctl restart --no-block nix-daemon.socket

[Install]
WantedBy=sysinit.target
""",
    f"{_UNITS}/sysinit.target.wants/ensure-symlinked-units-resolve.service": Link(
        f"{_UNITS}/ensure-symlinked-units-resolve.service"
    ),
    "/etc/tmpfiles.d/nix-daemon.conf": Link(f"{_PROFILE}/lib/tmpfiles.d/nix-daemon.conf"),
    "/etc/profile.d/nix.sh": _BLOCK_OF_DETERMINATE,
    "/etc/bashrc": f"{_BLOCK_OF_DETERMINATE}# the host's own\n",
    "/etc/zshrc": f"{_BLOCK_OF_DETERMINATE}# the host's own\n",
    "/etc/zsh/zshrc": _BLOCK_OF_DETERMINATE,
    "/etc/nix-installer/selinux/packages/nix.pp": "a policy\n",
    "/var/home/nix/receipt.json": "{}\n",
    "/var/home/nix/nix-installer": "#!/bin/sh\nexit 1\n",
    "/var/home/nix/store/.kept": "",
    "/var/home/nix/var/nix/db/db.sqlite": "",
}
DETERMINATE: Files = {
    **_OF_OSTREE,
    f"{_UNITS}/nix-daemon.service": """\
[Unit]
RequiresMountsFor=/nix/store
RequiresMountsFor=/nix/var
ConditionPathIsReadWrite=/nix/var/nix/daemon-socket

[Service]
ExecStart=@/usr/local/bin/determinate-nixd determinate-nixd daemon
KillMode=process

[Install]
WantedBy=multi-user.target
""",
    f"{_UNITS}/nix-daemon.socket": """\
[Unit]
Before=multi-user.target
RequiresMountsFor=/nix/store
ConditionPathIsReadWrite=/nix/var/nix/daemon-socket

[Socket]
FileDescriptorName=nix-daemon.socket
ListenStream=/nix/var/nix/daemon-socket/socket

[Install]
WantedBy=sockets.target
""",
    f"{_UNITS}/determinate-nixd.socket": """\
[Unit]
Before=multi-user.target
RequiresMountsFor=/nix/store
RequiresMountsFor=/nix/var/determinate

[Socket]
FileDescriptorName=determinate-nixd.socket
DirectoryMode=0755
ListenStream=/nix/var/determinate/determinate-nixd.socket
Service=nix-daemon.service

[Install]
WantedBy=sockets.target
""",
    f"{_UNITS}/multi-user.target.wants/nix-daemon.service": Link(f"{_UNITS}/nix-daemon.service"),
    f"{_UNITS}/sockets.target.wants/nix-daemon.socket": Link(f"{_UNITS}/nix-daemon.socket"),
    f"{_UNITS}/sockets.target.wants/determinate-nixd.socket": Link(
        f"{_UNITS}/determinate-nixd.socket"
    ),
    "/usr/local/bin/determinate-nixd": "#!/bin/sh\nexec sleep infinity\n",
    "/etc/nix/nix.conf": "# DETERMINATE NIX CONFIG\n# do not modify! this file will be replaced!\n"
    "\n!include nix.custom.conf\n\nmax-jobs = auto\n",
}
"""The leftovers of nix-installer's planner ``ostree``, with Determinate Nix."""

_LINKS: Files = {
    f"{_UNITS}/nix-daemon.service": Link(f"{_PROFILE}/lib/systemd/system/nix-daemon.service"),
    f"{_UNITS}/nix-daemon.socket": Link(f"{_PROFILE}/lib/systemd/system/nix-daemon.socket"),
    f"{_UNITS}/sockets.target.wants/nix-daemon.socket": Link(
        f"{_PROFILE}/lib/systemd/system/nix-daemon.socket"
    ),
}
UPSTREAM: Files = {
    **_OF_OSTREE,
    **_LINKS,
    f"{_UNITS}/multi-user.target.wants/nix-daemon.service": Link(
        f"{_PROFILE}/lib/systemd/system/nix-daemon.service"
    ),
    "/etc/nix/nix.conf": "# Generated by https://github.com/DeterminateSystems/nix-installer.\n"
    "auto-optimise-store = true\n\n!include nix.custom.conf\n",
}
"""The leftovers of the same planner with ``--prefer-upstream-nix``."""

PROXY = f"{_UNITS}/nix-daemon.service.d/override.conf"
CLASSIC: Files = {
    **_LINKS,
    PROXY: "[Service]\nEnvironment=no_proxy=localhost\n",
    "/etc/tmpfiles.d/nix-daemon.conf": Link(f"{_PROFILE}/lib/tmpfiles.d/nix-daemon.conf"),
    "/etc/bashrc": f"{BLOCK}# the host's own\n",
    "/etc/bashrc.backup-before-nix": "# the host's own\n",
    "/etc/profile.d/nix.sh": BLOCK,
    "/etc/fish/conf.d/nix.fish": _FISH,
    "/etc/nix/nix.conf": "\nbuild-users-group = nixbld\n",
}
"""The leftovers of Nix's own multi-user installer. ``PROXY`` applies to any Nix, and is kept."""


def write(top: Path, files: Files) -> None:
    """Write ``files`` below ``top``."""
    for path, content in files.items():
        place = top / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            place.symlink_to(content.target)
        else:
            place.write_text(content)


def script(files: Files) -> str:
    """Return a script that writes ``files`` on a host."""
    lines = []
    for path, content in files.items():
        lines.append(f"mkdir -p {shlex.quote(str(Path(path).parent))}")
        if isinstance(content, Link):
            lines.append(f"ln -sfn {shlex.quote(content.target)} {shlex.quote(path)}")
        else:
            lines.append(f"printf %s {shlex.quote(content)} >{shlex.quote(path)}")
    return "\n".join(lines) + "\n"
