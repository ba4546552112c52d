"""Check which file names and link targets an RPM can contain.

Nix's store allows any. Everything that is refused here fails later otherwise: rpmbuild stops at
control characters, at text that is not UTF-8, and at links that it cannot follow for a reason other
than a missing target; rpm cannot install a longer name, and cannot verify a longer target. ``bootc
container lint`` also refuses text that is not UTF-8. Functions raise ValueError with ``expected X,
got Y``.
"""

import os

from nix_aurora.errors import quoted

# rpm first writes a file under its name plus a semicolon and eight digits, and then renames it.
_MAX_NAME = 255 - 9  # bytes
_MAX_TARGET = 1024  # bytes; rpm 4.18 lib/verify.c reads no more


def check_name(name: str, *, directory: bool = False) -> None:
    """Check the last component of a path; rpm creates a directory under its final name at once."""
    data = os.fsencode(name)
    if not _is_utf8(data):
        raise ValueError(f"expected a name in UTF-8, as RPMs have them, got {quoted(name)}")
    if any(byte < 0x20 or byte == 0x7F for byte in data):
        raise ValueError(f"expected a name without control characters, got {quoted(name)}")
    if len(data) > _MAX_NAME and not directory:
        raise ValueError(
            f"expected a file name of at most {_MAX_NAME} bytes, which rpm can install, "
            f"got {len(data)}"
        )


def check_target(target: str) -> None:
    """Check the text of a link's target."""
    data = os.fsencode(target)
    if not data or b"\0" in data or len(data) > _MAX_TARGET:
        raise ValueError(f"expected a link target of 1 to {_MAX_TARGET} bytes, got another")
    if not _is_utf8(data):
        raise ValueError(f"expected a link target in UTF-8, got {quoted(target)}")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
