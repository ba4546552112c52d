"""An SRPM to COPR: the project and its chroots, the upload, and the builds to their end."""

import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import rpm
from copr.v3 import Client, CoprNoResultException
from requests_toolbelt import MultipartEncoderMonitor

from nix_aurora import log
from nix_aurora.errors import PublishError, UsageError, VerificationError, quoted
from nix_aurora.package.verify import verify
from nix_aurora.publish import copr
from nix_aurora.publish.follow import build_page, follow
from nix_aurora.release.pins import ARCHES

_FEDORAS = ("43", "44", "45", "rawhide")
CHROOTS = tuple(f"fedora-{release}-{arch}" for release in _FEDORAS for arch in ARCHES)
INTERVAL = 30.0  # seconds between looks, as COPR's own client has it

# frontend's forms.py: what users, groups and projects may be called.
_PROJECT = re.compile(r"(@?[\w.+-]+)/([\w.+-]+)")
# The licences want directions to the source next to the binaries: SOURCE-OFFER in the package.
_DESCRIPTION = (
    "Multi-user Nix for Aurora and the other Fedora Atomic desktops.\n\n"
    "Source of the programs that the packages carry: https://github.com/DeterminateSystems/nix-src "
    "at the tag of the package's version, and what its flake.lock names. Each package has more on "
    "it: /usr/share/licenses/nix-aurora/SOURCE-OFFER"
)


@dataclass(frozen=True, slots=True)
class Publication:
    """What is asked for. Empty ``chroots``: the default ones. ``follow``: a build under way."""

    project: str
    chroots: tuple[str, ...]
    srpm: Path | None
    config: Path | None
    follow: int | None


def publish(wanted: Publication, built: Path) -> str:
    """Have COPR build an SRPM, by default the one in ``built``, and give the build's page.

    Raises UsageError and VerificationError before anything is sent, PublishError where COPR
    refuses or cannot be reached, BuildError where a build fails.
    """
    owner, name = _project(wanted.project)
    if wanted.follow is not None:
        client = copr.connect(wanted.config)
        return _to_the_end(client, wanted, wanted.follow)
    srpm = wanted.srpm or _built_srpm(built)
    arches = _check_srpm(srpm)
    client = copr.connect(wanted.config)
    chroots = _known_chroots(client, wanted.chroots)
    _check_arches(srpm, arches, chroots)
    _prepare_project(client, owner, name, chroots)
    build = _upload(client, owner, name, srpm, chroots)
    log.info(f"build {build}: {build_page(client, build)}")
    return _to_the_end(client, wanted, build)


def _to_the_end(client: Client, wanted: Publication, build: int) -> str:
    try:
        follow(client, build, interval=INTERVAL)
    except (KeyboardInterrupt, PublishError) as error:
        if isinstance(error, KeyboardInterrupt) or copr.transient(error.__cause__):
            config = f" --config {wanted.config}" if wanted.config else ""
            log.warn(
                f"the build is no longer followed; it continues at {build_page(client, build)}"
            )
            log.warn(
                f"to follow it again: build.py publish --project {wanted.project}{config} "
                f"--follow {build}"
            )
        raise
    return build_page(client, build)


def _project(text: str) -> tuple[str, str]:
    match = _PROJECT.fullmatch(text)
    if not match:
        raise UsageError(f"--project: expected OWNER/NAME or @GROUP/NAME, got {quoted(text)}")
    return match[1], match[2]


def _built_srpm(built: Path) -> Path:
    found = sorted(built.glob("*.src.rpm"))
    if len(found) != 1:
        raise UsageError(
            f"--srpm: expected one source package in {built}, got {len(found)}",
            hint="build.py srpm --arch x86_64 --arch aarch64; or name one with --srpm",
        )
    return found[0]


def _check_srpm(path: Path) -> tuple[str, ...]:
    """Check the SRPM, and that COPR may have it; give the architectures that it carries."""
    verify(path)
    for name in _names(path):
        if "nixd" in name.rpartition("/")[2]:
            raise VerificationError(
                f"publishing {path.name}: {name}: expected free software alone, got what looks "
                "like determinate-nixd",
                hint="build the source package without nixd: COPR takes no proprietary programs",
            )
    with path.open("rb") as file:
        return tuple(_transaction().hdrFromFdno(file.fileno())["exclusivearch"])


