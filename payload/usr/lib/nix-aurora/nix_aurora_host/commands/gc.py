"""``nix-aurora gc``: collect garbage each week, and while builds run short of space."""

import argparse
import json
import subprocess

from nix_aurora_host import paths, settings
from nix_aurora_host.collection import limits, switch
from nix_aurora_host.commands.command import (
    Command,
    add_command,
    add_dry_run,
    add_json,
    add_yes,
)
from nix_aurora_host.dialog import confirm, require_root, require_terminal, say
from nix_aurora_host.gather.collection import gather_garbage
from nix_aurora_host.report.collection import describe, render
from nix_aurora_host.text import command, human

_COLLECT = ("/usr/libexec/nix-aurora/with-nix", "/usr/libexec/nix-aurora/collect")


def enable(*, dry_run: bool) -> int:
    """Turn on automatic collection of garbage; return the exit code."""
    chosen = limits.choose_here()
    days = settings.gather_settings_file().days
    say(
        f"gc: every week, remove generations older than {days} days, then the store paths that no "
        "root keeps"
    )
    say(
        f"gc: if less than {human(chosen.least)} is free, a build collects garbage until "
        f"{human(chosen.wanted)} is free"
    )
    if dry_run:
        return 0
    require_root("run gc enable", "gc enable")
    switch.turn_on(chosen)
    if not limits.is_included():
        say(
            f"gc: {paths.NIX_CONF} does not include {paths.GC_CONF}, so builds do not collect "
            "garbage. To add the line, run:"
        )
        append = command(["sudo", "tee", "--append", paths.CUSTOM_CONF])
        include = command(["printf", r"\n%s\n", f"!include {paths.GC_CONF}"])
        say(f"  {include} | {append}")
    say("gc: enabled; to undo it: sudo nix-aurora gc disable")
    return 0


def disable() -> int:
    """Turn off automatic collection of garbage; return the exit code."""
    require_root("run gc disable", "gc disable")
    switch.turn_off()
    say("gc: disabled; garbage is collected only by: sudo nix-aurora gc run")
    return 0


def run(*, yes: bool, dry_run: bool) -> int:
    """Collect garbage now; return the exit code."""
    require_root("run gc run", "gc run")
    days = settings.gather_settings_file().days
    if not dry_run and not yes:
        require_terminal("collect garbage", "gc run")
        say(f"Generations older than {days} days are removed. Profiles cannot go back to them.")
        say("Then store paths that no profile, result or running program uses are removed.")
        if not confirm("collect garbage"):
            say("gc: nothing was removed")
            return 1
    words = [*_COLLECT, *(["--dry-run"] if dry_run else [])]
    code = subprocess.run(words, check=False).returncode
    if dry_run and code == 0:
        garbage = gather_garbage(settings.gather_settings_file())
        say(render(garbage).split("\n")[-1])
        say("gc: paths that only old generations keep are not counted; nothing was removed")
    return code


def show(*, as_json: bool) -> int:
    """Print whether garbage is collected, and what that would free; return the exit code."""
    garbage = gather_garbage(settings.gather_settings_file())
    text = json.dumps(describe(garbage), indent=2) if as_json else render(garbage)
    print(text)
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    enable = add_command(
        actions,
        "enable",
        "collect each week, and while builds run short of space",
        f"Start {paths.GC_TIMER}, which collects each week on AC power, and set Nix's min-free and "
        f"max-free in {paths.GC_CONF} to values that suit the disk. Values in "
        f"{paths.CUSTOM_CONF} win. Run it again if the size of the disk changes.",
    )
    add_dry_run(enable)
    add_command(
        actions,
        "disable",
        "stop automatic collection",
        f"Stop {paths.GC_TIMER}, and remove {paths.GC_CONF}. This is the default.",
    )
    status = add_command(
        actions,
        "status",
        "show the state of garbage collection",
        "Show whether and when garbage is collected, and, as root, what a collection would free.",
    )
    add_json(status)
    now = add_command(
        actions,
        "run",
        "collect now, after asking",
        "Remove the generations of all profiles that are older than GC_KEEP_DAYS in "
        f"{paths.SETTINGS}, then what no root keeps. It refuses to run while a root leads to a "
        "place that is not mounted.",
    )
    add_yes(now)
    add_dry_run(now)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.action == "enable":
        return enable(dry_run=arguments.dry_run)
    if arguments.action == "disable":
        return disable()
    if arguments.action == "run":
        return run(yes=arguments.yes, dry_run=arguments.dry_run)
    return show(as_json=arguments.json)


COMMAND = Command(
    "collect garbage, now or each week",
    "Collect garbage: remove old generations of the profiles of root and all users, and then the "
    "store paths that nothing keeps. Automatic collection is disabled by default.",
    _run,
    _add_arguments,
    (
        ("sudo nix-aurora gc enable", "collect garbage each week"),
        ("sudo nix-aurora gc run", "collect garbage now, after asking"),
    ),
)
