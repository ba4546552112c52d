"""Handle a database that a newer Nix has changed so that the packaged one cannot read it.

It is intact, and another deployment may need it: nothing replaces it unless root requests that.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nix_aurora_host import paths
from nix_aurora_host.database import files
from nix_aurora_host.database.copies import Copy, find_flaw, read_copies
from nix_aurora_host.database.schema import CURRENT, SCHEMAS, make_empty, read_schema
from nix_aurora_host.system import read


@dataclass(frozen=True, slots=True)
class Newer:
    """The database's schema, and the older one that the packaged Nix ``reads``."""

    schema: int
    reads: int


def find_newer(find_nix: Callable[[], str]) -> Newer | None:
    """Return both schemas if the database is newer.

    The packaged Nix, whose store path ``find_nix`` returns, creates an empty database elsewhere,
    which shows the schema that it reads. Most hosts have no newer database, and need not look for
    Nix.
    """
    schema = read_schema(paths.DATABASE_DIRECTORY, SCHEMAS[0])
    if schema is None or schema <= CURRENT:
        return None
    reads = read_limit(find_nix)
    return Newer(schema, reads) if reads is not None and reads < schema else None


def read_limit(find_nix: Callable[[], str]) -> int | None:
    """Return the newest schema that the packaged Nix reads; None if it does not start."""
    with tempfile.TemporaryDirectory() as directory:
        return read_schema(make_empty(_nix_store(find_nix), directory), SCHEMAS[0])


def _nix_store(find_nix: Callable[[], str]) -> list[str]:
    if paths.RELOCATED:  # relocated uses NIX_STATE_DIR only with the option --closure
        return [
            "/usr/libexec/nix-aurora/relocated",
            "--closure",
            f"{paths.DESCRIBED}/closure",
            "nix-store",
        ]
    return ["/usr/libexec/nix-aurora/with-nix", *paths.nix_command(find_nix(), "nix-store")]


def find_copy(newer: Newer, copies: Sequence[Copy] | None = None) -> Copy | None:
    """Return the newest intact copy that the packaged Nix reads.

    Raise PermissionError for a user.
    """
    reads: dict[str, int | None] = {SCHEMAS[0]: newer.reads}
    known = read_copies() if copies is None else copies
    return next((copy for copy in known if find_flaw(copy, reads) is None), None)


def request_replacement(newer: Newer) -> None:
    """Request that the import sets the database aside and restores a copy."""
    files.write(paths.IMPORT_NEEDED, f"{newer.reads}\n")


def is_replacement_due() -> bool:
    """Return whether root has requested a replacement that has not been done yet."""
    text = (read(paths.IMPORT_NEEDED) or "").strip()
    schema = read_schema(paths.DATABASE_DIRECTORY, SCHEMAS[0])
    return text.isdecimal() and schema is not None and schema > int(text)