def _names(path: Path) -> Iterator[str]:
    """Give the names of an SRPM's files, and of what its payloads install."""
    with path.open("rb") as file:
        header = _transaction().hdrFromFdno(file.fileno())
        compressor = header[rpm.RPMTAG_PAYLOADCOMPRESSOR] or "ufdio"
        archive = rpm.files(header).archive(rpm.fd(file.fileno(), "r", compressor))
        for entry in archive:
            yield entry.name
            if entry.name.startswith("payload-"):
                with tarfile.open(fileobj=BytesIO(archive.read(entry.size)), mode="r:") as members:
                    yield from members.getnames()


def _transaction() -> rpm.TransactionSet:
    transaction = rpm.TransactionSet()
    transaction.setVSFlags(rpm.RPMVSF_MASK_NOSIGNATURES)  # verify() has looked at the digests
    return transaction


def _check_arches(srpm: Path, arches: Sequence[str], chroots: Sequence[str]) -> None:
    missing = {chroot.rpartition("-")[2] for chroot in chroots} - set(arches)
    if missing:
        raise UsageError(
            f"publishing {srpm.name}: expected closures for {', '.join(sorted(missing))} as well, "
            f"got those for {', '.join(sorted(arches))}",
            hint="build.py srpm --arch x86_64 --arch aarch64; or choose with --chroot",
        )


def _known_chroots(client: Client, asked: Sequence[str]) -> list[str]:
    """Give the chroots to build in: all that are asked for, or those default ones that exist."""
    with copr.asking("looking chroots up", client.config["copr_url"]):
        known = set(client.mock_chroot_proxy.get_list())
    unknown = [chroot for chroot in asked or CHROOTS if chroot not in known]
    chroots = [chroot for chroot in asked or CHROOTS if chroot in known]
    if unknown and (asked or not chroots):
        fedoras = sorted(name for name in known if name.startswith("fedora-"))
        raise UsageError(
            f"--chroot: expected one that COPR knows, got {', '.join(unknown)}",
            hint=f"COPR has {', '.join(fedoras) or 'no Fedora'}",
        )
    for chroot in unknown:
        log.warn(f"{chroot}: left out, for COPR does not have it")
    return chroots


def _prepare_project(client: Client, owner: str, name: str, chroots: Sequence[str]) -> None:
    """Make the project, or give it the chroots that it lacks; it keeps those that it has."""
    with copr.asking(f"preparing {owner}/{name}", client.config["copr_url"]):
        try:
            project = client.project_proxy.get(owner, name)
        except CoprNoResultException:
            client.project_proxy.add(owner, name, list(chroots), description=_DESCRIPTION)
            log.info(f"made the project {owner}/{name} with {len(chroots)} chroots")
            return
        present = set(project.chroot_repos)
        if missing := sorted(set(chroots) - present):
            client.project_proxy.edit(owner, name, chroots=sorted(present | set(chroots)))
            log.info(f"added to {owner}/{name}: {', '.join(missing)}")


def _upload(client: Client, owner: str, name: str, srpm: Path, chroots: Sequence[str]) -> int:
    """Send the SRPM once COPR has said that it will take it, and give the build's number."""
    url = client.config["copr_url"]
    options: dict[str, object] = {"chroots": list(chroots)}
    with copr.asking(f"asking to build in {owner}/{name}", url):
        # The client removes progress_callback, and wants it to be there.
        checked = {**options, "progress_callback": None}
        client.build_proxy.check_before_build(owner, name, buildopts=checked)
    size = srpm.stat().st_size
    sent = 0

    with log.step(f"Uploading {srpm.name}"), log.progress(srpm.name, size) as advance:

        def on_chunk(monitor: MultipartEncoderMonitor) -> None:
            nonlocal sent
            advance(monitor.bytes_read - sent)
            sent = monitor.bytes_read

        options = {**options, "progress_callback": on_chunk}
        with copr.asking(f"uploading {srpm.name}", url):
            build = client.build_proxy.create_from_file(owner, name, str(srpm), buildopts=options)
    return int(build.id)
