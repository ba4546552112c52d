"""Read a release from GitHub's REST API: its version, and its assets with sizes and digests.

Schemas ``release`` and ``release-asset``: https://github.com/github/rest-api-description.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from nix_aurora.errors import quoted
from nix_aurora.release import github
from nix_aurora.release.checks import check_sha256, check_url, check_version
from nix_aurora.release.github import take
from nix_aurora.release.network import PATIENCE, Patience

_DIGEST = "sha256:"
_SOURCES = "DeterminateSystems/nix-src"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of a release; ``sha256`` is None if GitHub has not computed one."""

    url: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Release:
    """A published release; ``assets`` has the completely uploaded ones, by file name."""

    version: str
    assets: Mapping[str, Asset]


def find_release(
    repository: str, version: str | None, api: str = github.API, patience: Patience = PATIENCE
) -> Release | None:
    """Return the release of ``version``, by default the newest; None if it does not exist.

    ``repository`` is OWNER/NAME. Raises FetchError, with the time of the next try if GitHub names
    one.
    """
    which = "latest" if version is None else f"tags/v{version}"
    url = f"{api.rstrip('/')}/repos/{repository}/releases/{which}"
    return github.ask(url, "a release", lambda content: _release(content, version), patience)


def find_upstream(version: str, api: str = github.API, patience: Patience = PATIENCE) -> str | None:
    """Return the version of upstream's Nix on which a release of Determinate Nix is based.

    A file in their sources contains it; None if there is no such file. Raises FetchError.
    """
    url = f"{api.rstrip('/')}/repos/{_SOURCES}/contents/.version?ref=v{version}"
    return github.ask(url, "a file with a version", _version, patience)


def _version(content: object) -> str:
    """Parse a file of a repository, of the schema ``content-file``."""
    if (encoding := take(content, "encoding", str)) != "base64":
        raise ValueError(f"encoding: expected base64, got {quoted(encoding)}")
    data = base64.b64decode(take(content, "content", str))
    return check_version(data.decode("ascii").strip())


def _release(content: object, wanted: str | None) -> Release:
    """Parse a release, and check its version if ``wanted``; ValueError says what is wrong."""
    version = check_version(take(content, "tag_name", str).removeprefix("v"))
    if wanted not in {None, version}:
        raise ValueError(f"tag_name: expected v{wanted}, got v{version}")
    assets = dict(_assets(take(content, "assets", list)))
    return Release(version, MappingProxyType(assets))


def _assets(content: list[object]) -> Iterator[tuple[str, Asset]]:
    for item in content:
        # the state "open" means that the upload is not complete
        if take(item, "state", str) != "uploaded":
            continue
        url = check_url(take(item, "browser_download_url", str))
        yield take(item, "name", str), Asset(url, take(item, "size", int), _sha256(item))


def _sha256(item: object) -> str | None:
    # The digest is null for files that were uploaded before June 2025.
    if isinstance(item, dict) and item.get("digest", "") is None:
        return None
    digest = take(item, "digest", str)
    if not digest.startswith(_DIGEST):
        raise ValueError(f"digest: expected {_DIGEST}HEX, got {quoted(digest)}")
    return check_sha256(digest.removeprefix(_DIGEST))
