"""Run the commands of README and docs for a repository, COPR and layering as they are written.

The test adds only the release, which is a small closure, and the output directory.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from nix_aurora.release.pins import load
from tests.closures import for_aarch64, make_tarball
from tests.copr_server import Copr, build_chroots
from tests.keyring import new_keyring
from tests.readme import commands
from tests.registry import running_registry
from tests.rpm.builder import TOP, query
from tests.rpm.tiny import base, layered
from tests.unit.httpserver import running


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output directory, with a release of both architectures beside it."""
    place = tmp_path_factory.mktemp("readme")
    make_tarball(place / "x86_64.tar.xz")
    make_tarball(place / "aarch64.tar.xz", mutate=for_aarch64)
    return place


def _make(
    command: str, place: Path, *arches: str, env: Mapping[str, str] | None = None
) -> list[str]:
    """Run a ``make`` of the README; return the paths that it prints."""
    assert command.startswith("make ")
    sources = " ".join(str(place / f"{arch}.tar.xz") for arch in arches)
    words = [f"OUT={place / 'out'}", "FLAGS=--level 1", *([f"SOURCE={sources}"] if arches else [])]
    done = subprocess.run(
        ["bash", "-euc", f"{command} {shlex.join(words)}"],
        cwd=TOP,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_own_repository_is_made_and_named_in_its_file(place: Path) -> None:
    rpm, repo, fetch, install = commands("A repository of your own", "docs/building.md")
    _, module, package = _make(rpm, place, "x86_64")
    with new_keyring() as keyring:
        repo = repo.replace("you@example.org", keyring.fingerprint)
        repo = repo.replace("/srv/nix-aurora", str(place / "repo"))
        (file,) = _make(repo, place, env=keyring.environment)
    assert {path.name for path in (place / "repo").glob("*.rpm")} == {
        Path(module).name,
        Path(package).name,
    }
    settings = Path(file).read_text().splitlines()
    # Hosts download from the URL in that file, under the name that they install.
    assert f" {settings[2].removeprefix('baseurl=')}/{Path(file).name}" in fetch
    assert {"gpgcheck=1", "repo_gpgcheck=1"} <= set(settings)
    assert f"install {query(Path(package), '%{NAME}')} " in install


def _layer(command: str, place: Path) -> list[str]:
    """Return the words after ``rpm-ostree install``, expanded by the shell."""
    words = command.partition("&&")[0].removeprefix("sudo rpm-ostree install ")
    named = subprocess.run(
        ["bash", "-euc", f"echo {words}"], cwd=place, capture_output=True, text=True, check=True
    )
    return named.stdout.split()


def test_files_are_layered_on_a_host(place: Path) -> None:
    """Apply rpm-ostree's rules to the layered files."""
    rpm, *_ = commands("Install")
    install, _ = commands("3. Files")
    _, module, package = _make(rpm, place, "x86_64")
    rpms = [place / path for path in _layer(install, place)]
    assert rpms == [Path(package), Path(module)]
    with base() as root:
        said = layered(root, *rpms)
    assert {name.partition(".")[2] for name in said} >= {"post", "posttrans"}


def test_layered_files_are_upgraded(place: Path) -> None:
    """Remove the old files in the same transaction, so that each name occurs once."""
    rpm = commands("Install")[0]
    _, module, package = _make(rpm, place, "x86_64")
    _, upgrade = commands("3. Files")
    *files, first, former, second, former_module = _layer(upgrade, place)
    assert [place / path for path in files] == [Path(package), Path(module)]
    assert first == second == "--uninstall"
    names = [query(Path(path), "%{NAME}") for path in (package, module)]
    assert [former, former_module] == names


def test_image_is_built_and_pushed(place: Path) -> None:
    """Run the README's command, and the one of docs/building.md with a registry."""
    rpm, oci = commands("Install")
    _make(rpm, place, "x86_64")
    (archive,) = _make(oci, place)
    build, *_ = commands("1. An image of your own")
    assert f"PACKAGES=oci-archive:out/{Path(archive).name} " in build
    both, push = commands("An image", "docs/building.md")[:2]
    _make(both, place, "x86_64", "aarch64")
    with running_registry() as registry:
        words = push.replace("ghcr.io/you", f"{registry.host}/you")
        again, name = _make(words, place, env=registry.environment(place / "home"))
        ((repository, _),) = registry.tags
    assert again == archive
    assert name.startswith(f"{registry.host}/{repository}@sha256:")


def test_packages_are_published_at_copr(place: Path) -> None:
    srpm, publish = commands("COPR", "docs/building.md")
    assert {srpm, publish} <= set(commands("2. A repository"))
    _make(srpm, place, "x86_64", "aarch64")
    (place / "home/.config").mkdir(parents=True, exist_ok=True)
    with running() as server:
        copr = Copr(server)
        done = {f"fedora-44-{arch}": "succeeded" for arch in ("x86_64", "aarch64")}
        copr.serve("states", build_chroots(done))
        (place / "home/.config/copr").write_text(copr.configuration)
        words = publish.replace("you/", "me/")
        env = {"HOME": str(place / "home"), "NO_PROXY": "127.0.0.1,localhost"}
        assert _make(words, place, env=env) == [copr.page]
        assert copr.asked()[:4] == ["chroots", "project", "check", "upload"]


def test_release_files_are_made(place: Path) -> None:
    command, *_ = commands("A release of the packages", "docs/releasing.md")
    version = f"3.22.1-{load(TOP / 'pins.toml').package_release}"
    words = re.sub(r"TAG=v\S+", f"TAG=v{version}", command)
    files = _make(words, place, "x86_64", "aarch64")
    assert f"nix-aurora-{version}.aarch64.rpm" in {Path(file).name for file in files}
