"""Test a complete import of small store paths: lost, damaged and obstructing files are repaired."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.database.backup import backup
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import (
    clone,
    database,
    locks,
    missing,
    nix,
    profile,
    relocated,
    roots,
    state,
    syscalls,
)
from nix_aurora_host.importer import stage as staging
from nix_aurora_host.importer.closure import Closure
from nix_aurora_host.importer.say import say

from tests.unit.host.importer.importing import (
    CACERT,
    FILE,
    LIB,
    LINK,
    NAMES,
    NIX,
    Package,
    make_package,
)
from tests.unit.host.nix_database import A, name

_RUN = profile._run


def _lose_profile() -> None:
    Path(paths.PROFILE).unlink()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Return a package, and an empty host."""
    return make_package(tmp_path, monkeypatch)


@pytest.fixture
def imported(package: Package, capfd: pytest.CaptureFixture[str]) -> Package:
    """Return a package, and a host that has imported it."""
    package.run_import()
    assert "imported Nix 2.34: 6 of 6 store paths were missing; " in capfd.readouterr().out
    return package


def _said(capfd: pytest.CaptureFixture[str]) -> str:
    captured = capfd.readouterr()
    return captured.out + captured.err


def test_everything_is_imported(imported: Package) -> None:
    imported.check_whole()
    for directory, _, files in os.walk(imported.host.store):
        if directory != os.fspath(imported.host.store):
            assert Path(directory).stat().st_mode & 0o7777 == 0o555
        for file in files:
            status = Path(directory, file).lstat()
            assert status.st_mtime == 1
            assert Path(directory, file).is_symlink() or status.st_mode & 0o7777 in {0o444, 0o555}
    program, data = imported.host.store / NIX / "bin/nix", imported.host.store / NIX / "empty"
    assert program.stat().st_mode & 0o777 == 0o555
    assert data.stat().st_mode & 0o777 == 0o444
    assert Path(paths.STATE, "gcroots/profiles").readlink() == Path(paths.STATE, "profiles")
    assert imported.host.run("select count(*) from Refs") == [(4,)]


def test_second_run_does_nothing(imported: Package, capfd: pytest.CaptureFixture[str]) -> None:
    imported.run_import()
    assert _said(capfd) == ""
    imported.check_whole()


def test_run_of_an_earlier_package_is_recognized(
    imported: Package, capfd: pytest.CaptureFixture[str]
) -> None:
    """The earlier package wrote only its stamp, and a kill may have left unpacked files."""
    shutil.rmtree(paths.WORK)
    Path(paths.WORK, "store/half").mkdir(parents=True)
    imported.run_import()
    assert _said(capfd) == ""
    imported.check_whole()


def test_import_of_an_earlier_package_removes_the_stamp(
    imported: Package, capfd: pytest.CaptureFixture[str]
) -> None:
    """After a rollback to that package, paths may have been collected, so the stamp is removed."""
    shutil.rmtree(paths.WORK)
    Path(paths.STAMP).write_text("another\n")
    imported.run_import()
    assert "0 of 6 store paths were missing" in _said(capfd)
    imported.check_whole()


