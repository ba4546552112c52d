"""The layouts: the place of the store in each, and the one that this boot chose.

A layout is a file in ``layouts/``, part of the package. Values that it does not set are those of
the mount layout. nix-layout.service writes the layout that it chose into /run/nix-aurora/env. In a
container and in the build of an image there is no such file, and the mount layout applies.

A layout is a dictionary here, with the keys in small letters and without their prefix: ``store``,
``home``. It is no dataclass, as the importer has to start fast.
"""

import os

CHOSEN = "/run/nix-aurora/env"
FOLDER = os.path.normpath(f"{__file__}/../../layouts")
_DEFAULT = "mount"
_PREFIX = "NIX_AURORA_"
_LIMIT = 1 << 16  # bytes
_PUNCTUATION = frozenset("/._-+@:")


def parse(text: str, default: dict[str, str]) -> dict[str, str]:
    """Return ``default`` with the values that ``text`` sets; invalid lines are ignored.

    A value is plain, and an absolute path if that of ``default`` is one.
    """
    layout = dict(default)
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        key = name.removeprefix(_PREFIX).lower()
        if not separator or not name.startswith(_PREFIX) or not _is_plain(value):
            continue
        if value.startswith("/") == default.get(key, value).startswith("/"):
            layout[key] = value
    return layout


def _is_plain(value: str) -> bool:
    """Return whether sh, fish and systemd read a value unchanged."""
    return value.isascii() and all(
        character.isalnum() or character in _PUNCTUATION for character in value
    )


def read_chosen() -> dict[str, str]:
    """Return the layout of this boot."""
    return parse(_read(CHOSEN), read_layout(_DEFAULT))


def read_layout(name: str) -> dict[str, str]:
    """Return a layout of the package; for an unknown name, the mount layout."""
    default = parse(_read(f"{FOLDER}/{_DEFAULT}"), {})
    if name == _DEFAULT or not name.isalnum():
        return default
    return parse(_read(f"{FOLDER}/{name}"), default)


def read_all() -> list[dict[str, str]]:
    """Return all layouts of the package."""
    return [read_layout(name) for name in sorted(os.listdir(FOLDER))]


def is_relocated(layout: dict[str, str]) -> bool:
    """Return whether the store paths of a layout have a prefix of their own."""
    return layout["store"] != "/nix/store"


def _read(path: str) -> str:
    """Return the text of a file, or nothing if there is no such regular file."""
    if not os.path.isfile(path):
        return ""
    try:
        with open(path, "rb") as file:
            return file.read(_LIMIT).decode("ascii", errors="replace")
    except OSError:
        return ""
