"""A project at COPR: create its chroots, and upload a source package to it."""

from collections.abc import Sequence
from pathlib import Path

from copr.v3 import Client, CoprNoResultException
from requests_toolbelt import MultipartEncoderMonitor

from nix_aurora import log
from nix_aurora.errors import UsageError
from nix_aurora.publish import session
from nix_aurora.release.pins import ARCHES

_FEDORAS = ("43", "44", "45", "rawhide")
CHROOTS = tuple(f"fedora-{release}-{arch}" for release in _FEDORAS for arch in ARCHES)
# The licenses require directions to the source next to the binaries: SOURCE-OFFER in the package.
_DESCRIPTION = (
    "Multi-user Nix for Aurora and the other Fedora Atomic desktops.\n\n"
    "Source of the programs that the packages carry: https://github.com/DeterminateSystems/nix-src "
    "at the tag of the package's version, and what its flake.lock names. Each package has more on "
    "it: /usr/share/licenses/nix-aurora/SOURCE-OFFER"
)


def known_chroots(client: Client, asked: Sequence[str]) -> list[str]:
    """Return the chroots to build in: all that are requested, or the default ones that exist."""
    with session.asking("ask COPR for its chroots", client.config["copr_url"]):
        known = set(client.mock_chroot_proxy.get_list())
    unknown = [chroot for chroot in asked or CHROOTS if chroot not in known]
    chroots = [chroot for chroot in asked or CHROOTS if chroot in known]
    if unknown and (asked or not chroots):
        fedoras = sorted(name for name in known if name.startswith("fedora-"))
        raise UsageError(
            f"--chroot: expected one of {', '.join(fedoras) or 'no Fedora'}, "
            f"which COPR has, got {', '.join(unknown)}"
        )
    for chroot in unknown:
        log.warn(f"{chroot}: left out, for COPR does not have it")
    return chroots


def prepare_project(client: Client, owner: str, name: str, chroots: Sequence[str]) -> None:
    """Create the project, or add its missing chroots; keep the others."""
    with session.asking(f"prepare {owner}/{name}", client.config["copr_url"]):
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


def upload(client: Client, owner: str, name: str, srpm: Path, chroots: Sequence[str]) -> int:
    """Upload the SRPM once COPR has confirmed the chroots, and return the number of the build."""
    url = client.config["copr_url"]
    options: dict[str, object] = {"chroots": list(chroots)}
    with session.asking(f"ask for a build in {owner}/{name}", url):
        # The client pops progress_callback, and requires it.
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
        with session.asking(f"upload {srpm.name}", url):
            build = client.build_proxy.create_from_file(owner, name, str(srpm), buildopts=options)
    return int(build.id)
