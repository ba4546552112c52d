"""Create a dnf repository of built packages: signed copies, metadata, and a .repo file."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import rpm

from nix_aurora import files, log
from nix_aurora.errors import ToolError, UsageError, VerificationError
from nix_aurora.package.rpmfile import read_header
from nix_aurora.package.verify import verify
from nix_aurora.run import run

PUBLIC_KEY = "RPM-GPG-KEY-nix-aurora"
REPO_FILE = "nix-aurora.repo"
_REPOMD = Path("repodata/repomd.xml")

# See dnf.conf(5). Only repo_gpgcheck covers the metadata: the list of packages, and which one is
# the newest.
_REPO = """\
[nix-aurora]
name=Nix for Fedora Atomic desktops
baseurl={url}
enabled=1
gpgcheck=1
repo_gpgcheck=1
gpgkey={url}/{key}
"""
_UNSIGNED_REPO = """\
# Not signed: anybody who can change these files can run any program as root on each host.
[nix-aurora]
name=Nix for Fedora Atomic desktops (not signed)
baseurl={url}
enabled=1
gpgcheck=0
repo_gpgcheck=0
"""


@dataclass(frozen=True, slots=True)
class Repository:
    """A requested repository: its directory, its signer (None: unsigned), and its public URL."""

    directory: Path
    key: str | None
    unsigned: bool
    baseurl: str | None

    @property
    def url(self) -> str:
        """Return the URL from which hosts download, without a slash at its end."""
        return (self.baseurl or self.directory.as_uri()).rstrip("/")


def make_repository(wanted: Repository, built: Path) -> Path:
    """Create a repository of all binary packages in ``built``; return the path of its .repo file.

    The packages are copied before they are signed. An earlier repository in the directory is
    replaced as a whole; anything else there is an error. Raises UsageError for an invalid request,
    ToolError if gpg, rpmsign or createrepo_c fails.
    """
    packages = _packages(built)
    _check_directory(wanted.directory)
    fingerprint = _signer(wanted)
    with (
        log.step(f"Making the repository of {len(packages)} packages"),
        files.new_directory(wanted.directory) as work,
    ):
        for package in packages:
            verify(package)
            shutil.copyfile(package, work / package.name)
        copies = [work / package.name for package in packages]
        if fingerprint:
            _sign_packages(copies, fingerprint, work / PUBLIC_KEY)
        _write_metadata(work, copies)
        if fingerprint:
            _gpg("--local-user", fingerprint, "--armor", "--detach-sign", work / _REPOMD)
        text = _REPO if fingerprint else _UNSIGNED_REPO
        (work / REPO_FILE).write_text(text.format(url=wanted.url, key=PUBLIC_KEY), encoding="utf-8")
    return wanted.directory / REPO_FILE


def _packages(built: Path) -> list[Path]:
    packages = [path for path in sorted(built.glob("*.rpm")) if not path.match("*.src.rpm")]
    if not packages:
        raise UsageError(
            f"cannot make a repository: {built}: expected built packages, got none",
            hint="make rpm",
        )
    return packages


def _check_directory(directory: Path) -> None:
    """Refuse to replace a directory that is not a repository of ours."""
    if not os.path.lexists(directory):
        return
    is_ours = (directory / _REPOMD).is_file() and (directory / REPO_FILE).is_file()
    if directory.is_symlink() or not directory.is_dir():
        raise UsageError(
            f"cannot make a repository: {directory}: expected a directory, got another file"
        )
    if any(directory.iterdir()) and not is_ours:
        raise UsageError(
            f"cannot make a repository: {directory}: expected an empty directory or a repository, "
            "got other files",
            hint="make repo REPO=DIRECTORY",
        )


def _signer(wanted: Repository) -> str | None:
    """Return the fingerprint of the signing key, None for an unsigned repository."""
    if wanted.unsigned:
        log.warn("not signed: hosts will install whatever is served as this repository")
        return None
    if wanted.key is None:
        raise UsageError(
            "cannot make a repository: --key: expected a key to sign with, got none",
            hint="gpg --list-secret-keys",
        )
    hint = "gpg --list-secret-keys shows yours"
    try:
        listing = _gpg("--with-colons", "--list-secret-keys", wanted.key)
    except ToolError as error:
        if "cannot be started" in error.message:
            raise
        raise UsageError(
            f"cannot make a repository: --key {wanted.key}: "
            "expected one of your secret keys, got none",
            hint=hint,
        ) from error
    # https://github.com/gpg/gnupg/blob/master/doc/DETAILS: "fpr" follows the "sec" record that it
    # belongs to.
    lines = [line.split(":") for line in listing.splitlines()]
    owners = [line[0] for line in lines if line[0] in {"sec", "ssb", "fpr"}]
    prints = [line[9] for line in lines if line[0] == "fpr"]
    if owners.count("sec") != 1:
        raise UsageError(
            f"cannot make a repository: --key {wanted.key}: expected one secret key, "
            f"got {owners.count('sec')}",
            hint=hint,
        )
    return prints[0]


def _gpg(*words: str | Path) -> str:
    return run(["gpg", "--batch", "--quiet", *words])


def _sign_packages(copies: Sequence[Path], fingerprint: str, public_key: Path) -> None:
    """Sign the copies in place, export the key, and check that rpm accepts them with this key."""
    macros = {
        "_gpg_name": fingerprint,  # rpm 4 and older
        "_openpgp_sign_id": fingerprint,  # rpm 6 and newer
        "__gpg": shutil.which("gpg") or "gpg",  # Debian's rpm looks for gpg2
    }
    defines = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
    run(["rpmsign", *defines, "--resign", *copies])
    _gpg("--armor", "--output", public_key, "--export", fingerprint)
    with TemporaryDirectory(prefix="nix-aurora-keys-") as database:
        run(["rpmkeys", "--dbpath", database, "--import", public_key])
        level = ("--define", "_pkgverify_level all")  # a missing signature is an error, too
        run(["rpmkeys", "--dbpath", database, *level, "--checksig", *copies])


def _write_metadata(work: Path, copies: Sequence[Path]) -> None:
    """Write ``repodata``; the same packages produce the same bytes."""
    time = os.environ.get("SOURCE_DATE_EPOCH") or str(max(map(_build_time, copies)))
    for path in copies:
        os.utime(path, (int(time), int(time)))  # the metadata records it
    program = shutil.which("createrepo_c", path=str(Path(sys.executable).parent)) or "createrepo_c"
    revision = ("--revision", time, "--set-timestamp-to-revision")
    # Every libsolv, and so every rpm-ostree, reads gzip.
    plain = ("--no-database", "--general-compress-type", "gz", "--workers", "1", "--quiet")
    run([program, *revision, *plain, work])


def _build_time(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return int(read_header(file)[rpm.RPMTAG_BUILDTIME])
    except rpm.error as error:
        raise VerificationError(
            f"cannot read {path.name}: expected an RPM, got: {error}"
        ) from error
