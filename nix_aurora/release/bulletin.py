"""Copy published advisories from GitHub into advisories.toml."""

from collections.abc import Sequence
from pathlib import Path

from nix_aurora import log
from nix_aurora.release import advisories
from nix_aurora.release.advisories import DETERMINATE, UPSTREAM, Advisory
from nix_aurora.release.published_advisories import find_advisories
from nix_aurora.release.replacement import replace_text


def collect(api: str) -> list[Advisory]:
    """Return the published advisories of upstream's Nix and of Determinate's; raise FetchError."""
    return [
        advisory
        for repository in (UPSTREAM, DETERMINATE)
        for advisory in find_advisories(repository, api)
    ]


def take_over(path: Path, published: Sequence[Advisory], *, dry_run: bool) -> list[str]:
    """Add the missing ones of ``published`` to the advisories.toml at ``path``, unreviewed.

    Returns that path if the file has changed; with ``dry_run`` the difference instead; and an empty
    list if nothing changes. If PinError is raised, the file is unchanged.
    """
    known = advisories.load(path)
    text = advisories.merge(path.read_text(encoding="utf-8"), published)
    result = replace_text(path, text, dry_run=dry_run, check=advisories.load)
    new = [advisory.id for advisory in published if advisory.id not in known]
    if result and not dry_run:
        log.info(
            f"{path.name}: new: {', '.join(new) or 'none'}; what is not reviewed is up to date"
        )
    return result
