"""A temporary gpg key for signatures."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nix_aurora.run import run


@dataclass(frozen=True)
class Keyring:
    """A gpg home with exactly one secret key."""

    home: Path
    fingerprint: str

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the environment for a process that uses the key."""
        return {"GNUPGHOME": str(self.home)}


@contextmanager
def gpg_home() -> Iterator[Path]:
    """Yield a gpg home without keys, and end the agent that gpg starts for it."""
    # The path must be short, since the agent's socket is in it.
    home = Path(run(["mktemp", "--directory", "/tmp/gpg.XXXXXX"]).strip())  # noqa: S108 - mktemp's
    try:
        yield home
    finally:
        environment = {**os.environ, "GNUPGHOME": str(home)}
        subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=True)
        while home.exists():
            with suppress(FileNotFoundError):  # the agent removes its sockets when it ends
                shutil.rmtree(home)


@contextmanager
def new_keyring() -> Iterator[Keyring]:
    """Yield a keyring with a new key, for an address of ours."""
    with gpg_home() as home:
        environment = {"GNUPGHOME": str(home)}
        who = "Nix Aurora tests <tests@nix-aurora.invalid>"
        words = ("--passphrase", "", "--quick-generate-key", who, "ed25519", "sign", "never")
        run(["gpg", "--batch", "--quiet", *words], env=environment)
        listing = run(["gpg", "--batch", "--with-colons", "--list-secret-keys"], env=environment)
        found = next(line.split(":")[9] for line in listing.splitlines() if line[:3] == "fpr")
        yield Keyring(home, found)
