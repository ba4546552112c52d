"""``nix-aurora relabel``: set the SELinux labels of an existing store to those of the policy."""

import argparse
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.commands.command import Command, add_dry_run, add_json, add_yes
from nix_aurora_host.dialog import confirm, require_root, require_terminal, say
from nix_aurora_host.errors import CommandError
from nix_aurora_host.text import command as line_of
from nix_aurora_host.text import printable

_MAX_COMPLAINTS = 100
_ENFORCE = "/sys/fs/selinux/enforce"
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}
# A line of restorecon --verbose about a file, without the path, which can have any character.
_LINE = re.compile(r"(?:Relabeled|Would relabel) /.* from (?P<old>\S+) to (?P<new>\S+)")


def relabel(*, yes: bool, dry_run: bool, as_json: bool) -> int:
    """Label the store and everything beside it, and return the exit code."""
    if not Path(_ENFORCE).exists():
        say("relabel: SELinux is off: nothing was changed")
        _print(Counter(), done=False, as_json=as_json)
        return 0
    require_root("label the store", "relabel")
    if not (yes or dry_run):
        require_terminal("label the store", "relabel")
    say(f"Checking the labels in {paths.BASE}...")
    changes = _restorecon("-n")
    _tell(changes)
    done = bool(changes) and not dry_run and (yes or confirm("label them"))
    if done:
        changes = _restorecon()
        say("relabel: done")
    _print(changes, done=done, as_json=as_json)
    return 0 if done or dry_run or not changes else 1


def count(lines: Iterable[str]) -> Counter[tuple[str, str]]:
    """Return the number of files for each pair of old and new type, from restorecon's output."""
    found = (_LINE.fullmatch(line.rstrip("\n")) for line in lines)
    return Counter((_type(line["old"]), _type(line["new"])) for line in found if line)


def _type(context: str) -> str:
    return context.split(":")[2] if context.count(":") >= 2 else context


def _restorecon(*options: str) -> Counter[tuple[str, str]]:
    """Run restorecon on the store, on its own file system; return what it changed, or would change.

    It compares only types. A file with several names is correct, or gets its label, at the first
    name: the policy has the same type for all of them.
    """
    command = ["restorecon", "-R", "-x", "-v", *options, paths.BASE]
    try:
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=_ENVIRONMENT,
            cwd="/",
        ) as process:
            changes = count(_pass_on(process.stdout or ()))
    except OSError as error:
        raise CommandError(
            f"cannot label the store: restorecon: {error.strerror}", "rpm --query policycoreutils"
        ) from error
    if process.returncode:
        raise CommandError(
            f"cannot label the store: {line_of(command)}: exit code {process.returncode}",
            "sudo nix-aurora relabel",
        )
    return changes


def _pass_on(lines: Iterable[str]) -> Iterator[str]:
    """Print restorecon's complaints, escaped, as users choose the file names; yield the rest."""
    shown = 0
    for line in lines:
        if line.startswith(("Relabeled ", "Would relabel ")):
            yield line
        elif shown < _MAX_COMPLAINTS:
            shown += 1
            say(printable(line.rstrip("\n"), limit=500))


def _tell(changes: Counter[tuple[str, str]]) -> None:
    if not changes:
        say("relabel: every label is what the policy expects; nothing was changed")
    for (old, new), number in sorted(changes.items()):
        say(f"  {number} files: type {printable(old)}, expected {printable(new)}")


def _print(changes: Counter[tuple[str, str]], *, done: bool, as_json: bool) -> None:
    if not as_json:
        return
    rows = [
        {"from": printable(old), "to": printable(new), "files": number}
        for (old, new), number in sorted(changes.items())
    ]
    print(json.dumps({"relabelled": done, "changes": rows}, indent=2))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_yes(parser)
    add_dry_run(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    return relabel(yes=arguments.yes, dry_run=arguments.dry_run, as_json=arguments.json)


COMMAND = Command(
    "set the SELinux labels of the store, after asking",
    "Set the SELinux labels of the store to those that the policy expects.",
    _run,
    _add_arguments,
    (("sudo nix-aurora relabel --dry-run", "list wrong SELinux labels"),),
)
