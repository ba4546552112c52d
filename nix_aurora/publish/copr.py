"""Build the source package at COPR: check it, upload it, and follow its builds."""

import re
from dataclasses import dataclass
from pathlib import Path

from copr.v3 import Client

from nix_aurora import log
from nix_aurora.errors import PublishError, UsageError, quoted
from nix_aurora.publish import session
from nix_aurora.publish.builds import build_page, follow
from nix_aurora.publish.project import known_chroots, prepare_project, upload
from nix_aurora.publish.srpm import built_srpm, check_arches, check_srpm

INTERVAL = 30.0  # seconds between requests, as in COPR's own client

# The names of users, groups and projects that frontend's forms.py accepts.
_PROJECT = re.compile(r"(@?[\w.+-]+)/([\w.+-]+)")


@dataclass(frozen=True, slots=True)
class Publication:
    """A request to publish; no ``chroots`` means the default, ``follow`` is a running build."""

    project: str
    chroots: tuple[str, ...]
    srpm: Path | None
    config: Path | None
    follow: int | None


def publish(wanted: Publication, built: Path) -> str:
    """Build an SRPM at COPR, by default the one in ``built``, and return its page's URL.

    Raises UsageError and VerificationError before anything is sent, PublishError if COPR refuses or
    cannot be reached, BuildError if a build fails.
    """
    owner, name = _project(wanted.project)
    if wanted.follow is not None:
        client = session.connect(wanted.config)
        return _to_the_end(client, wanted, wanted.follow)
    srpm = wanted.srpm or built_srpm(built)
    arches = check_srpm(srpm)
    client = session.connect(wanted.config)
    chroots = known_chroots(client, wanted.chroots)
    check_arches(srpm, arches, chroots)
    prepare_project(client, owner, name, chroots)
    build = upload(client, owner, name, srpm, chroots)
    log.info(f"build {build}: {build_page(client, build)}")
    return _to_the_end(client, wanted, build)


def _to_the_end(client: Client, wanted: Publication, build: int) -> str:
    try:
        follow(client, build, interval=INTERVAL)
    except (KeyboardInterrupt, PublishError) as error:
        if isinstance(error, KeyboardInterrupt) or session.transient(error.__cause__):
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
