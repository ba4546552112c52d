"""Read the published advisories of a project from GitHub's REST API.

Schema ``repository-advisory``: https://github.com/github/rest-api-description;
https://docs.github.com/rest/security-advisories/repository-advisories.
"""

from nix_aurora.errors import FetchError
from nix_aurora.release import github
from nix_aurora.release.advisories import Advisory, check_cve, check_id
from nix_aurora.release.github import take
from nix_aurora.release.network import PATIENCE, Patience
from nix_aurora.text import printable

# This is not a range, and no parser accepts it as one, so it may mean any version.
UNKNOWN = "unknown"
_PER_PAGE = 100  # GitHub's maximum


def find_advisories(
    repository: str, api: str = github.API, patience: Patience = PATIENCE
) -> list[Advisory]:
    """Return all published advisories of ``repository``, OWNER/NAME, the oldest first.

    Withdrawn ones are left out. Raises FetchError.
    """
    url = (
        f"{api.rstrip('/')}/repos/{repository}/security-advisories"
        f"?state=published&sort=published&direction=asc&per_page={_PER_PAGE}"
    )
    found = github.ask_pages(
        url, "a list of advisories", lambda content: _advisories(content, repository), patience
    )
    if found is None:
        raise FetchError(
            f"cannot ask GitHub: {url}: expected the advisories of {repository}, got none",
            hint="check where the project has moved, and who owns it now",
        )
    return found


def _advisories(content: object, repository: str) -> list[Advisory]:
    if not isinstance(content, list):
        raise ValueError(f"expected a list, got {printable(repr(content))}")  # noqa: TRY004
    return [_advisory(item, repository) for item in content if not _is_withdrawn(item)]


def _is_withdrawn(item: object) -> bool:
    return _optional(item, "withdrawn_at") is not None


def _advisory(item: object, repository: str) -> Advisory:
    cve = _optional(item, "cve_id")
    products = take(item, "vulnerabilities", list) if _has(item, "vulnerabilities") else []
    ranges = [_optional(product, "vulnerable_version_range") or UNKNOWN for product in products]
    patched = [_optional(product, "patched_versions") or "" for product in products]
    fixed = [version.strip() for text in patched for version in text.split(",")]
    return Advisory(
        id=check_id(take(item, "ghsa_id", str)),
        cve=(check_cve(cve),) if cve else (),
        title=printable(take(item, "summary", str)),
        repository=repository,
        affected=tuple(dict.fromkeys(map(printable, ranges))),
        fixed=tuple(dict.fromkeys(printable(version) for version in fixed if version)),
    )


def _has(item: object, key: str) -> bool:
    return isinstance(item, dict) and item.get(key) is not None


def _optional(item: object, key: str) -> str | None:
    """Return the string value of a key, or None if it is null or missing."""
    return take(item, key, str) if _has(item, key) else None
