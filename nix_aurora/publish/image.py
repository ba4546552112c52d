"""Pack the built packages into an OCI image, from which a Containerfile installs them.

The image contains no system, only the directory ``/rpms``, like Universal Blue's akmods images:
https://github.com/ublue-os/akmods. There is one for each architecture, and an index of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import rpm

from nix_aurora import log
from nix_aurora.errors import ToolError, UsageError, VerificationError
from nix_aurora.package.rpmfile import read_header
from nix_aurora.package.verify import verify
from nix_aurora.publish.oci import Image, rfc3339, write_archive
from nix_aurora.run import run

NAME = "nix-aurora"
ARCHIVE = f"{NAME}.oci.tar"
DIRECTORY = "rpms"

_PROPRIETARY = "nix-aurora-nixd"
_NOARCH = "noarch"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # RPM's names and Go's


@dataclass(frozen=True, slots=True)
class Made:
    """A written image: its archive, and the version of its packages, which is its tag."""

    archive: Path
    version: str


@dataclass(frozen=True, slots=True)
class _Package:
    """A binary package, with the fields for the image's annotations."""

    path: Path
    name: str
    version: str
    arch: str
    summary: str
    license: str
    url: str
    time: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the header of the RPM at ``path``."""
        try:
            with path.open("rb") as file:
                header = read_header(file)
        except rpm.error as error:
            raise VerificationError(
                f"cannot read {path.name}: expected an RPM, got: {error}"
            ) from error
        return cls(
            path,
            header[rpm.RPMTAG_NAME],
            f"{header[rpm.RPMTAG_VERSION]}-{header[rpm.RPMTAG_RELEASE]}",
            header[rpm.RPMTAG_ARCH],
            header[rpm.RPMTAG_SUMMARY],
            header[rpm.RPMTAG_LICENSE],
            header[rpm.RPMTAG_URL],
            int(header[rpm.RPMTAG_BUILDTIME]),
        )


def make_image(built: Path, revision: str | None) -> Made:
    """Write the packages in ``built`` as an image beside them.

    ``revision`` is the commit that they were built from, if known. Raises UsageError if the
    packages there are not all of one version, VerificationError if one of them fails its
    verification.
    """
    packages = _packages(built)
    version = _version(built, packages)
    main = next(package for package in packages if package.name == NAME)
    archive = built / ARCHIVE
    with log.step(f"Making the image of {len(packages)} packages"):
        for package in packages:
            verify(package.path)
        time = max(package.time for package in packages)
        digest = write_archive(
            _images(packages), _annotations(main, time, revision), time, version, archive
        )
    log.info(f"image {version}: {digest}")
    return Made(archive, version)


def push(image: Made, registry: str) -> str:
    """Copy an image to ``registry``; return its name there, with the digest.

    Raises ToolError if skopeo fails.
    """
    name = f"{registry.rstrip('/')}/{NAME}"
    with log.step(f"Pushing {name}:{image.version}"), TemporaryDirectory() as place:
        digest = Path(place) / "digest"
        # Without --preserve-digests, skopeo would compress the layers.
        options = ("--all", "--preserve-digests", "--digestfile", digest)
        source, target = f"oci-archive:{image.archive}", f"docker://{name}:{image.version}"
        run(["skopeo", "copy", *options, source, target])
        return f"{name}@{digest.read_text().strip()}"


def revision(top: Path) -> str | None:
    """Return the commit that is checked out in ``top``; None if there are uncommitted changes."""
    # The directory may belong to another user.
    command = ("git", "-c", "safe.directory=*", "-C", str(top))
    describe = ("describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+")
    try:
        commit = run([*command, *describe]).strip()
    except ToolError:
        log.warn(f"{top}: not a git repository: the image will name no commit")
        return None
    if commit.endswith("+"):
        log.warn(f"{top}: files differ from the commit: the image will name no commit")
        return None
    return commit


def _packages(built: Path) -> list[_Package]:
    """Return the binary packages in ``built``; raise VerificationError if one is proprietary."""
    paths = [path for path in sorted(built.glob("*.rpm")) if not path.match("*.src.rpm")]
    packages = [_Package.read(path) for path in paths]
    for package in packages:
        if package.name == _PROPRIETARY:
            raise VerificationError(
                f"cannot make an image: {package.path}: expected free software alone, got "
                "determinate-nixd",
                hint=f"rm {package.path}",
            )
    if not any(package.name == NAME for package in packages):
        raise UsageError(
            f"cannot make an image: {built}: expected built packages, got none",
            hint="make rpm ARCH='x86_64 aarch64'",
        )
    return packages


def _version(built: Path, packages: Sequence[_Package]) -> str:
    """Return the one version of all packages: dnf5 installs every package in the image."""
    versions = sorted({package.version for package in packages})
    if len(versions) != 1:
        raise UsageError(
            f"cannot make an image: {built}: expected packages of one version, got those of "
            + ", ".join(versions),
            hint=f"rm {built}/*.rpm && make rpm",
        )
    return versions[0]


def _images(packages: Sequence[_Package]) -> list[Image]:
    """Return an image for each architecture, with the noarch packages in each."""
    arches = sorted({package.arch for package in packages} - {_NOARCH})
    return [
        Image(
            _ARCHITECTURES[arch],
            DIRECTORY,
            [package.path for package in packages if package.arch in {arch, _NOARCH}],
        )
        for arch in arches
    ]


def _annotations(main: _Package, time: int, revision: str | None) -> dict[str, str]:
    """Return the image's annotations; the specification's annotations.md defines them."""
    pairs = {
        "created": rfc3339(time),
        "description": f"{main.summary}: RPMs, in /{DIRECTORY}",
        "documentation": f"{main.url}#readme",
        "licenses": main.license,
        "revision": revision,
        "source": main.url,
        "title": NAME,
        "url": main.url,
        "version": main.version,
    }
    return {f"org.opencontainers.image.{name}": value for name, value in pairs.items() if value}
