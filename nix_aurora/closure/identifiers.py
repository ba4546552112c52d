"""The names by which scanners know a store path: a CPE and a package URL.

A store path contains its name and version, but not the expression that it was built from. So it
gets the package URL that sbomnix uses for such a path, ``pkg:nix/NAME@VERSION``, without a
namespace: https://github.com/tiiuae/sbomnix; the type is proposed in
https://github.com/package-url/purl-spec/pull/877. CPE: NIST IR 7695, section 6.2, "Formatted string
binding"; package URL: ECMA-427.
"""

import re
from urllib.parse import quote

# Outputs of one build for which nixpkgs uses store paths of their own; see its manual,
# "Multiple-output packages". They are part of the path's name, not of the version.
_OUTPUT = re.compile(r"-(?:bin|debug|dev|devdoc|devman|doc|info|lib|libgcc|man|static)$")

# Vendors and products in NVD's dictionary, https://nvd.nist.gov/products/cpe, if they are not both
# called like the package; nixpkgs has them in meta.identifiers.cpeParts.
_KNOWN = {
    "bash": ("gnu", "bash"),
    "brotli": ("google", "brotli"),
    "bzip2": ("bzip", "bzip2"),
    "curl": ("haxx", "curl"),
    "gcc": ("gnu", "gcc"),
    "glibc": ("gnu", "glibc"),
    "krb5": ("mit", "kerberos_5"),
    "libunistring": ("gnu", "libunistring"),
    "nix": ("nixos", "nix"),
    "xz": ("tukaani", "xz"),
    "zstd": ("facebook", "zstandard"),
}


def cpe(name: str, version: str) -> str:
    """Return the CPE for the name and version of a path; an unknown vendor is guessed.

    The guess is the same as sbomnix's: the vendor has the name of the product.
    """
    maker, product = _KNOWN.get(name, (name, name))
    parts = (_cpe_part(maker), _cpe_part(product), _cpe_part(release(version)))
    return f"cpe:2.3:a:{':'.join(parts)}:*:*:*:*:*:*:*"


def purl(name: str, version: str) -> str:
    """Return the package URL for the name and version of a path."""
    return f"pkg:nix/{quote(name, safe='')}@{quote(release(version), safe='')}"


def release(version: str) -> str:
    """Return the version in a path's name without the name of the output that follows it."""
    return _OUTPUT.sub("", version)


def _cpe_part(text: str) -> str:
    return re.sub(r"[^a-z0-9_.-]", r"\\\g<0>", text.lower())
