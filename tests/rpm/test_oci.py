"""Test the image of the packages: skopeo reads it, and it always has the same bytes."""

import datetime
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from nix_aurora.files import sha256_file
from nix_aurora.publish.image import ARCHIVE
from nix_aurora.run import run
from tests.closures import for_aarch64, make_tarball
from tests.registry import running_registry
from tests.rpm.builder import TOP, Built, build, build_py, query
from tests.rpm.tiny import tiny_rpm

_GIT = ("git", "-c", "safe.directory=*")
_COMMIT = {
    **{f"GIT_{who}_NAME": "Tests" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "tests@example.org" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "2026-12-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
}
# These commands run as another user who is root in a namespace, on another day, in another
# directory.
_ELSEWHERE = (
    *("unshare", "--user", "--map-user=1234", "--map-group=1234", "--"),
    *("faketime", "2031-02-03 04:05:06"),
)
_LABELS = {
    "created",
    "description",
    "documentation",
    "licenses",
    "source",
    "title",
    "url",
    "version",
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the tarballs of a small closure for both architectures."""
    place = tmp_path_factory.mktemp("sources")
    return [
        make_tarball(place / "x86_64.tar.xz"),
        make_tarball(place / "aarch64.tar.xz", mutate=for_aarch64),
    ]


@pytest.fixture(scope="module")
def small(sources: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Return the packages of that closure, and an image without a commit beside them."""
    built = build(tmp_path_factory.mktemp("small") / "out", sources)
    assert oci(built.out).returncode == 0
    return built


def oci(
    out: Path, *words: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return build_py("oci", "--out", out, *words, env=env)


def inspect(*words: str | Path) -> str:
    return run(["skopeo", "inspect", *words])


def index_digest(archive: Path) -> str:
    """Return the digest that the image gets in a registry."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile("index.json")
        assert file is not None
        (described,) = json.load(file)["manifests"]
    return str(described["digest"])


def copied(out: Path, *packages: Path) -> Path:
    """Return a new directory with copies of packages."""
    out.mkdir()
    for path in packages:
        shutil.copy(path, out)
    return out


def _make_in(
    clone: Path, sources: Sequence[Path], *before: str, umask: int = 0o022
) -> dict[str, str]:
    """Build packages and image in a clone; return the digests of the files by their names."""
    words = [word for source in sources for word in ("--source", source)]
    for command in (["rpm", *words, "--level", "1"], ["oci"]):
        subprocess.run(
            [*before, sys.executable, "build.py", *command, "--quiet"],
            cwd=clone,
            umask=umask,
            check=True,
            stdout=subprocess.PIPE,
        )
    return {path.name: sha256_file(path) for path in clone.glob("out/*") if path.is_file()}


def test_two_clones_build_the_same_image(sources: list[Path], tmp_path: Path) -> None:
    """Change the user, the umask, and the day."""
    listed = run([*_GIT, "ls-files", "-z", "-co", "--exclude-standard"], cwd=TOP)
    origin = tmp_path / "origin"
    for name in listed.split("\0"):
        if name and (TOP / name).is_file():
            (origin / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, origin / name)
    run(["git", "init", "--quiet"], cwd=origin)
    run(["git", "add", "--all"], cwd=origin)
    run(["git", "commit", "--quiet", "--message=all"], cwd=origin, env=_COMMIT)
    for name in ("here", "there"):
        run(["git", "clone", "--quiet", origin, tmp_path / name])
    here = _make_in(tmp_path / "here", sources)
    there = _make_in(tmp_path / "there", sources[::-1], *_ELSEWHERE, umask=0o077)
    assert len(here) == 5
    assert here == there
    archive = tmp_path / "there/out" / ARCHIVE
    commit = run(["git", "rev-parse", "HEAD"], cwd=origin).strip()
    labels = json.loads(inspect(f"oci-archive:{archive}"))["Labels"]
    assert labels["org.opencontainers.image.revision"] == commit


@pytest.mark.parametrize(("arch", "other"), [("x86_64", "amd64"), ("aarch64", "arm64")])
def test_image_has_the_packages_of_each_architecture(
    arch: str, other: str, small: Built, tmp_path: Path
) -> None:
    """The image has the package and the noarch package, as they were built, owned by root."""
    source = f"oci-archive:{small.out / ARCHIVE}"
    found = json.loads(inspect(f"--override-arch={other}", source))
    assert (found["Architecture"], found["Os"], len(found["Layers"])) == (other, "linux", 1)
    image = tmp_path / "image"
    run(["skopeo", "copy", "--quiet", f"--override-arch={other}", source, f"dir:{image}"])
    packages = (small.rpms[arch], small.rpms["noarch"])
    with tarfile.open(image / found["Layers"][0].removeprefix("sha256:")) as layer:
        directory, *files = layer.getmembers()
        assert {(m.uid, m.gid, m.uname, m.gname) for m in (directory, *files)} == {(0, 0, "", "")}
        assert (directory.name, directory.mode) == ("rpms", 0o755)
        assert [(m.name, m.mode) for m in files] == [(f"rpms/{p.name}", 0o644) for p in packages]
        contents = [layer.extractfile(member) for member in files]
        assert [c.read() for c in contents if c] == [path.read_bytes() for path in packages]


def test_image_has_annotations(small: Built) -> None:
    source = f"oci-archive:{small.out / ARCHIVE}"
    labels = json.loads(inspect(source))["Labels"]
    index = json.loads(inspect("--raw", source))
    prefix = "org.opencontainers.image."
    assert labels == index["annotations"]
    assert {name.removeprefix(prefix) for name in labels} - {"revision"} == _LABELS
    package = small.rpms["x86_64"]
    assert labels[f"{prefix}version"] == query(package, "%{VERSION}-%{RELEASE}")
    assert labels[f"{prefix}licenses"] == query(package, "%{LICENSE}")
    assert labels[f"{prefix}source"] == query(package, "%{URL}")
    made = datetime.datetime.fromisoformat(labels[f"{prefix}created"])
    assert int(made.timestamp()) == int(query(package, "%{BUILDTIME}"))
    platforms = [item["platform"] for item in index["manifests"]]
    assert platforms == [{"architecture": arch, "os": "linux"} for arch in ("arm64", "amd64")]


def test_registry_gets_the_image_byte_for_byte(small: Built, tmp_path: Path) -> None:
    """Compare the digest in the registry with the one in the printed name."""
    with running_registry() as registry:
        env = registry.environment(tmp_path)
        done = oci(small.out, "--registry", f"{registry.host}/me", env=env)
        assert done.returncode == 0, done.stderr
        archive, name = done.stdout.splitlines()
        digest = index_digest(Path(archive))
        assert name == f"{registry.host}/me/nix-aurora@{digest}"
        assert registry.tags["me/nix-aurora", "3.22.1-" + query(small.srpm, "%{RELEASE}")] == digest
        raw = run(["skopeo", "inspect", "--raw", f"docker://{name}"], env=env)
    assert f"sha256:{sha256(raw.encode()).hexdigest()}" == digest


def test_nothing_is_pushed_unless_a_registry_is_named(small: Built) -> None:
    """Run without skopeo, which is not needed then."""
    done = oci(small.out, env={"PATH": str(small.out)})
    assert (done.returncode, done.stdout) == (0, f"{small.out / ARCHIVE}\n")
    done = oci(small.out, "--registry", "127.0.0.1:1/me", env={"PATH": str(small.out)})
    assert (done.returncode, done.stdout) == (6, "")
    assert "cannot start skopeo: No such file" in done.stderr


def test_one_architecture_has_an_image_for_it(small: Built, tmp_path: Path) -> None:
    out = copied(tmp_path / "out", small.rpms["x86_64"], small.rpms["noarch"])
    assert oci(out).returncode == 0
    index = json.loads(inspect("--raw", f"oci-archive:{out / ARCHIVE}"))
    assert [item["platform"]["architecture"] for item in index["manifests"]] == ["amd64"]


def test_packages_of_two_versions_are_refused(small: Built, tmp_path: Path) -> None:
    """Refuse two versions, since dnf5 could install only one of them."""
    out = copied(tmp_path / "out", *small.rpms.values())
    tiny_rpm(out, name="nix-aurora-selinux", version=1)
    done = oci(out)
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected packages of one version, got those of 1-1, 3.22.1-" in done.stderr
    assert not (out / ARCHIVE).exists()


def test_proprietary_package_is_refused(small: Built, tmp_path: Path) -> None:
    out = copied(tmp_path / "out", *small.rpms.values())
    package = tiny_rpm(out, name="nix-aurora-nixd")
    done = oci(out)
    assert (done.returncode, done.stdout) == (5, "")
    assert f"{package}: expected free software alone, got determinate-nixd" in done.stderr
    assert not (out / ARCHIVE).exists()


def test_missing_packages_are_reported(tmp_path: Path) -> None:
    done = oci(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{tmp_path}: expected built packages, got none\nhint: make rpm ARCH=" in done.stderr


def test_damaged_package_leaves_the_earlier_image(small: Built, tmp_path: Path) -> None:
    out = copied(tmp_path / "out", small.out / ARCHIVE, *small.rpms.values())
    before = sha256_file(out / ARCHIVE)
    package = out / small.rpms["x86_64"].name
    package.write_bytes(package.read_bytes()[:-1000])
    done = oci(out)
    assert (done.returncode, done.stdout) == (5, "")
    assert sha256_file(out / ARCHIVE) == before
    assert {path.name for path in out.iterdir()} == {
        ARCHIVE,
        *(path.name for path in small.rpms.values()),
    }
