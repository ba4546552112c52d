"""Test what release.yml pushes and lists for signing, with a test registry instead of GitHub's."""

import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from nix_aurora.files import sha256_file
from nix_aurora.run import run
from tests.closures import for_aarch64, make_tarball
from tests.lint.workflows import load
from tests.registry import running_registry
from tests.rpm.builder import TOP, build_py

_ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}


def _step() -> str:
    """Return the script of the step that pushes."""
    steps = load(TOP / ".github/workflows/release.yml")["jobs"]["publish"]["steps"]
    (script,) = (step["run"] for step in steps if step.get("id") == "push")
    return str(script)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with check.yml's artifacts: ``packages`` and ``image``."""
    place = tmp_path_factory.mktemp("artifacts")
    sources = [
        make_tarball(place / "x86_64.tar.xz"),
        make_tarball(place / "aarch64.tar.xz", mutate=for_aarch64),
    ]
    words = [word for source in sources for word in ("--source", source)]
    out = place / "out"
    assert build_py("release", *words, "--out", out, "--level", "1").returncode == 0
    assert build_py("oci", "--out", out).returncode == 0
    (out / "release").rename(place / "packages")
    (place / "image").mkdir()
    shutil.move(out / "nix-aurora.oci.tar", place / "image")
    return place


def _listed(path: Path) -> dict[str, str]:
    """Return the names in a list of digests, by digest."""
    lines = [line.split("  ") for line in path.read_text().splitlines()]
    assert len({digest for digest, _ in lines}) == len(lines)
    return {digest: name for digest, name in lines}  # noqa: C416 - pairs, for the type checker


def test_release_signs_every_file_and_image(artifacts: Path, tmp_path: Path) -> None:
    """Sign each package and image with the SBOM of its architecture."""
    version = next(
        path.name.removeprefix("nix-aurora-").removesuffix(".src.rpm")
        for path in (artifacts / "packages").glob("*.src.rpm")
    )
    with running_registry() as registry:
        environment = {
            **registry.environment(tmp_path),
            "REGISTRY": registry.host,
            "GITHUB_REPOSITORY": "Nix-Aurora/nix-aurora",  # names of images are in lower case
            "GITHUB_REF_NAME": f"v{version}",
            "GITHUB_OUTPUT": str(tmp_path / "output"),
        }
        script = tmp_path / "step"
        script.write_text(_step())
        # https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax, "shell".
        command = ("bash", "--noprofile", "--norc", "-eo", "pipefail", str(script))
        run(command, cwd=artifacts, env=environment)
        digest = registry.tags["nix-aurora/nix-aurora", version]
        _, index = registry.content[digest]
    image = f"{registry.host}/nix-aurora/nix-aurora"
    output = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert output["name"] == f"{image}@{digest}"
    assert digest == f"sha256:{sha256(index).hexdigest()}"
    parts = {
        item["platform"]["architecture"]: item["digest"].removeprefix("sha256:")
        for item in json.loads(index)["manifests"]
    }
    files = {
        sha256_file(path): path.name
        for path in (artifacts / "packages").iterdir()
        if path.name != "SHA256SUMS"
    }
    images = dict.fromkeys((digest.removeprefix("sha256:"), *parts.values()), image)
    assert _listed(artifacts / "all.sha256") == {**files, **images}
    for arch, name in _ARCHES.items():
        package = artifacts / "packages" / f"nix-aurora-{version}.{arch}.rpm"
        assert _listed(artifacts / f"{arch}.sha256") == {
            sha256_file(package): package.name,
            parts[name]: image,
        }
        assert (artifacts / f"{output['sbom']}.{arch}.spdx.json").is_file()


def test_damaged_artifact_is_not_pushed(artifacts: Path, tmp_path: Path) -> None:
    """Let the step end at the first command that fails."""
    shutil.copytree(artifacts / "packages", tmp_path / "packages")
    (tmp_path / "image").mkdir()
    archive = (artifacts / "image/nix-aurora.oci.tar").read_bytes()
    (tmp_path / "image/nix-aurora.oci.tar").write_bytes(archive[: len(archive) // 2])
    with running_registry() as registry:
        environment = {
            **registry.environment(tmp_path),
            "REGISTRY": registry.host,
            "GITHUB_REPOSITORY": "nix-aurora/nix-aurora",
            "GITHUB_REF_NAME": "v1-1",
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", _step()],
            cwd=tmp_path,
            env=environment,
            check=False,
            capture_output=True,
        )
        assert done.returncode != 0
        assert registry.tags == {}
    assert not (tmp_path / "output").exists()
