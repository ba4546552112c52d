"""``nix-aurora recover``: register lost store paths again if a copy of the database knows them.

Presence in the store is no reason to register a path: a failed build leaves content that its user
chose under a valid name. A copy of the database knows the hash of each registered path.
"""

import argparse
import fcntl
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.commands.command import Command, add_dry_run, add_json, add_yes
from nix_aurora_host.database import files, schema, sqlite
from nix_aurora_host.database.newer import find_copy, find_newer, request_replacement
from nix_aurora_host.database.recoverable import Found, find, insert
from nix_aurora_host.database.rows import STORE_NAME
from nix_aurora_host.dialog import confirm, require_root, require_terminal, say
from nix_aurora_host.errors import CommandError
from nix_aurora_host.gather.closure import gather_closure
from nix_aurora_host.text import human, printable

_SHOWN = 20
_IMPORT = "/usr/libexec/nix-aurora/import"


def recover(*, yes: bool, dry_run: bool, as_json: bool) -> int:
    """Register the paths that the copies vouch for, and return the exit code."""
    require_root("recover the database", "recover")
    if not (yes or dry_run):
        require_terminal("recover the database", "recover")
    try:
        return _recover(yes=yes, dry_run=dry_run, as_json=as_json)
    except (OSError, sqlite3.Error) as error:
        raise CommandError(
            f"cannot recover the database: {paths.DATABASE}: {printable(str(error))}",
            "sudo nix-aurora doctor",
        ) from error


def _recover(*, yes: bool, dry_run: bool, as_json: bool) -> int:
    if (broken := _find_damage()) is not None:
        say(f"The database cannot be used: {printable(broken)}")
        say("The import repairs it, restores it from a copy, or creates a new one.")
        if dry_run or not (yes or confirm("run the import")):
            if as_json:
                _print(Found(broken=broken), registered=False)
            return 0 if dry_run else 1
        files.write(paths.IMPORT_NEEDED, "")
        _import()
    elif (replaced := _replace_newer(yes=yes, dry_run=dry_run, as_json=as_json)) is not None:
        return replaced
    with (
        files.lock(paths.IMPORT_LOCK, fcntl.LOCK_EX),
        files.lock(paths.COLLECTOR_LOCK, fcntl.LOCK_SH, patience=0) as free,
    ):
        if not free:
            say("Waiting for a garbage collection to finish")
        with files.lock(paths.COLLECTOR_LOCK, fcntl.LOCK_SH), ExitStack() as locks:
            return _register(find(locks), yes=yes, dry_run=dry_run, as_json=as_json)


def _find_damage() -> str | None:
    if not Path(paths.DATABASE).exists():
        return f"{paths.DATABASE}: no such file"
    damage = sqlite.check_live(paths.DATABASE)
    return schema.find_fault() if damage is None else f"{paths.DATABASE}: {damage}"


def _replace_newer(*, yes: bool, dry_run: bool, as_json: bool) -> int | None:
    """Replace a database that the packaged Nix cannot read by a copy.

    Return the exit code, or None if the caller should continue.
    """
    if (newer := find_newer(lambda: gather_closure().nix)) is None:
        return None
    reason = (
        f"{paths.DATABASE_DIRECTORY}/{schema.SCHEMAS[0]}: expected at most {newer.reads}, which "
        f"the packaged Nix reads, got {newer.schema}"
    )
    if (copy := find_copy(newer)) is None:
        raise CommandError(
            f"cannot recover the database: {reason}, and no copy has a schema that it reads; "
            "nothing was changed",
            "sudo nix-aurora doctor",
        )
    say(f"A newer Nix has changed the database: {reason}")
    say(f"Newest copy that the packaged Nix reads: {copy.date}, {copy.count} store paths.")
    say(f"The import restores this copy, and moves the newer database into {paths.ASIDE}.")
    say(f"Packages that were installed after {copy.date} must be installed again.")
    say("To keep them, do not confirm, and upgrade the system instead.")
    if dry_run or not (yes or confirm("restore the copy")):
        if as_json:
            _print(Found(broken=reason), registered=False)
        return 0 if dry_run else 1
    request_replacement(newer)
    _import()
    return None


