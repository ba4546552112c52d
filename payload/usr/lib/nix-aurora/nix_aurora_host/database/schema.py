"""The number of the schema, in a file beside Nix's database.

Nix reads this file before it opens the database. If the file does not contain a number, no Nix
opens the database, even an intact one. If the file is missing, Nix writes it.
"""

import re
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.database import files, sqlite
from nix_aurora_host.system import run
from nix_aurora_host.text import printable

SCHEMAS = ("schema", "ca-schema")  # files beside Nix's database, each a number
CURRENT = 10  # every Nix since 2.0 writes this number
_NUMBER = re.compile(rb"[0-9]{1,10}")
_MOST = 2**31 - 1  # Nix parses an int, without spaces or line breaks
_TABLES = ("ValidPaths", "Refs", "DerivationOutputs")


def read_schema(directory: str, name: str) -> int | None:
    """Return the number in a schema file; None if there is none that Nix could read."""
    try:
        content = Path(directory, name).read_bytes()
    except OSError:
        return None
    return _parse(content)


def _parse(content: bytes) -> int | None:
    return int(content) if _NUMBER.fullmatch(content) and int(content) <= _MOST else None


def find_fault() -> str | None:
    """Return which schema file Nix cannot read, and why; None if it can read all of them."""
    faults = find_faults()
    return next((f"{_live(name)}: {reason}" for name, reason in faults.items()), None)


def find_faults() -> dict[str, str]:
    """Return the schema files that Nix cannot read, each with the reason."""
    faults = {}
    for name in SCHEMAS:
        try:
            content = Path(_live(name)).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            faults[name] = f"cannot be read: {error.strerror}"
            continue
        if (number := _parse(content)) is None:
            text = printable(content[:40].decode(errors="surrogateescape"))
            faults[name] = f"expected a number, got '{text}'"
        elif name == SCHEMAS[0] and 0 < number < CURRENT and "ca" in _read_shape(paths.DATABASE)[0]:
            faults[name] = f"expected {CURRENT}, the schema of the tables, got {number}"
    return faults


def _live(name: str) -> str:
    return f"{paths.DATABASE_DIRECTORY}/{name}"


def _read_shape(database: str) -> tuple[frozenset[str], ...]:
    """Return the columns of each table; an empty tuple if they cannot be read."""
    try:
        with sqlite.connect(database) as connection:
            return tuple(frozenset(sqlite.columns(connection, table)) for table in _TABLES)
    except sqlite3.Error:
        return (frozenset(),) * len(_TABLES)


def make_empty(nix_store: Sequence[str], directory: str) -> str:
    """Make Nix create a new database below ``directory``; return the database's directory.

    ``nix_store`` is a command that runs its nix-store.
    """
    environment = {"NIX_STATE_DIR": directory, "NIX_REMOTE": "local", "HOME": directory}
    options = ("--init", "--option", "gc-reserved-space", "0")
    run([*nix_store, *options], environment=environment)
    return f"{directory}/db"


def mend(make_fresh: Callable[[], str], copies: Sequence[str]) -> bool:
    """Correct the schema files that Nix cannot read; return whether Nix can read them now.

    The number is taken from a database with the same tables: from one in the directories
    ``copies``, else from the one whose directory ``make_fresh`` returns. The schema of
    content-addressed derivations may be missing; Nix writes it again.
    """
    if not (faults := find_faults()):
        return True
    files.write(paths.IMPORT_NEEDED, "")  # if the import is killed after this, it is repeated
    shape = _read_shape(paths.DATABASE)
    places = (*copies, make_fresh())
    alike = [place for place in places if _read_shape(f"{place}/db.sqlite") == shape]
    for name, reason in faults.items():
        numbers = (read_schema(place, name) for place in alike)
        number = next((number for number in numbers if number is not None), None)
        if number is None and name == SCHEMAS[0]:
            return False
        _replace(name, number)
        now = "Nix writes it again" if number is None else f"it now has {number}"
        print(f"nix-aurora: corrected {_live(name)}: {reason}; {now}", flush=True)
    return True


def _replace(name: str, number: int | None) -> None:
    if number is None:
        files.remove(_live(name))
        return
    if Path(_live(name)).is_dir():
        files.remove(_live(name))
    files.write(_live(name), str(number))
    Path(_live(name)).chmod(0o644)  # the mode that Nix sets
