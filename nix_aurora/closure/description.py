"""Describe a staged closure for programs, shells and people, the same on every machine."""

import datetime
import os
import stat
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from nix_aurora import files, log
from nix_aurora.closure import license_list, licenses, manifest, sbom
from nix_aurora.closure.stage import Staged
from nix_aurora.closure.usr_share import copy_usr_share
from nix_aurora.errors import UsageError


class File(StrEnum):
    """The files of a description, and the directory ``share``, by their names."""

    JSON = "closure.json"
    ENV = "closure.env"
    SBOM = "closure.spdx.json"
    LICENSES = "CLOSURE-LICENSES"
    USR_SHARE = "share"


_DISK_BLOCK = 4096  # bytes, on the usual file systems


def describe(
    staged: Staged, destination_dir: Path, *, date: datetime.date, accepted: Sequence[str] = ()
) -> None:
    """Write the description of ``staged`` into ``destination_dir``, which is replaced as a whole.

    The description consists of closure.json, closure.env, closure.spdx.json, CLOSURE-LICENSES, and
    the directory ``share`` with Nix's files for /usr/share. ``date`` is the date in the SBOM;
    ``accepted`` are the ids of the advisories that the caller accepts for this package. Raises
    UsageError if ``destination_dir`` contains files of other programs.
    """
    if destination_dir.is_dir():
        for entry in destination_dir.iterdir():
            if entry.name not in frozenset(File):
                raise UsageError(
                    f"cannot describe the closure: {destination_dir}: "
                    "expected a directory of its own, "
                    f"got one with {entry.name}"
                )
    closure, store = staged.closure, staged.root / "store"
    with (
        log.step(f"Describing the closure of {closure.name}"),
        files.new_directory(destination_dir) as fresh,
    ):
        described = manifest.Manifest(
            closure=closure,
            profile=staged.profile,
            size=_size_on_disk(store),
            origin=staged.origin,
            accepted=tuple(accepted),
        )
        found = licenses.find(closure.paths, store)
        texts = {
            File.JSON: manifest.to_json(described),
            File.ENV: manifest.to_env(described),
            File.SBOM: sbom.render(closure, found, date),
            File.LICENSES: license_list.render(closure, found),
        }
        for name, text in texts.items():
            (fresh / name).write_text(text, encoding="ascii")
        copy_usr_share(closure, store, fresh / File.USR_SHARE)


def _size_on_disk(directory: Path) -> int:
    """Return the bytes that ``directory`` needs: content in whole blocks, and a block per inode."""
    size = _DISK_BLOCK
    for folder, folders, names in os.walk(os.fsencode(directory)):
        size += _DISK_BLOCK * (len(folders) + len(names))
        for name in names:
            status = os.lstat(folder + b"/" + name)
            if stat.S_ISREG(status.st_mode):
                size += status.st_size + -status.st_size % _DISK_BLOCK
    return size