@pytest.mark.parametrize(
    ("lose", "count"),
    [
        (lambda: shutil.rmtree(paths.OWN), 0),
        (lambda: Path(paths.STAMP).write_text(""), 0),
        (lambda: Path(paths.IMPORT_NEEDED).touch(), 0),
        (lambda: shutil.rmtree(paths.ROOTS), 0),
        (_lose_profile, 0),
        (lambda: shutil.rmtree(Path(paths.PROFILE).parent), 0),
        (lambda: staging.remove(f"{paths.STORE}/{NIX}"), 1),
        (lambda: staging.remove(f"{paths.STORE}/{CACERT}"), 1),
        (lambda: Path(paths.DATABASE).unlink(), 6),
        (lambda: shutil.rmtree(paths.DATABASE_DIRECTORY), 6),
        (lambda: shutil.rmtree(paths.STATE), 6),
    ],
)
def test_lost_state_is_recreated(
    imported: Package,
    lose: object,
    count: int,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert callable(lose)
    needs_nix_env = lose is _lose_profile
    lose()
    Path(paths.STATE, "gcroots/auto").mkdir(parents=True, exist_ok=True)
    imported.run_import()
    assert f"{count} of 6 store paths were missing" in _said(capfd)
    if needs_nix_env:
        # nix-env would do this, but does not run here
        Path(paths.PROFILE).symlink_to("default-1-link")
    imported.check_whole()
    imported.run_import()
    assert _said(capfd) == ""


# --- damaged and foreign paths


@pytest.mark.parametrize("damage", ["a file", "a link", "emptied", "another content", "a pipe"])
def test_damaged_path_is_replaced_and_kept_aside(imported: Package, damage: str) -> None:
    path = imported.host.store / LIB
    program = path / "bin/nix"
    for directory in (path, path / "bin"):
        directory.chmod(0o755)
    if damage == "another content":
        program.chmod(0o644)
        program.write_text("evil")
    elif damage == "a pipe":  # a reader would wait forever
        program.unlink()
        os.mkfifo(program)
    else:
        shutil.rmtree(path)
        if damage == "a file":
            path.write_text("wrong")
        elif damage == "a link":
            path.symlink_to("/etc")
        else:
            path.mkdir()
    Path(paths.IMPORT_NEEDED).touch()
    imported.run_import()
    imported.check_whole()
    assert [aside.name for aside in Path(paths.ASIDE).glob("*/*")] == [LIB]


def test_unregistered_half_path_is_replaced(
    package: Package, capfd: pytest.CaptureFixture[str]
) -> None:
    (package.host.store / NIX / "bin").mkdir(parents=True)
    (package.host.store / CACERT).write_text("wrong")
    package.run_import()
    assert _said(capfd).count("differs from the package: replacing it") == 2
    package.check_whole()


def test_equal_path_is_not_changed(package: Package) -> None:
    inode = package.add_to_store(LIB).stat().st_ino
    package.run_import()
    package.check_whole()
    assert (package.host.store / LIB).stat().st_ino == inode


@pytest.mark.parametrize("part", [".", "bin/nix"])
def test_writable_path_is_not_equal(package: Package, part: str) -> None:
    path = package.add_to_store(LIB)
    inode = path.stat().st_ino
    (path / part).chmod(0o755)
    package.run_import()
    package.check_whole()
    assert (package.host.store / LIB).stat().st_ino != inode


def test_variant_that_was_built_here_is_kept(package: Package) -> None:
    """A path that was built here is valid with its own hash."""
    package.host.add(CACERT, b"an own one")
    package.host.make_database([CACERT])
    package.run_import()
    assert (package.host.store / CACERT / "bin/program").read_bytes() == b"an own one"
    assert package.host.valid() == NAMES


def test_path_without_a_readable_hash_is_replaced(imported: Package) -> None:
    imported.host.run(
        "update ValidPaths set hash = 'sha256:nonsense' where path like ?", f"%/{LIB}"
    )
    Path(paths.IMPORT_NEEDED).touch()
    imported.run_import()
    imported.check_whole()


@pytest.mark.parametrize("path_name", [LIB, FILE])
def test_path_that_another_process_creates_is_not_used(
    package: Package, path_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty directory or a file is not replaced either; rename(2) would replace both."""
    real = syscalls.rename_new
    taken = package.host.store / path_name

    def take(old: str, new: str) -> None:
        if new == os.fspath(taken):
            taken.mkdir() if path_name == LIB else taken.touch()
        real(old, new)

    monkeypatch.setattr(syscalls, "rename_new", take)
    with pytest.raises(CommandError, match=f"{path_name}: another process created it meanwhile"):
        package.run_import()
    assert taken.stat().st_mtime > 1
    monkeypatch.setattr(syscalls, "rename_new", real)
    package.run_import()
    package.check_whole()


# --- the package


@pytest.mark.parametrize("damage", ["content", "gone", "a pipe", "one more"])
def test_damaged_package_is_refused_and_nothing_changes(package: Package, damage: str) -> None:
    program = package.store / LIB / "bin/nix"
    if damage == "content":
        program.write_text("x" + program.read_text()[1:])
    elif damage == "one more":
        (program.parent / "more").touch()
    else:
        program.unlink()
        if damage == "a pipe":
            os.mkfifo(program)
    with pytest.raises(
        CommandError, match=f"cannot import {package.store / LIB}: the package is damaged: "
    ) as raised:
        package.run_import()
    assert raised.value.hint == "sudo nix-aurora doctor"
    assert list(package.host.store.iterdir()) == []
    assert not Path(paths.WORK).exists()
    assert not Path(paths.DATABASE).exists()


def test_missing_path_of_the_package_is_named(package: Package) -> None:
    shutil.rmtree(package.store / LIB)
    with pytest.raises(CommandError, match=f"cannot read {package.store / LIB}: No such file"):
        package.run_import()


def test_full_disk_is_reported_with_a_hint(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: int, _target: int, _size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(clone, "WAYS", (clone.share, full))
    monkeypatch.setattr(clone, "can_share", lambda *_: False)
    with pytest.raises(CommandError, match=r"cannot copy .* to .*: No space left") as raised:
        package.run_import()
    assert raised.value.hint == "sudo nix-aurora doctor"


def test_lack_of_space_is_reported_before_any_change(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clone, "can_share", lambda *_: False)
    monkeypatch.setattr(staging, "_SPARE", 1 << 60)
    with pytest.raises(CommandError, match=r"expected \d+ MiB of free space, got \d+") as raised:
        package.run_import()
    assert raised.value.hint == "sudo nix-aurora doctor"


def test_second_source_replaces_an_unusable_first(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = package.top / "deployment/store"
    shutil.copytree(package.store, deployment, symlinks=True)
    (deployment / LIB / "bin/nix").write_text("damaged")
    (deployment / FILE).unlink()
    monkeypatch.setattr(
        staging, "find_sources", lambda: [os.fspath(deployment), paths.PACKAGED_STORE]
    )
    package.run_import()
    package.check_whole()


# --- the database


def test_lost_database_is_restored_from_its_copy(imported: Package) -> None:
    mine = imported.host.add(A)
    imported.host.make_database([*NAMES, A], at=imported.top / "both/db.sqlite")
    Path(imported.top, "both/db.sqlite").replace(paths.DATABASE)
    backup()
    shutil.rmtree(paths.DATABASE_DIRECTORY)
    imported.run_import()
    assert imported.host.valid() == {*NAMES, A}
    assert mine.exists()


def test_broken_database_is_moved_aside(
    imported: Package, capfd: pytest.CaptureFixture[str]
) -> None:
    Path(paths.DATABASE).write_bytes(b"no database" * 1000)
    Path(paths.IMPORT_NEEDED).touch()
    imported.run_import()
    assert "is damaged: file is not a database" in _said(capfd)
    imported.check_whole()
    assert [aside.name for aside in Path(paths.ASIDE).glob("*/*")] == ["db"]


def test_damage_found_while_reading_counts_as_a_lost_database(imported: Package) -> None:
    """In this case, no timer has found the damage and requested the import."""
    Path(paths.DATABASE).write_bytes(b"no database" * 1000)
    assert database.read(imported.closure) is None


def test_unreadable_database_is_left_alone(
    imported: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(missing, "read_registered", fail)
    Path(paths.IMPORT_NEEDED).touch()
    with pytest.raises(CommandError, match=f"cannot read the database: {paths.DATABASE}: "):
        imported.run_import()
    assert Path(paths.DATABASE).exists()


def test_import_waits_for_a_locked_database(
    imported: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PATIENCE", 0)
    Path(paths.DATABASE).unlink()
    holder = subprocess.Popen(
        ["flock", paths.DATABASE_LOCK, "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.read(1)
        with pytest.raises(CommandError, match="a nix command of root uses it"):
            imported.run_import()
        holder.communicate(b"")
    imported.run_import()
    imported.check_whole()


def test_registration_that_nix_refuses_is_reported(
    imported: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nix, "_command", lambda *_: ["false"])
    Path(paths.IMPORT_NEEDED).touch()
    with pytest.raises(
        CommandError, match=r"cannot register store paths: .*/db: nix-store: exit code "
    ):
        imported.run_import()


# --- other processes


def test_path_that_is_collected_during_the_import_is_staged_again(
    imported: Package, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = roots.make_roots
    gone: list[str] = []

    def collect(closure: Closure) -> None:
        real(closure)
        if not gone:
            gone.append(LINK)
            (imported.host.store / LINK).unlink()
            imported.host.run("delete from ValidPaths where path like ?", f"%/{LINK}")

    monkeypatch.setattr(roots, "make_roots", collect)
    Path(paths.IMPORT_NEEDED).touch()
    imported.run_import()
    assert "1 of 6 store paths were missing" in _said(capfd)
    imported.check_whole()


@pytest.mark.parametrize(
    "name_of", [lambda: paths.IMPORT_LOCK, lambda: paths.COLLECTOR_LOCK], ids=["import", "gc"]
)
def test_import_waits_for_a_lock_and_says_so(
    package: Package,
    name_of: object,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert callable(name_of)
    holder = subprocess.Popen(
        ["flock", name_of(), "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def say_and_release(text: str) -> None:
        say(text)
        assert holder.stdin is not None
        holder.stdin.close()

    monkeypatch.setattr(locks, "say", say_and_release)
    with holder:
        assert holder.stdout is not None
        holder.stdout.read(1)
        package.run_import()
    assert ": waiting for it" in _said(capfd)
    package.check_whole()


def test_lock_that_is_never_released_ends_the_import(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(locks, "_PATIENCE", 0)
    with locks.import_lock(), pytest.raises(CommandError, match="another process has held it"):
        package.run_import()


def test_directory_and_lock_become_private(package: Package) -> None:
    Path(paths.OWN).chmod(0o755)
    Path(paths.IMPORT_LOCK).touch()
    Path(paths.IMPORT_LOCK).chmod(0o644)
    package.run_import()
    assert Path(paths.OWN).stat().st_mode & 0o777 == 0o700
    assert Path(paths.IMPORT_LOCK).stat().st_mode & 0o777 == 0o600


def test_leftovers_of_a_killed_run_are_removed(package: Package) -> None:
    left = Path(paths.WORK, "store", name("x"))
    left.mkdir(parents=True)
    left.chmod(0o555)
    package.run_import()
    package.check_whole()


# --- the default profile


@pytest.fixture
def commands(imported: Package, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Return the commands on the profile of a host whose older Nix is imported."""
    found: list[tuple[str, ...]] = []
    older = imported.host.add(name("o", "nix-2.26"))
    (older / "bin/nix").symlink_to("program")
    Path(f"{paths.PROFILE}-1-link").unlink()
    Path(f"{paths.PROFILE}-1-link").symlink_to(older)
    Path(paths.ROOTS, "nix").unlink()
    Path(paths.ROOTS, "nix").symlink_to(older)
    monkeypatch.setattr(paths, "PREFIX", paths.STORE)
    Path(paths.WORK, "roots").mkdir()
    roots.make_roots(imported.closure)

    def note(*command: str) -> str:
        found.append(command)
        return f"{older}\n{imported.host.store / FILE}\n"

    monkeypatch.setattr(profile, "_run", note)
    return found


def test_profile_is_upgraded(imported: Package, commands: list[tuple[str, ...]]) -> None:
    profile.update_profile(imported.closure)
    ask, install = commands
    assert ask[1:3] == ("--query", "--references")
    assert install[0] == f"{paths.STORE}/{NIX}/bin/nix-env"
    assert install[-2:] == (f"{paths.STORE}/{NIX}", f"{paths.STORE}/{CACERT}")
    assert Path(paths.ROOTS, "profile").readlink().parent == imported.host.store


def test_nix_of_another_name_is_removed_from_the_profile_first(
    imported: Package, commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adopted store may have Determinate's Nix, which has another name than nix."""
    older = imported.host.store / name("o", "nix-2.26")
    other = older.rename(older.with_name(name("o", "determinate-nix-3.1")))
    for link in (f"{paths.PROFILE}-1-link", f"{paths.ROOTS}/nix"):
        Path(link).unlink()
        Path(link).symlink_to(other)

    def note(*command: str) -> str:
        commands.append(command)
        return f"{other}\n"

    monkeypatch.setattr(profile, "_run", note)
    profile.update_profile(imported.closure)
    _, uninstall, install = commands
    assert uninstall[-2:] == ("--uninstall", str(other))
    assert install[-2:] == (f"{paths.STORE}/{NIX}", f"{paths.STORE}/{CACERT}")


def test_profile_of_nix_profile_is_upgraded(
    imported: Package, commands: list[tuple[str, ...]]
) -> None:
    (imported.host.store / name("o", "nix-2.26") / "manifest.json").write_text("{}")
    profile.update_profile(imported.closure)
    ask, remove, install = commands
    assert ask[1:3] == ("--query", "--references")
    assert "remove" in remove
    assert remove[-1].endswith("-nix-2.26")
    assert install[-1] == f"{paths.STORE}/{CACERT}"


def test_another_nix_in_the_profile_is_kept(
    imported: Package, commands: list[tuple[str, ...]], capfd: pytest.CaptureFixture[str]
) -> None:
    own = imported.host.add(name("w", "own"))
    (own / "bin/nix").symlink_to("program")
    Path(f"{paths.PROFILE}-1-link").unlink()
    Path(f"{paths.PROFILE}-1-link").symlink_to(own)
    profile.update_profile(imported.closure)
    assert "the default profile contains another Nix, which is kept: " in _said(capfd)
    assert commands == []


def test_profile_with_the_packaged_nix_is_not_changed(
    imported: Package, commands: list[tuple[str, ...]]
) -> None:
    Path(f"{paths.PROFILE}-1-link").unlink()
    Path(f"{paths.PROFILE}-1-link").symlink_to(imported.host.store / NIX)
    profile.update_profile(imported.closure)
    assert commands == []


def test_failure_of_nix_on_the_profile_is_reported() -> None:
    assert _RUN("echo", "said") == "said\n"
    with pytest.raises(CommandError, match="cannot update the default profile: "):
        _RUN("false")


# --- the relocated layout


def test_relocated_layout_has_a_description_instead_of_a_profile(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "RELOCATED", True)
    for file, path_name in (("bin/busybox", CACERT), ("lib/ld-linux-x86-64.so.2", LIB)):
        (package.store / path_name / file).parent.mkdir(exist_ok=True)
        (package.store / path_name / file).touch()
    (package.store / NIX / "lib").mkdir()
    (package.store / NIX / "lib/libnix.so.1").touch()
    package.describe()
    monkeypatch.setattr(paths, "PREFIX", paths.STORE)
    package.run_import()
    described = Path(paths.DESCRIBED)
    text = (described / "closure").read_text()
    assert f"program={paths.STORE}/" in text
    assert f"loader={paths.STORE}/{LIB}/lib/ld-linux-x86-64.so.2\n" in text
    assert f"libraries={paths.STORE}/{NIX}/lib\n" in text
    assert (
        f"sandbox-paths = /bin/sh={paths.STORE}/{CACERT}/bin/busybox"
        in (described / "nix.conf").read_text()
    )
    assert json.dumps(sorted(path.name for path in described.iterdir())) == (
        '["closure", "default", "nix.conf"]'
    )
    assert not os.path.lexists(paths.PROFILE)
    assert state.is_imported(package.closure)


def test_closure_without_a_shell_is_refused(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "RELOCATED", True)
    with pytest.raises(CommandError, match="got no loader and no shell"):
        relocated.describe(package.closure, os.fspath(package.store), paths.WORK)
