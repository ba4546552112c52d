"""The program /usr/libexec/nix-aurora/import: it finishes a killed takeover, then imports."""

import os

from nix_aurora_host import paths
from nix_aurora_host.importer import program


def main() -> int:
    """Import the packaged closure if it is not imported; return the exit code."""
    return program.main(finish)


def finish() -> None:
    """Finish a takeover that was killed while two stores changed places."""
    if not os.path.lexists(paths.ADOPTION):
        return
    from nix_aurora_host.adopt.complete import finish_pending  # noqa: PLC0415 - seldom needed
    from nix_aurora_host.importer.locks import import_lock  # noqa: PLC0415 - as above

    with import_lock():
        finish_pending()
