"""``nix-aurora mount``: /nix for hosts with a root directory that cannot contain it."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from nix_aurora_host import paths, replace, settings
from nix_aurora_host.commands.command import (
    Command,
    add_command,
    add_dry_run,
    add_json,
    add_yes,
)
from nix_aurora_host.dialog import confirm, require_root, require_terminal, say
from nix_aurora_host.errors import CommandError
from nix_aurora_host.former.facts import Trace
from nix_aurora_host.former.mounter import find_mounter
from nix_aurora_host.former.tree import Tree
from nix_aurora_host.nix_root.facts import NixRoot
from nix_aurora_host.nix_root.gather import gather_laggards, gather_nix_root
from nix_aurora_host.nix_root.plan import Step, decide_enable
from nix_aurora_host.nix_root.words import listed, needless
from nix_aurora_host.report.mount import describe, render
from nix_aurora_host.text import command, printable


def enable(*, yes: bool, now: bool, again: bool, dry_run: bool) -> int:
    """Make every boot create /nix, and with ``now`` create it at once; return the exit code.

    After one kind of root has failed, try the next one; with ``again``, try all of them.
    """
    file = settings.gather_settings_file()
    nix_root = gather_nix_root(file)
    step, message = decide_enable(nix_root, file, now=now, again=again)
    if step is Step.ENABLE:
        _refuse_another(find_mounter(Tree()))
    for line in message.split("\n"):
        say(line)
    if step is Step.NOTHING or dry_run:
        return 0
    require_root("run mount enable", "mount enable")
    if step is Step.ENABLE and not yes:
        require_terminal("enable mount", "mount enable")
        if not confirm("enable it"):
            say("mount: nothing was changed")
            return 1
    _change("enable", settings.ask_no_more)
    if step is Step.ENABLE:
        _change("enable", lambda: _forget_failures(nix_root, again=again))
    if not now:
        say("mount: enabled; reboot to apply it: systemctl reboot")
        return 0
    _move(root=step is Step.ENABLE)
    return 0


def _refuse_another(trace: Trace | None) -> None:
    """Raise CommandError if a mount unit of another Nix would mount its store on the new /nix."""
    if trace:
        raise CommandError(
            f"cannot enable mount: {printable(trace.path)} {printable(trace.effect)}; nothing was "
            "changed",
            command(["sudo", "nix-aurora", "set-aside", trace.path]),
        )


def _forget_failures(nix_root: NixRoot, *, again: bool) -> None:
    """Allow boots to switch the root again: not to a kind that failed, unless ``again`` is true."""
    if again:
        Path(paths.AVOIDED).unlink(missing_ok=True)
    elif nix_root.stopped and nix_root.failed:
        last = nix_root.failed[-1]
        replace.edit(paths.AVOIDED, lambda text: text + f"{last.kind} {last.kernel}\n".encode())
    Path(paths.PENDING).unlink(missing_ok=True)
    Path(paths.UNMOVED).unlink(missing_ok=True)


def disable() -> int:
    """Stop boots from creating /nix; return the exit code."""
    nix_root = gather_nix_root(settings.gather_settings_file())
    if reason := needless(nix_root):
        say(f"mount: {reason}: nothing was changed")
        return 0
    require_root("run mount disable", "mount disable")
    _change("disable", settings.ask_for_namespace)
    _change("disable", lambda: Path(paths.PENDING).unlink(missing_ok=True))
    kept = "; / keeps its /nix until the next boot: systemctl reboot" if nix_root.done else ""
    say(f"mount: disabled{kept}")
    return 0


def _move(*, root: bool) -> None:
    """Mount the store in the running system; with ``root``, switch to a root with /nix first."""
    if root and not _look().done:
        _change("enable", lambda: Path(paths.MOVE_NOW).touch())
        _systemctl("restart", paths.ROOT)
        if not _look().done:
            raise CommandError(
                "cannot switch the running system to the new root; the system was not changed",
                f"journalctl -b -u {paths.ROOT}",
            )
        _systemctl("start", paths.ROOT_GOOD)
    if not _look().mounted:  # a mount that is in use cannot be restarted
        _systemctl("restart", paths.LAYOUT, paths.MOUNT)
        _systemctl("try-restart", paths.DAEMON)  # running builds continue
    if not _look().mounted:
        raise CommandError(
            f"cannot mount the store: / now contains /nix, but {paths.BASE} is not mounted on it",
            f"journalctl -b -u {paths.MOUNT}",
        )
    say(f"mount: enabled; {paths.BASE} is mounted on /nix")
    if root and (laggards := gather_laggards()):
        names = listed(laggards)
        say(f"mount: these units do not see /nix until you restart them or reboot: {names}")


def _look() -> NixRoot:
    return gather_nix_root(settings.gather_settings_file())


def _change(what: str, act: Callable[[], object]) -> None:
    """Call ``act``, which changes a file below /etc or /run; raise CommandError if it fails."""
    try:
        act()
    except OSError as error:
        subject = printable(error.filename or paths.SETTINGS)
        raise CommandError(
            f"cannot run mount {what}: {subject}: {error.strerror}", "findmnt --target /etc"
        ) from error


def _systemctl(*words: str) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(
            f"cannot run {command(['systemctl', *words])}: exit code {done.returncode}: "
            f"{printable(done.stderr.strip())}",
            f"journalctl -b -u {words[-1]}",
        )


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    enable = add_command(
        actions,
        "enable",
        "create a /nix at every boot, after asking",
        "Create a /nix at every boot, for all programs, on a host whose root directory cannot "
        "contain one. This is the default. If two boots in a row fail with it, later boots do not "
        "move the system. Then this command makes them try the other kind of root directory.",
    )
    enable.add_argument("--now", action="store_true", help="also move the running system")
    enable.add_argument("--again", action="store_true", help="also try what has failed before")
    add_yes(enable)
    add_dry_run(enable)
    add_command(
        actions,
        "disable",
        "do not create a /nix at boot",
        f"Do not create a /nix at boot. This writes a line into {paths.SETTINGS}, which mount "
        "enable removes again. If the root directory has its own /nix, nothing is changed.",
    )
    status = add_command(
        actions,
        "status",
        "show whether this boot created a /nix",
        "Show whether every boot creates a /nix, and what happened in this boot. As root, also "
        "list the services that still use the old root directory.",
    )
    add_json(status)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.action == "enable":
        return enable(
            yes=arguments.yes,
            now=arguments.now,
            again=arguments.again,
            dry_run=arguments.dry_run,
        )
    return disable() if arguments.action == "disable" else _show(as_json=arguments.json)


def _show(*, as_json: bool) -> int:
    """Print the state; return the exit code."""
    file = settings.gather_settings_file()
    nix_root = gather_nix_root(file)
    text = json.dumps(describe(nix_root), indent=2) + "\n"
    sys.stdout.write(text if as_json else render(nix_root, file))
    return 0


COMMAND = Command(
    "choose whether boots create a /nix",
    "Choose whether boots create a /nix for all programs, on a host whose root directory cannot "
    "contain one. Early in each boot, the system moves onto a read-only root directory that also "
    "has /nix. Nothing changes in the image, the initramfs or the boot loader.",
    _run,
    _add_arguments,
    (("nix-aurora mount status", "show whether this boot created a /nix"),),
)
