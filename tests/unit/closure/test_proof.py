from collections.abc import Callable
from pathlib import Path

import pytest

from nix_aurora.closure import proof
from nix_aurora.closure.proof import Closure
from nix_aurora.closure.unpack import unpack
from nix_aurora.errors import VerificationError
from nix_aurora.release import elf
from tests.closures import (
    AARCH64,
    CACERT,
    CLI,
    LIBC,
    LINK,
    MANUAL,
    NIX,
    File,
    Link,
    Sample,
    make_tarball,
)
from tests.closures import elf as elf_header


def checked(tmp_path: Path, mutate: Callable[[Sample], object] | None = None) -> Closure:
    unpacked = unpack(make_tarball(tmp_path / "t", mutate=mutate), tmp_path)
    return proof.check(unpacked, tmp_path / "store")


def test_valid_closure_is_described(tmp_path: Path) -> None:
    found = checked(tmp_path)
    assert found.name == "nix-3.22.1-x86_64-linux"
    assert (found.version, found.system, found.arch) == ("3.22.1", "x86_64-linux", "x86_64")
    assert found.nix == f"/nix/store/{NIX}"
    assert found.cacert == f"/nix/store/{CACERT}"
    assert found.manual == f"/nix/store/{MANUAL}"
    assert found.commands == ("nix", "nix-build", "nix-store")
    assert [info.path for info in found.paths] == sorted(info.path for info in found.paths)
    assert {info.name for info in found.paths} == Sample().store.keys()
    assert (
        dict(zip([info.name for info in found.paths], found.paths, strict=True))[CLI].references[0]
        == f"/nix/store/{CLI}"
    )


def test_roots_are_found_without_scripts(tmp_path: Path) -> None:
    def mutate(sample: Sample) -> None:
        sample.install, sample.multi_user = "#!/bin/sh\n", None

    found = checked(tmp_path, mutate)
    assert found.nix == f"/nix/store/{NIX}"  # and not nix-cli, which it refers to
    assert found.cacert == f"/nix/store/{CACERT}"
    assert found.manual is None


def test_roots_are_found_in_the_multi_user_script(tmp_path: Path) -> None:
    def mutate(sample: Sample) -> None:
        sample.install = "#!/bin/sh\n"

    assert checked(tmp_path, mutate).manual == f"/nix/store/{MANUAL}"


@pytest.mark.parametrize(
    "line",
    [
        '# nix="/nix/store/{}"',
        '    nix="/nix/store/{}"',
        'nix="/nix/store/{}" && true',
        'unix="/nix/store/{}"',
        "nix=\"/nix/store/{}'",
        'echo nix="/nix/store/{}"',
        'nix="@nix@"',
        'nix="$(dirname "/nix/store/{}")"',
    ],
)
def test_only_whole_assignments_name_roots(tmp_path: Path, line: str) -> None:
    def mutate(sample: Sample) -> None:
        sample.install = line.format(LIBC) + "\n" + sample.install

    assert checked(tmp_path, mutate).nix == f"/nix/store/{NIX}"


@pytest.mark.parametrize(
    "line", ["nix='/nix/store/{}'", "nix=/nix/store/{}", 'export nix="/nix/store/{}" ']
)
def test_other_spellings_of_assignments_name_roots(tmp_path: Path, line: str) -> None:
    def mutate(sample: Sample) -> None:
        sample.install = line.format(LIBC) + "\n"

    with pytest.raises(VerificationError, match="expected one nix path"):
        checked(tmp_path, mutate)


def test_other_architecture_is_recognized(tmp_path: Path) -> None:
    def mutate(sample: Sample) -> None:
        sample.top = "nix-3.22.1-aarch64-linux"
        sample.store[CLI] = {
            "bin": {"nix": File(elf_header(AARCH64), executable=True)},
            "share": {},
        }

    found = checked(tmp_path, mutate)
    assert (found.system, found.arch) == ("aarch64-linux", "aarch64")


@pytest.mark.parametrize("top", ["nix-3.22.1", "tree-1", "a b", "nix-2.0-riscv64-linux"])
def test_top_directory_may_have_any_name(tmp_path: Path, top: str) -> None:
    """The version and the system are read from the closure itself."""
    found = checked(tmp_path, lambda sample: setattr(sample, "top", top))
    assert found.name == top
    assert (found.version, found.system) == ("3.22.1", "x86_64-linux")


def test_architecture_is_read_from_the_name_if_nix_is_a_script(tmp_path: Path) -> None:
    def mutate(sample: Sample) -> None:
        sample.store[CLI] = {"bin": {"nix": File(b"#!/bin/sh\n", executable=True)}}
        sample.store[NIX] = {"bin": {"nix": Link(f"../../{CLI}/bin/nix")}}

    assert checked(tmp_path, mutate).arch == "x86_64"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("nix-2.34.8", "2.34.8"),
        ("determinate-nix-3.22.1", "3.22.1"),
        ("nix-2.35.0pre1_ab", "2.35.0pre1_ab"),
    ],
)
def test_version_is_read_from_the_path(tmp_path: Path, name: str, version: str) -> None:
    path = "8" * 32 + "-" + name

    def mutate(sample: Sample) -> None:
        sample.store[path] = sample.store.pop(NIX)
        sample.references[path] = sample.references.pop(NIX)
        sample.install = f'nix="/nix/store/{path}"\n'
        sample.multi_user = None

    assert checked(tmp_path, mutate).version == version


def test_longer_cycles_are_found(tmp_path: Path) -> None:
    def mutate(sample: Sample) -> None:
        sample.references[LIBC] = [MANUAL]
        sample.references[MANUAL] = [CLI]

    with pytest.raises(VerificationError, match="expected references without cycles"):
        checked(tmp_path, mutate)


def test_manual_behind_a_link_is_found_in_the_store(tmp_path: Path) -> None:
    def mutate(sample: Sample) -> None:
        sample.store[LINK] = Link(f"/nix/store/{LIBC}/lib")
        sample.multi_user = f"NIX_INSTALLED_NIX_MAN=/nix/store/{LINK}\n"

    assert checked(tmp_path, mutate).manual == f"/nix/store/{LINK}"


def test_script_has_no_architecture(tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_bytes(b"#!")
    assert elf.architecture(path) is None
