"""Propose settings of a former Nix to root, without writing them.

Only settings that give no build and no user the rights of root are proposed; root has to decide
about the others.
"""

import re
from collections.abc import Iterable, Sequence

from nix_aurora_host import paths
from nix_aurora_host.nixconf import parse_lines
from nix_aurora_host.system import read
from nix_aurora_host.text import printable

FILE = "/etc/nix/nix.conf"
_HARMLESS = re.compile(
    r"(?:extra-)?(?:experimental-features|substituters|trusted-public-keys)"
    r"|max-jobs|keep-[a-z-]+"
)
_VALUE = re.compile(r"[A-Za-z0-9 +/=:.,_?&~%-]*")


def find_proposal(files: Sequence[str] = (FILE,)) -> list[str]:
    """Return lines for nix.custom.conf: settings of the former files that the package lacks."""
    known = set(_lines(read(f"{paths.PRISTINE}/nix/nix.conf") or ""))
    found = (line for path in files for line in _lines(read(path) or ""))
    return list(dict.fromkeys(line for line in found if line not in known))


def _lines(text: str) -> Iterable[str]:
    for _, words in parse_lines(text):
        value = " ".join(words[2:])
        if words[1:2] == ["="] and _HARMLESS.fullmatch(words[0]) and _VALUE.fullmatch(value):
            yield printable(f"{words[0]} = {value}", None)
