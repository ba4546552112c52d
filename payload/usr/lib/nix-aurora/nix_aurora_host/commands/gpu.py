"""``nix-aurora gpu``: graphics drivers for programs of nixpkgs."""

import argparse
import json
import os
import sys
from collections.abc import Callable

from nix_aurora_host import paths
from nix_aurora_host.commands.command import Command, add_command, add_dry_run, add_json
from nix_aurora_host.dialog import require_root, say
from nix_aurora_host.errors import CommandError
from nix_aurora_host.gather.gpu import gather_gpu
from nix_aurora_host.gpu import build, drivers, nvidia, place
from nix_aurora_host.gpu.facts import Gpu
from nix_aurora_host.gpu.words import find_others
from nix_aurora_host.report.gpu import describe, render
from nix_aurora_host.system import read
from nix_aurora_host.text import command, printable

_DEFAULT = "nixpkgs#mesa"


def enable(wanted: str | None, *, software: bool, dry_run: bool) -> int:
    """Build drivers, keep them, and make each boot link to them; return the exit code.

    Without ``wanted``, build the enabled ones again, which updates them.
    """
    gpu = gather_gpu()
    if others := find_others(gpu):
        raise CommandError(
            f"cannot enable the drivers: {others[0]}: expected no file, or one that nix-aurora "
            "created; nothing was changed",
            "nix-aurora gpu status",
        )
    installable = wanted or gpu.installable or _DEFAULT
    if installable == _DEFAULT:  # its content is known before it is built
        _refuse_nvidia(gpu, None, software=software)
    if not dry_run:
        _require_root(["enable", *([wanted] if wanted else [])])
    if dry_run:
        build.show(installable)
        say(f"gpu: would build {printable(installable)}, and link its drivers:")
        for path in (paths.GPU_ROOTS, paths.GPU_TMPFILES, paths.GPU_LINK):
            say(f"  {path}")
        return 0
    target = build.build(installable)
    _refuse_nvidia(gpu, drivers.find_nvidia(target), software=software)
    _change("enable", lambda: place.enable(installable, target, build.keep))
    _tell(gpu, target)
    return 0


def _refuse_nvidia(gpu: Gpu, provides: str | None, *, software: bool) -> None:
    reason = nvidia.find_reason(gpu.nvidia, provides, software=software)
    if reason is None:
        return
    message = f"cannot enable the drivers: {reason}; {nvidia.WAYS}; nothing was changed"
    if provides is not None:
        raise CommandError(message, "nix-aurora gpu status")
    message += ". To let programs render in software instead, add --software"
    raise CommandError(message, "sudo nix-aurora gpu enable --software")


def _tell(former: Gpu, target: str) -> None:
    if former.target == target and former.link == target:
        say(f"gpu: {target} is up to date")
    else:
        say(f"gpu: enabled; {paths.GPU_LINK} leads to {target}")
    if line := nvidia.describe(former.nvidia, drivers.find_nvidia(target)):
        say(f"gpu: {line}")
    if (read(f"{paths.RUN}/layout") or "").strip() == "namespace":
        say("gpu: programs find the drivers only inside nix-aurora shell")


def disable(*, dry_run: bool) -> int:
    """Remove the link, the line in tmpfiles.d and the root; return the exit code."""
    made = place.find_made()
    if not made:
        say("gpu: not enabled; nothing was changed")
        return 0
    if dry_run:
        for path in made:
            say(f"{path}: would be removed")
        return 0
    _require_root(["disable"])
    removed: list[str] = []
    _change("disable", lambda: removed.extend(place.disable()))
    for path in removed:
        say(f"{path}: removed")
    say("gpu: disabled; the next garbage collection deletes the drivers")
    return 0


def _require_root(words: list[str]) -> None:
    require_root(f"run gpu {words[0]}", command(["gpu", *words]))


def _change(what: str, act: Callable[[], object]) -> None:
    """Call ``act`` to change files below /etc, /run and /var; raise CommandError if it fails."""
    try:
        act()
    except OSError as error:
        subject = os.fsdecode(error.filename or paths.GPU_TMPFILES)
        raise CommandError(
            f"cannot run gpu {what}: {printable(subject)}: {error.strerror}",
            command(["findmnt", "--target", os.path.dirname(subject)]),  # noqa: PTH120 - a string
        ) from error


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    enable = add_command(
        actions,
        "enable",
        "build drivers, and link them at each boot",
        f"Build INSTALLABLE, keep it from garbage collection, and have each boot link its drivers "
        f"to {paths.GPU_LINK}. Without INSTALLABLE, build again what is enabled, which updates it, "
        f"or {_DEFAULT}. Refuse to run if Home Manager or the administrator has set that link, or "
        "if only NVIDIA's proprietary driver can use the GPU.",
    )
    enable.add_argument(
        "installable", metavar="INSTALLABLE", nargs="?", help="the drivers, named as for nix build"
    )
    enable.add_argument(
        "--software",
        action="store_true",
        help="even if only NVIDIA's driver can use the GPU: render in software",
    )
    add_dry_run(enable)
    disable = add_command(
        actions,
        "disable",
        "remove the link, so that a garbage collection deletes the drivers",
        f"Remove {paths.GPU_LINK}, {paths.GPU_TMPFILES} and the root of the drivers. Links that "
        "others have made stay.",
    )
    add_dry_run(disable)
    status = add_command(
        actions,
        "status",
        "show which drivers are linked",
        f"Show where {paths.GPU_LINK} leads, which installable that is from, and whether it is in "
        "the store and kept from garbage collection.",
    )
    add_json(status)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.action == "enable":
        return enable(arguments.installable, software=arguments.software, dry_run=arguments.dry_run)
    if arguments.action == "disable":
        return disable(dry_run=arguments.dry_run)
    gpu = gather_gpu()
    text = json.dumps(describe(gpu), indent=2) + "\n"
    sys.stdout.write(text if arguments.json else render(gpu))
    return 0


COMMAND = Command(
    "graphics drivers for programs of nixpkgs",
    f"Link graphics drivers to {paths.GPU_LINK}, where programs of nixpkgs look for them.",
    _run,
    _add_arguments,
    (("sudo nix-aurora gpu enable", "graphics drivers for programs of nixpkgs"),),
)
