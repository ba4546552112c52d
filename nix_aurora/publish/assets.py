"""The files of a release: packages, SBOMs, and the checksums of all of them."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from nix_aurora import files, log
from nix_aurora.errors import UsageError

CHECKSUMS = "SHA256SUMS"


def make_assets(
    packages: Sequence[Path], sboms: Mapping[str, Path], tag: str | None, directory: Path
) -> list[Path]:
    """Copy the files of a release into ``directory``, which is replaced as a whole.

    The first of ``packages`` is the source package; ``sboms`` are by architecture. Returns the
    copies, and last the checksums, which sha256sum can check. Raises UsageError if ``tag`` does not
    match the version and release of the packages.
    """
    name = packages[0].name.removesuffix(".src.rpm")  # nix-aurora-VERSION-RELEASE
    _, _, version = name.partition("nix-aurora-")
    if tag not in {None, f"v{version}"}:
        raise UsageError(f"--tag: expected v{version}, the version of the packages, got {tag}")
    with files.new_directory(directory) as work:
        for package in packages:
            shutil.copyfile(package, work / package.name)
        for arch, sbom in sboms.items():
            shutil.copyfile(sbom, work / f"{name}.{arch}.spdx.json")
        names = sorted(path.name for path in work.iterdir())
        lines = [f"{files.sha256_file(work / name)}  {name}\n" for name in names]
        (work / CHECKSUMS).write_text("".join(lines), encoding="ascii")
    log.info(f"release v{version}: {len(names)} files and their checksums")
    return [directory / name for name in [*names, CHECKSUMS]]
