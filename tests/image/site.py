"""The network for the Containerfile: a COPR project, and a repository of one's own.

All hosts serve the same directory: their paths differ.
"""

import json
from pathlib import Path

from nix_aurora.publish.repository import PUBLIC_KEY
from tests.image.base import RELEASE

HUB = "copr.fedorainfracloud.org"
RESULTS = f"download.{HUB}"
OWN = "example.org"
PROJECT = "you/nix-aurora"  # the project that the README names
_CHROOT = f"fedora-{RELEASE}"


def add_copr_project(site: Path, repository: Path, project: str = PROJECT) -> None:
    """Serve a repository as a project at COPR.

    The hub's answer to dnf5 is the one of fedora-copr/copr in coprs/views/apiv3_ns/apiv3_rpmrepo.py
    get_project_rpmrepo_metadata() at commit 5d37cd838218, and in its
    tests/test_apiv3/test_rpmrepo.py. The places of packages and key are from dnf5 5.4,
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
