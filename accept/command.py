"""The command line of the acceptance script: arguments, progress, exit codes."""

import argparse
import re
import secrets
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from accept.connection import Connection, LateError, LostError
from accept.machine import Machine
from accept.mask import masker
from accept.outcome import exit_code
from accept.reboots import walk_reboots
from accept.report import Report, describe, make_report, render
from accept.walk import BASIC, MORE, Walk, asked_steps
from nix_aurora.errors import AuroraError, ToolError, UsageError
from nix_aurora.text import printable

USAGE = 2
_INTERRUPTED = 130
_INSTALLABLE = "nixpkgs#devbox"
_EPILOG = """\
It installs nothing, and removes what it makes. Without these options it does not use the network,
collect garbage or reboot; what you do not ask for is reported as not shown.

exit codes: 0 all that was checked is ok, 1 a promise is broken, 2 no connection, or wrong usage
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser, which exits with 2 if the usage is wrong."""
    parser = argparse.ArgumentParser(
        prog="python3 -m accept",
        description="Check the promises of the documentation on a host, over ssh.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "host", metavar="[USER@]HOST", help="the host, as an ordinary user who may use sudo"
    )
    parser.add_argument(
        "--ssh", default="", metavar="OPTIONS", help="options for ssh, as in --ssh='-p 2222'"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="file for the report; default: out/accept-….json"
    )
    parser.add_argument(
        "--network",
        nargs="?",
        const=_INSTALLABLE,
        metavar="PACKAGE",
        help=f"also install a package ({_INSTALLABLE}), remove it, and look for an upgrade",
    )
    parser.add_argument("--collect", action="store_true", help="also collect garbage")
    parser.add_argument(
        "--reboots", action="store_true", help="also reboot, roll back, and come back (root)"
    )
    parser.add_argument(
        "--boot-limit",
        type=float,
        default=900,
        metavar="SECONDS",
        help="longest time for a boot; default: 900",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    arguments = make_parser().parse_args(argv)
    try:
        return _run(arguments)
    except AuroraError as error:
        _say(error.message)
        if error.hint:
            _say(f"hint: {error.hint}")
    except (LostError, LateError) as error:
        _say(f"cannot connect: {arguments.host}: {error}")
        _say(f"hint: ssh {arguments.ssh} {arguments.host} true")
    except KeyboardInterrupt:
        _say("interrupted")
        return _INTERRUPTED
    return USAGE


def _run(arguments: argparse.Namespace) -> int:
    try:
        options = shlex.split(arguments.ssh)
    except ValueError as error:
        raise UsageError(f"--ssh: expected words for a shell, got {error}") from error
    connection = Connection(arguments.host, options)
    try:
        _say(f"connecting to {arguments.host}")
        connection.open()
        machine = Machine(connection, secrets.token_hex(8))
        mask = masker(machine.facts, arguments.host)
        walk = Walk(machine, _say)
        try:
            _walk(walk, arguments)
        finally:
            _clean(walk, connection)
    finally:
        connection.close()
    names = ("network", "collect", "reboots")
    asked = {name: bool(getattr(arguments, name)) for name in names}
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    report = make_report(date, machine.facts, asked, walk.outcomes, mask)
    _hand_over(report, arguments.json or default_path(arguments.host, date))
    return exit_code(walk.outcomes)


def _walk(walk: Walk, arguments: argparse.Namespace) -> None:
    walk.take(BASIC)
    walk.take(MORE)
    walk.take(asked_steps(network=arguments.network, collect=arguments.collect))
    walk_reboots(walk, asked=arguments.reboots, limit=arguments.boot_limit)


def _clean(walk: Walk, connection: Connection) -> None:
    """Remove what an interrupted script left on the host; a script that ends leaves nothing."""
    try:
        if walk.lost:
            connection.open(30)
        if left := walk.machine.clean():
            _say(f"warning: left on the host: {left}")
    except (LostError, LateError, ToolError) as error:
        _say(f"warning: cannot look for leftovers on the host: {error}")


def default_path(host: str, date: str) -> Path:
    """Return the default path of the report on a host."""
    name = re.sub(r"[^\w.-]", "_", host.rpartition("@")[2])
    return Path("out", f"accept-{name}-{date.replace(':', '').removesuffix('Z')}.json")


def _hand_over(report: Report, path: Path) -> None:
    """Print the table, and write the JSON."""
    sys.stdout.write(render(report, shutil.get_terminal_size((100, 24)).columns))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(describe(report), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write the report: {path}: {error.strerror}") from error
    sys.stdout.write(f"report: {path}\n")


def _say(text: str) -> None:
    """Print progress; text from the host and its ssh is one escaped line."""
    sys.stderr.write(f"accept: {printable(text, limit=None)}\n")
    sys.stderr.flush()


def catch_signals() -> None:
    """Make the signals that end a program clean up first, like Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
