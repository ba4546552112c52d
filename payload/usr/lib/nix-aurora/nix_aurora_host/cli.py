"""The command line: arguments, output, exit codes."""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from nix_aurora_host.errors import CommandError
from nix_aurora_host.text import printable

_INTERRUPTED = 130
_LOOKS = {
    "status": "show layout, versions, units, users and space",
    "doctor": "find faults, and name a fix for each",
}
_EXAMPLES = """\
examples:
  nix-aurora status                what is installed, imported and running
  nix-aurora doctor                what is wrong, each with one command that cures it
  nix-aurora doctor --json         the same for a program
  nix-aurora shell                 a shell that sees /nix, where the host has none
  sudo nix-aurora mount disable    no longer have each boot make a /nix, where / has none
  sudo nix-aurora relabel          give an existing store its SELinux labels
  sudo nix-aurora purge --dry-run  what purge would remove

exit codes: 0 all is well or done, 1 faults found or something failed, 2 usage or refused
"""


def make_parser() -> argparse.ArgumentParser:
    """Give the parser; it exits with 2 on its own where the usage is wrong."""
    parser = argparse.ArgumentParser(
        prog="nix-aurora",
        description="Look after Nix on this host.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the package's version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in _LOOKS.items():
        command = commands.add_parser(name, help=summary, allow_abbrev=False)
        command.add_argument("--json", action="store_true", help="for programs")
    _add_shell(commands)
    _add_mount(commands)
    recover = commands.add_parser(
        "recover", help="register again what a lost database knew, after asking", allow_abbrev=False
    )
    recover.add_argument("--yes", action="store_true", help="do not ask")
    recover.add_argument("--dry-run", action="store_true", help="say what it would be, and stop")
    recover.add_argument("--json", action="store_true", help="for programs")
    relabel = commands.add_parser(
        "relabel", help="give the store its SELinux labels, after asking", allow_abbrev=False
    )
    relabel.add_argument("--yes", action="store_true", help="do not ask")
    relabel.add_argument("--dry-run", action="store_true", help="say what would change, and stop")
    relabel.add_argument("--json", action="store_true", help="for programs")
    purge = commands.add_parser(
        "purge", help="remove the store and everything in it, after asking", allow_abbrev=False
    )
    purge.add_argument("--yes", action="store_true", help="do not ask")
    purge.add_argument("--dry-run", action="store_true", help="say what would go, and stop")
    return parser


def _add_shell(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    shell = commands.add_parser(
        "shell", help="start your shell, or COMMAND, where it sees /nix", allow_abbrev=False
    )
    shell.add_argument(
        "line", metavar="COMMAND", nargs=argparse.REMAINDER, help="with all its arguments"
    )


def _add_mount(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    mount = commands.add_parser(
        "mount", help="a /nix for a host that can have none", allow_abbrev=False
    )
    actions = mount.add_subparsers(dest="action", metavar="ACTION", required=True)
    enable = actions.add_parser(
        "enable", help="have every boot make a /nix, after asking", allow_abbrev=False
    )
    enable.add_argument("--now", action="store_true", help="move the running system, too")
    enable.add_argument("--again", action="store_true", help="also try what failed before")
    enable.add_argument("--yes", action="store_true", help="do not ask")
    enable.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    actions.add_parser("disable", help="have no boot make one any more", allow_abbrev=False)
    status = actions.add_parser("status", help="show how it stands", allow_abbrev=False)
    status.add_argument("--json", action="store_true", help="for programs")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code."""
    parser = make_parser()
    arguments = parser.parse_args(argv)
    try:
        if arguments.version:
            return _version()
        if arguments.command is None:
            parser.print_usage(sys.stderr)
            return 2
        return _COMMANDS[arguments.command](arguments)
    except CommandError as error:
        sys.stderr.write(f"nix-aurora: {printable(error.message, limit=None)}\n")
        if error.hint:
            sys.stderr.write(f"hint: {printable(error.hint, limit=None)}\n")
        return error.code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


# Each command loads what it needs, and no other's.
# ruff: noqa: PLC0415


def _version() -> int:
    from nix_aurora_host.gather.closure import gather_closure

    print(f"nix-aurora {gather_closure().version}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from nix_aurora_host.commands import status
    from nix_aurora_host.gather.everything import gather_basics

    basics = gather_basics()
    text = json.dumps(status.describe(basics), indent=2) + "\n"
    sys.stdout.write(text if arguments.json else status.render(basics))
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from nix_aurora_host.checks.everything import judge
    from nix_aurora_host.commands import doctor
    from nix_aurora_host.gather.everything import gather_all

    findings = judge(gather_all())
    text = json.dumps(doctor.describe(findings), indent=2) + "\n"
    root = os.geteuid() == 0
    sys.stdout.write(text if arguments.json else doctor.render(findings, root=root))
    return 0 if doctor.is_well(findings) else 1


def _shell(arguments: argparse.Namespace) -> int:
    from nix_aurora_host.commands import shell

    line = arguments.line
    shell.shell(line[1:] if line[:1] == ["--"] else line)


def _mount(arguments: argparse.Namespace) -> int:
    from nix_aurora_host.commands import mount
    from nix_aurora_host.nix_root.gather import gather_nix_root
    from nix_aurora_host.settings import gather_settings_file

    if arguments.action == "enable":
        return mount.enable(
            yes=arguments.yes,
            now=arguments.now,
            again=arguments.again,
            dry_run=arguments.dry_run,
        )
    if arguments.action == "disable":
        return mount.disable()
    file = gather_settings_file()
    nix_root = gather_nix_root(file)
    text = json.dumps(mount.describe(nix_root), indent=2) + "\n"
    sys.stdout.write(text if arguments.json else mount.render(nix_root, file))
    return 0


def _recover(arguments: argparse.Namespace) -> int:
    from nix_aurora_host.commands import recover

    return recover.recover(yes=arguments.yes, dry_run=arguments.dry_run, as_json=arguments.json)


def _relabel(arguments: argparse.Namespace) -> int:
    from nix_aurora_host.commands import relabel

    return relabel.relabel(yes=arguments.yes, dry_run=arguments.dry_run, as_json=arguments.json)


def _purge(arguments: argparse.Namespace) -> int:
    from nix_aurora_host.commands import purge

    return purge.purge(yes=arguments.yes, dry_run=arguments.dry_run)


_COMMANDS = {
    "status": _status,
    "doctor": _doctor,
    "shell": _shell,
    "mount": _mount,
    "recover": _recover,
    "relabel": _relabel,
    "purge": _purge,
}
