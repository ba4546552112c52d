"""Choose the source of Debian's packages, and the keys that must have signed them.

``python -m sample.mirror`` prints the mirror in this machine's own apt configuration, if any.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from nix_aurora.errors import AuroraError, ToolError, VerificationError
from nix_aurora.run import run

VARIABLE = "NIX_AURORA_DEBIAN_MIRROR"
"""The environment variable that names the mirror to use."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Debian's archive keys, from a package of the distribution that tools/setup names."""

# mmdebstrap runs this after it has written its default sources, and before it downloads anything.
_COPY_SOURCES = 'cp "$1/etc/apt/sources.list" "$COPY"; exit 1'
_SOURCE = re.compile(r"^deb (?:\[[^\]]*\] )?(\S+) (\S+) main\b", re.MULTILINE)
# With LC_ALL=C, apt reports a signature that it does not trust in one of these forms.
_DISTRUST = re.compile(r"GPG error|NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|OpenPGP signature")


def debian_mirror(suite: str) -> str:
    """Return the URI of the mirror for Debian's ``suite``.

    It is the value of VARIABLE if set, else the mirror in this machine's own apt configuration,
    else mmdebstrap's default. Raises ToolError if there is none.
    """
    return os.environ.get(VARIABLE) or mirror_of_apt() or _mirror_of_mmdebstrap(suite)


def require_keyring() -> Path:
    """Return the keyring with Debian's archive keys; raise ToolError if it is missing."""
    if not KEYRING.is_file():
        raise ToolError(
            f"cannot check Debian's signature: {KEYRING}: no such file", hint="make setup"
        )
    return KEYRING


def explain(error: AuroraError, mirror: str) -> AuroraError:
    """Return the error to raise for a failed download; an untrusted mirror has its own message."""
    if not _DISTRUST.search(str(error)):
        return error
    return VerificationError(
        f"cannot trust the mirror: {mirror}: its index is not signed by a key in {KEYRING}",
        hint=f"set {VARIABLE} to another mirror, or upgrade the package that has the keyring",
    )


def parse_targets(text: str) -> str | None:
    """Return Debian's own first archive in ``apt-get indextargets``: ORIGIN|LABEL|URI."""
    for line in text.splitlines():
        origin, label, uri = line.split("|", 2)
        if origin == label == "Debian":  # the security archive has another label
            return uri
    return None


def parse_sources(text: str, suite: str) -> str | None:
    """Return the mirror of ``suite`` itself in a sources.list in one-line style."""
    return next((uri for uri, found in _SOURCE.findall(text) if found == suite), None)


def mirror_of_apt() -> str | None:
    """Return the URI of Debian's own archive in this machine's apt configuration."""
    if shutil.which("apt-get") is None:
        return None
    form = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"
    return parse_targets(run(["apt-get", "indextargets", "--format", form], env={"LC_ALL": "C"}))


def _mirror_of_mmdebstrap(suite: str) -> str:
    with tempfile.TemporaryDirectory(prefix="mmdebstrap-") as place:
        copy = Path(place, "sources.list")
        # mmdebstrap runs as an ordinary user here, since it mounts and installs nothing.
        options = ["--quiet", "--mode=chrootless", "--variant=custom"]
        command = ["mmdebstrap", *options, f"--setup-hook={_COPY_SOURCES}", suite, f"{place}/root"]
        environment = {**os.environ, "COPY": str(copy)}
        try:
            subprocess.run(command, env=environment, capture_output=True, check=False)
        except OSError as error:
            raise ToolError(
                f"cannot choose a Debian mirror: mmdebstrap: {error.strerror}", hint="make setup"
            ) from error
        mirror = parse_sources(copy.read_text(), suite) if copy.exists() else None
    if mirror is None:
        raise ToolError(
            f"cannot choose a Debian mirror: mmdebstrap: expected sources for {suite}, got none",
            hint=f"set {VARIABLE}",
        )
    return mirror


if __name__ == "__main__":
    print(mirror_of_apt() or "")
