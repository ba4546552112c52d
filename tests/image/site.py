"""What the Containerfile is to find in the network: a COPR project, and a repository of one's own.

All hosts show the same directory: their paths differ.
"""

import json
from pathlib import Path

from nix_aurora.publish.repository import PUBLIC_KEY
from tests.image.base import RELEASE

HUB = "copr.fedorainfracloud.org"
RESULTS = f"download.{HUB}"
OWN = "example.org"
PROJECT = "you/nix-aurora"  # the README's
_CHROOT = f"fedora-{RELEASE}"


def add_copr_project(site: Path, repository: Path, project: str = PROJECT) -> None:
    """Show a repository as a project at COPR.

    What the hub answers to dnf5 is what fedora-copr/copr has in coprs/views/apiv3_ns/
    apiv3_rpmrepo.py get_project_rpmrepo_metadata() at commit 5d37cd838218, and its
    tests/test_apiv3/test_rpmrepo.py show. Where packages and key lie: dnf5 5.4,
    dnf5-plugins/copr_plugin/copr_repo.cpp CoprRepo::CoprRepo().
    """
    answer = {
        "results_url": f"https://{RESULTS}/results",
        "repos": {_CHROOT: {"arch": {arch: {"opts": {}} for arch in ("aarch64", "x86_64")}}},
        "directories": {project.partition("/")[2]: {}},
        "dependencies": [],
    }
    hub = site / "api_3/rpmrepo" / project / _CHROOT
    hub.mkdir(parents=True)
    (hub / "index.html").write_text(json.dumps(answer))
    results = site / "results" / project
    results.mkdir(parents=True)
    (results / "pubkey.gpg").symlink_to(repository / PUBLIC_KEY)
    (results / f"{_CHROOT}-x86_64").symlink_to(repository)
