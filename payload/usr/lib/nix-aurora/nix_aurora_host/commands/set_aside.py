"""``nix-aurora set-aside``: move files that another Nix left on the host out of the way."""

import argparse
import json
from collections.abc import Sequence

from nix_aurora_host.commands.command import Command, add_dry_run, add_json, add_yes
from nix_aurora_host.dialog import confirm, require_root, require_terminal, say
from nix_aurora_host.errors import CommandError
from nix_aurora_host.former import plan, revive
from nix_aurora_host.former.aside import SYSTEM_KINDS, Aside
from nix_aurora_host.former.facts import Cure, Kind, Trace
from nix_aurora_host.former.files import POLICY_MODULE
from nix_aurora_host.former.gather import gather_former
from nix_aurora_host.former.stores import FORMER
from nix_aurora_host.text import command, printable

# These stay, or the packaged ones replace them: either way they are new files without labels.
_WRITTEN = {Kind.FSTAB, Kind.SCRIPT, Kind.SETTINGS}


def set_aside(wanted: Sequence[str], *, yes: bool, dry_run: bool, as_json: bool) -> int:
    """Set aside the traces at ``wanted``, or all of them, and return the exit code."""
    if not dry_run:
        require_root("set anything aside", command(["set-aside", *wanted]))
    aside = Aside()
    traces = plan.select(gather_former(), wanted, aside.has)
    if traces and not (yes or dry_run):
        require_terminal("set this aside", command(["set-aside", *wanted]))
    _tell(traces)
    if dry_run or (traces and not yes and not confirm("set this aside")):
        if not dry_run:
            say("set-aside: nothing was changed")
        _print(traces, {}, as_json=as_json)
        return 0 if dry_run else 1
    kept = _act(traces, aside)
    _print(traces, kept, as_json=as_json)
    return 0


def _tell(traces: Sequence[Trace]) -> None:
    if not traces:
        say("set-aside: found nothing of another Nix")
        return
    say(f"Another Nix left these. set-aside changes them, and keeps the files in {FORMER}:")
    for line in plan.render(traces):
        say(line)
    say("No store is touched, and nothing is deleted.")


def _act(traces: Sequence[Trace], aside: Aside) -> dict[str, str]:
    """Set aside all traces and start Nix; return their new places."""
    revive.stop(traces)
    if any(trace.kind is Kind.POLICY for trace in traces):
        revive.remove_policy(POLICY_MODULE)
    kept = {}
    for trace in traces:
        if trace.cure is not Cure.UNMOUNT:
            kept[trace.path] = _put(aside, trace)
            say(f"{trace.path}: now {kept[trace.path]}")
    written = [trace.path for trace in traces if trace.kind in _WRITTEN]
    revive.restore_labels(written)
    # Without a trace, complete an interrupted run: systemd may not have read its units again.
    if not traces or SYSTEM_KINDS & {trace.kind for trace in traces}:
        revive.forget(traces)
        try:
            if any(trace.cure is Cure.UNMOUNT for trace in traces):
                revive.unmount()
        finally:  # also if /nix stays in use until the reboot
            revive.start(traces, whole=not _hinders())
    if any(trace.kind is Kind.SETTINGS for trace in traces):
        revive.reload_daemon()
    say("set-aside: done; to check the result: sudo nix-aurora doctor")
    return kept


def _put(aside: Aside, trace: Trace) -> str:
    try:
        return aside.put(trace)
    except OSError as error:
        raise CommandError(
            f"cannot set aside {printable(trace.path)}: {error.strerror}; files that were set "
            f"aside before are in {FORMER}",
            command(["findmnt", "--target", trace.path]),
        ) from error


def _hinders() -> bool:
    """Return whether a trace is left that can prevent Nix from starting."""
    return any(trace.kind in SYSTEM_KINDS for trace in gather_former().traces)


def _print(traces: Sequence[Trace], kept: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        rows = plan.describe(traces)
        for row, trace in zip(rows, traces, strict=True):
            row["now"] = kept.get(trace.path)
        print(json.dumps({"traces": rows}, indent=2))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="*", help="only these, as doctor shows them")
    add_yes(parser)
    add_dry_run(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    return set_aside(
        arguments.paths, yes=arguments.yes, dry_run=arguments.dry_run, as_json=arguments.json
    )


COMMAND = Command(
    summary="put aside what another Nix left, after asking",
    description=(
        "Put aside what another installer of Nix left: move units, scripts and settings into "
        "/etc/nix-aurora.former, comment out lines in /etc/fstab, and unmount /nix. Then start "
        "Nix. With PATH, put aside only these files. This deletes nothing, and changes no store."
    ),
    run=_run,
    add_arguments=_add_arguments,
    examples=(("sudo nix-aurora set-aside --dry-run", "list what another Nix left"),),
)
