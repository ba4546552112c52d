import fcntl
import os
import threading
from pathlib import Path

import pytest

from nix_aurora.closure import stage as module
from nix_aurora.closure.stage import stage
from nix_aurora.errors import VerificationError
from nix_aurora.store import reginfo
from tests.closures import (
    AARCH64,
    CLI,
    LIBC,
    PROFILE,
    File,
    Sample,
    elf,
    make_tarball,
    register,
)

ORIGIN: dict[str, str | int] = {"url": "https://example.org/t", "size": 1}


def broken(sample: Sample) -> None:
    sample.reginfo = register(sample).replace("\n", "\n\n", 1)


def test_staged_tree_has_the_layout_of_a_host(tmp_path: Path) -> None:
    staged = stage(make_tarball(tmp_path / "t"), tmp_path / "out", ORIGIN)
    assert staged.root == tmp_path / "out/stage/x86_64/var/lib/nix"
    assert sorted(entry.name for entry in staged.root.iterdir()) == [".reginfo", "store", "var"]
    names = {entry.name for entry in (staged.root / "store").iterdir()}
    added = names - Sample().store.keys()
    assert names - added == Sample().store.keys()
    assert len(added) == len(PROFILE)
    assert all(name.endswith(PROFILE) for name in added)
    assert list((staged.root / "var").iterdir()) == [staged.root / "var/nix"]
    assert list((staged.root / "var/nix").iterdir()) == []
    text = (staged.root / ".reginfo").read_text(encoding="ascii")
    assert text == reginfo.render(staged.closure.paths)
    assert staged.origin == ORIGIN
    assert [entry.name for entry in (tmp_path / "out/stage").iterdir()] == ["x86_64"]


def test_registration_becomes_canonical(tmp_path: Path) -> None:
    def mutate(sample: Sample) -> None:
        sample.store = dict(reversed(sample.store.items()))

    staged = stage(make_tarball(tmp_path / "t", mutate=mutate), tmp_path / "out", {})
    found = reginfo.parse((staged.root / ".reginfo").read_text(encoding="ascii"))
    assert found == sorted(found, key=lambda info: info.path)
    former = [info for info in found if not info.name.endswith(PROFILE)]
    assert reginfo.render(former) == register(Sample())


def test_earlier_stage_is_replaced(tmp_path: Path) -> None:
    tarball = make_tarball(tmp_path / "t")
    former = stage(tarball, tmp_path / "out", {})
    (former.root / "store" / "x").touch()
    staged = stage(tarball, tmp_path / "out", {})
    assert staged.root == former.root
    assert not (staged.root / "store" / "x").exists()


def test_earlier_stage_survives_a_fault(tmp_path: Path) -> None:
    former = stage(make_tarball(tmp_path / "t"), tmp_path / "out", {})
    with pytest.raises(VerificationError):
        stage(make_tarball(tmp_path / "t2", mutate=broken), tmp_path / "out", {})
    assert (former.root / "store" / LIBC).is_dir()
    assert [entry.name for entry in (tmp_path / "out/stage").iterdir()] == ["x86_64"]


def test_both_architectures_are_staged_side_by_side(tmp_path: Path) -> None:
    def mutate(sample: Sample) -> None:
        sample.top = "nix-3.22.1-aarch64-linux"
        sample.store[CLI] = {"bin": {"nix": File(elf(AARCH64), executable=True)}}

    stage(make_tarball(tmp_path / "t"), tmp_path / "out", {})
    stage(make_tarball(tmp_path / "t2", mutate=mutate), tmp_path / "out", {})
    names = sorted(entry.name for entry in (tmp_path / "out/stage").iterdir())
    assert names == ["aarch64", "x86_64"]


def test_nothing_remains_after_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "check", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage(make_tarball(tmp_path / "t"), tmp_path / "out", {})
    assert list((tmp_path / "out/stage").iterdir()) == []


def test_leftovers_of_killed_runs_are_removed(tmp_path: Path) -> None:
    leftover = tmp_path / "out/stage/.unpacking.x"
    (leftover / "store/read-only").mkdir(parents=True)
    (leftover / "store/read-only/file").touch()
    (leftover / "store/read-only").chmod(0o555)
    stage(make_tarball(tmp_path / "t"), tmp_path / "out", {})
    assert [entry.name for entry in (tmp_path / "out/stage").iterdir()] == ["x86_64"]


def test_second_run_waits_for_the_first(tmp_path: Path) -> None:
    base = tmp_path / "out/stage"
    base.mkdir(parents=True)
    (base / ".unpacking.in-use").mkdir()
    tarball = make_tarball(tmp_path / "t")
    lock = os.open(base, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    run = threading.Thread(target=stage, args=(tarball, tmp_path / "out", {}))
    run.start()
    run.join(timeout=0.3)
    assert run.is_alive()
    assert (base / ".unpacking.in-use").is_dir()
    os.close(lock)
    run.join(timeout=10)
    assert [entry.name for entry in base.iterdir()] == ["x86_64"]