def _import() -> None:
    """Let the import restore the database: through systemd if it is running."""
    command = [_IMPORT]
    if Path("/run/systemd/system").is_dir():
        command = ["systemctl", "restart", paths.SETUP]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        raise CommandError(
            f"cannot restore the database: {paths.SETUP} failed", f"journalctl -u {paths.SETUP}"
        )


def _register(found: Found, *, yes: bool, dry_run: bool, as_json: bool) -> int:
    _tell(found)
    due = bool(found.names or found.realisations)
    done = due and not dry_run and (yes or confirm("register them"))
    if done:
        with sqlite.connect(paths.DATABASE, "rw") as live:
            insert(live, found.plans)
        say(f"Registered {len(found.names)} store paths and {found.realisations} realisations.")
    refused = due and not done
    if not dry_run and not refused and Path(paths.DATABASE_LOST).exists():
        files.remove(paths.DATABASE_LOST)
        say("The daily copy of the database is enabled again.")
    if as_json:
        _print(found, registered=done)
    return 1 if refused and not dry_run else 0


def _print(found: Found, *, registered: bool) -> None:
    print(json.dumps(describe(found, registered=registered), indent=2))


def describe(found: Found, *, registered: bool) -> dict[str, object]:
    """Return the value that --json prints; nix-aurora(1), "recover", describes it."""
    return {
        "registered": registered,
        "damage": found.broken,
        "copies": {
            copy.generation: {"time": copy.time, "paths": copy.count} for copy, _ in found.plans
        },
        "unusable": dict(found.flaws),
        "paths": [_path(name) for name in found.names],
        "size": found.size,
        "realisations": found.realisations,
        "unfit": {_path(name): why for name, why in found.unfit.items() if _is_name(name)},
        "lost": {printable(root, None): _path(name) for root, name in found.lost.items()},
    }


def _is_name(name: str) -> bool:
    return STORE_NAME.fullmatch(name) is not None


def _path(name: str) -> str:
    return f"{paths.PREFIX}/{name}"


def _tell(found: Found) -> None:
    for generation, flaw in found.flaws.items():
        say(f"{paths.COPIES}/{generation}: this copy cannot be used: {printable(flaw)}")
    if not found.plans:
        say(f"There is no copy of the database in {paths.COPIES}: no store path can be recovered")
    if names := found.names:
        say(f"Store paths that a copy confirms: {len(names)}, {human(found.size)}")
        _list(_path(name) for name in names)
    if found.realisations:
        say(f"Realisations of derivations that a copy confirms: {found.realisations}")
    if unfit := found.unfit:
        say(
            "These store paths are in a copy, but cannot be registered. The next garbage "
            "collection deletes them:"
        )
        _list(f"{printable(_path(name))}: {printable(why)}" for name, why in unfit.items())
    if lost := found.lost:
        say("Links to store paths that are not registered. Install or build these paths again:")
        _list(f"{printable(root)}: {_path(name)}" for root, name in lost.items())
    if not (found.names or found.realisations or found.unfit or found.lost):
        say("Every store path that a link leads to is registered.")


def _list(lines: Iterable[str]) -> None:
    shown = list(lines)
    for line in shown[:_SHOWN]:
        say(f"  {line}")
    if len(shown) > _SHOWN:
        say(f"  and {len(shown) - _SHOWN} more; to list all: nix-aurora recover --dry-run --json")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_yes(parser)
    add_dry_run(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    return recover(yes=arguments.yes, dry_run=arguments.dry_run, as_json=arguments.json)


COMMAND = Command(
    "register store paths that a lost database knew, after asking",
    "Register store paths that a lost database knew, and that a copy of the database confirms. "
    "Otherwise the next garbage collection deletes them.",
    _run,
    _add_arguments,
    (("sudo nix-aurora recover --dry-run", "list what recover would register"),),
)
