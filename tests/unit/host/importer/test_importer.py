"""Test the parts of the import separately."""

import ctypes
import errno
import grp
import json
import os
import pwd
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from nix_aurora_host import build_users, paths
from nix_aurora_host.database.hashes import to_nix
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import (
    clone,
    nix,
    place,
    program,
    relocated,
    run,
    source,
    syscalls,
    users,
    workers,
)
from nix_aurora_host.importer.closure import parse_closure, read_closure, registration

from nix_aurora.store import hashes
from tests.unit.host.importer.importing import (
    CACERT,
    FILE,
    LIB,
    NAMES,
    NIX,
    PROFILE,
    Package,
    make_package,
)
from tests.unit.host.nix_database import name

_COMMAND, _SHOW = nix._command, syscalls.show


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Return a package, and an empty host."""
    return make_package(tmp_path, monkeypatch)


# --- the description


def test_description_is_read(package: Package) -> None:
    closure = package.closure
    assert set(closure.paths) == NAMES
    assert closure.manual is None
    assert closure.paths[NIX].references == (LIB, NIX)
    assert closure.size() == closure.size({NIX}) + closure.size(NAMES - {NIX})
    assert closure.path(NIX) == f"/nix/store/{NIX}"


def test_registration_is_in_nixs_form(package: Package) -> None:
    info = package.closure.paths[NIX]
    text = registration(package.closure, {NIX}, "/run/nix/store")
    here = f"/run/nix/store/{NIX}"
    assert text.splitlines() == [
        *(here, hashes.to_nix(info.digest), str(info.size), "", "2"),
        *(f"/run/nix/store/{LIB}", here),
    ]


@pytest.mark.parametrize("byte", [0, 1, 0x80, 0xFF])
def test_base32_is_the_same_as_nixs(byte: int) -> None:
    digest = bytes([byte]) * 31 + b"\x01"
    assert to_nix(digest) == hashes.to_nix(digest)


@pytest.mark.parametrize(
    "damage",
    [
        {"nix": f"/nix/store/{CACERT}"},
        {"cacert": f"/nix/store/{NIX}"},
        {"manual": f"/nix/store/{LIB}"},
        {"profile": f"/nix/store/{name('x')}"},
        {"id": "0" * 32},
        {"paths": []},
        {"paths": 7},
        {"nix": f"/nix/store/../{NIX}"},
        {"nix": "/usr"},
        {"nix": "/nix/store/.."},
    ],
)
def test_damaged_description_is_refused(package: Package, damage: dict[str, object]) -> None:
    package.describe(**damage)
    with pytest.raises(CommandError, match=r"closure\.json: expected ") as raised:
        read_closure()
    assert raised.value.hint == "sudo nix-aurora doctor"


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff", b'{"paths": [{}]}'])
def test_other_json_is_refused(package: Package, text: bytes) -> None:
    Path(paths.DESCRIPTION).write_bytes(text)
    with pytest.raises(CommandError, match=r"closure\.json: expected "):
        read_closure()


def test_missing_description_is_refused(package: Package) -> None:
    Path(paths.DESCRIPTION).unlink()
    with pytest.raises(
        CommandError, match=r"cannot read the package: .*closure\.json: No such file"
    ):
        read_closure()


def test_changed_hash_changes_the_id(package: Package) -> None:
    content = json.loads(Path(paths.DESCRIPTION).read_text())
    content["paths"][0]["narSize"] += 1
    Path(paths.DESCRIPTION).write_text(json.dumps(content))
    assert parse_closure(json.dumps(content)).id == content["id"]
    with pytest.raises(CommandError, match=r"expected the closure [0-9a-f]{32}, got"):
        read_closure()


# --- cloning


def _cannot(code: int) -> clone.Way:
    def way(_source: int, _target: int, _size: int) -> None:
        raise OSError(code, os.strerror(code))

    return way


@pytest.mark.parametrize("way", [clone.share, clone.copy_in_kernel, clone.copy])
@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_each_method_copies(tmp_path: Path, way: clone.Way, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(content)
    clone.clone(f"{tmp_path}/source", f"{tmp_path}/target", (way, clone.copy))
    assert (tmp_path / "target").read_bytes() == content


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_method_that_a_file_system_lacks_is_replaced(tmp_path: Path, code: int) -> None:
    (tmp_path / "source").write_text("text")
    ways = (_cannot(code), _cannot(code), clone.copy)
    clone.clone(f"{tmp_path}/source", f"{tmp_path}/target", ways)
    assert (tmp_path / "target").read_text() == "text"


def test_partial_copy_is_restarted(tmp_path: Path) -> None:
    def half(origin: int, target: int, size: int) -> None:
        os.copy_file_range(origin, target, size // 2, 0, 0)
        raise OSError(errno.EXDEV, "no more")

    (tmp_path / "source").write_text("one text")
    clone.clone(f"{tmp_path}/source", f"{tmp_path}/target", (half, clone.copy))
    assert (tmp_path / "target").read_text() == "one text"


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_other_failure_is_raised(tmp_path: Path, code: int) -> None:
    (tmp_path / "source").write_text("text")
    with pytest.raises(OSError, match=os.strerror(code)):
        clone.clone(f"{tmp_path}/source", f"{tmp_path}/target", (_cannot(code), clone.copy))


def test_copy_of_zero_bytes_is_not_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems copy nothing, and return 0 in place of an error."""
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)
    (tmp_path / "source").write_text("text")
    ways = (clone.copy_in_kernel, clone.copy)
    clone.clone(f"{tmp_path}/source", f"{tmp_path}/target", ways)
    assert (tmp_path / "target").read_text() == "text"


def test_tree_gets_the_modes_and_times_of_a_store_path(tmp_path: Path) -> None:
    source_tree = tmp_path / "source"
    deep = source_tree.joinpath(*["d"] * 100)
    deep.mkdir(parents=True)
    (deep / "program").touch(mode=0o700)
    (deep / "data").touch(mode=0o666)
    (deep / "link").symlink_to("/nowhere")
    clone.clone(f"{source_tree}", f"{tmp_path}/target")
    target = tmp_path / "target" / deep.relative_to(source_tree)
    looks = {
        path.name: (path.lstat().st_mode & 0o7777, path.lstat().st_mtime)
        for path in target.iterdir()
        if not path.is_symlink()
    }
    assert looks == {"program": (0o555, 1), "data": (0o444, 1)}
    assert (target / "link").readlink() == Path("/nowhere")
    assert (target / "link").lstat().st_mtime == 1
    assert target.stat().st_mode & 0o7777 == 0o555
    assert target.stat().st_mtime == 1


def test_names_of_any_bytes_are_copied(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    raw = os.fsencode(tmp_path) + b"/source/\xff\n"
    with open(raw, "wb") as file:  # noqa: PTH123 - bytes
        file.write(b"text")
    clone.clone(f"{tmp_path}/source", f"{tmp_path}/target")
    assert os.listdir(os.fsencode(tmp_path) + b"/target") == [b"\xff\n"]  # noqa: PTH208 - bytes


def test_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(clone.UnfitError, match="pipe is not a file, a directory or a link"):
        clone.clone(f"{tmp_path}/pipe", f"{tmp_path}/target")


def test_probe_of_sharing_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("text")
    clone.can_share(f"{tmp_path}/source", f"{tmp_path}/probe")
    assert not clone.can_share(f"{tmp_path}/none", f"{tmp_path}/probe")
    assert not clone.can_share("/proc/version", f"{tmp_path}/probe")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


# --- the deployment


def _booted(device: int, inode: int, *, before: bytes = b"") -> bytes:
    """Return a dictionary a{sv} in GVariant's encoding, with an entry before ours."""
    key = b"backing-root-device-inode\0"
    content = before + key
    content += bytes(-len(content) % 8) + struct.pack("=QQ", device, inode) + b"\0(tt)"
    return content + b"\x1a"


@pytest.mark.parametrize("before", [b"", b"composefs\0\0\0\0\0\0\0\x01\0b\x0a\0\0\0\0\0"])
def test_booted_deployment_is_read(before: bytes) -> None:
    assert source.parse_booted(_booted(7, 1 << 40, before=before)) == (7, 1 << 40)


@pytest.mark.parametrize(
    "content", [b"", b"composefs", _booted(1, 2)[:-6], _booted(1, 2).replace(b"(tt)", b"(uu)")]
)
def test_other_file_names_no_deployment(content: bytes) -> None:
    assert source.parse_booted(content) is None


def test_files_of_the_deployment_are_the_first_source(package: Package) -> None:
    assert source.find_sources() == [paths.PACKAGED_STORE]
    deployment = package.top / "deploy/aurora/deploy/abc.0"
    inside = Path(f"{deployment}{paths.PACKAGED_STORE}")
    inside.mkdir(parents=True)
    (package.top / "deploy/aurora/deploy/abc.1").mkdir()
    status = deployment.stat()
    booted = package.top / "ostree-booted"
    booted.write_bytes(_booted(status.st_dev, status.st_ino))
    assert source.find_sources() == [os.fspath(inside), paths.PACKAGED_STORE]
    inside.rmdir()
    assert source.find_sources() == [paths.PACKAGED_STORE]
    booted.write_bytes(_booted(status.st_dev, 1))
    assert source.find_deployment() is None
    booted.write_bytes(b"")
    assert source.find_deployment() is None


# --- threads


def test_first_failure_ends_the_work() -> None:
    done = []

    def work(number: int) -> None:
        if number == 3:
            raise ValueError(number)
        done.append(number)

    with pytest.raises(ValueError, match="3"):
        workers.each(work, range(1000))
    assert len(done) < 999
    before = threading.active_count()
    workers.each(done.append, [])
    assert threading.active_count() == before


def test_everything_is_done_once() -> None:
    done: list[int] = []
    workers.each(done.append, range(100))
    assert sorted(done) == list(range(100))


# --- system calls


def test_rename_replaces_nothing(tmp_path: Path) -> None:
    for kind in ("file", "directory", "link"):
        old, new = tmp_path / f"old-{kind}", tmp_path / f"new-{kind}"
        old.write_text(kind)
        if kind == "file":
            new.touch()
        elif kind == "directory":
            new.mkdir()
        else:
            new.symlink_to("/nowhere")
        with pytest.raises(FileExistsError):
            syscalls.rename_new(f"{old}", f"{new}")
        assert old.exists()
        new.rmdir() if kind == "directory" else new.unlink()
        syscalls.rename_new(f"{old}", f"{new}")
        assert new.read_text() == kind
    with pytest.raises(FileNotFoundError):
        syscalls.rename_new(f"{tmp_path}/none", f"{tmp_path}/other")


class _Refusing:
    """A C library on a file system that cannot rename without replacing."""

    @staticmethod
    def renameat2(*_: object) -> int:
        """Fail."""
        ctypes.set_errno(errno.EINVAL)
        return -1

    @staticmethod
    def syncfs(_: object) -> int:
        """Fail."""
        ctypes.set_errno(errno.EIO)
        return -1


def test_unsupported_rename_checks_the_target_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syscalls, "_libc", _Refusing)
    for file in ("old", "taken"):
        (tmp_path / file).touch()
    with pytest.raises(OSError, match="Invalid argument"):
        syscalls.rename_new(f"{tmp_path}/old", f"{tmp_path}/taken")
    syscalls.rename_new(f"{tmp_path}/old", f"{tmp_path}/new")
    assert {path.name for path in tmp_path.iterdir()} == {"new", "taken"}


def test_failed_sync_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syscalls.sync(f"{tmp_path}")
    monkeypatch.setattr(syscalls, "_libc", _Refusing)
    with pytest.raises(OSError, match="Input/output error"):
        syscalls.sync(f"{tmp_path}")


def test_directory_is_mounted_for_one_thread_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This uses system calls that only root may make; tests/host runs a Nix there."""
    called: list[str] = []

    class Library:
        """A C library whose second mount fails."""

        @staticmethod
        def unshare(_: object) -> int:
            """Record the call."""
            called.append("unshare")
            return 0

        @staticmethod
        def mount(*words: object) -> int:
            """Record the call, and fail for a bind."""
            called.append("mount")
            ctypes.set_errno(errno.EPERM)
            return -1 if words[0] else 0

    monkeypatch.setattr(syscalls, "_libc", Library)
    with pytest.raises(PermissionError, match="Operation not permitted"):
        _SHOW(f"{tmp_path}", "/nix/store")
    assert called == ["unshare", "mount", "mount"]


# --- programs


def test_nix_uses_only_this_store(monkeypatch: pytest.MonkeyPatch, package: Package) -> None:
    monkeypatch.setattr(os, "environ", {"NIX_REMOTE": "ssh://x", "NIX_PATH": "y", "LANG": "C"})
    nix.set_environment()
    assert os.environ == {
        "NIX_REMOTE": "local",
        "HOME": f"{paths.WORK}/home",
        "PATH": "/usr/bin:/usr/sbin",
        "LANG": "C",
    }
    program_path = f"/nix/store/{NIX}/bin/nix-store"
    assert _COMMAND(package.closure, "anywhere") == [program_path]


def test_relocated_nix_is_found_in_its_store(
    monkeypatch: pytest.MonkeyPatch, package: Package
) -> None:
    described = []
    monkeypatch.setattr(paths, "RELOCATED", True)
    monkeypatch.setattr(relocated, "describe", lambda *words: described.append(words[1:]))
    words = [nix._RELOCATED, "--closure", f"{paths.WORK}/closure", "nix-store"]
    assert _COMMAND(package.closure, "/some/store") == words
    assert described == [("/some/store", paths.WORK)]


def test_label_is_taken_from_the_store(
    package: Package, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: str(path).startswith("/sys") or real(path))
    attributes = {f"{paths.STORE}": b"label"}
    monkeypatch.setattr(os, "getxattr", lambda path, _: attributes[path])
    monkeypatch.setattr(os, "setxattr", lambda path, _, value: attributes.update({path: value}))
    run._make_work()
    assert attributes[f"{paths.WORK}/store"] == b"label"

    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(os, "setxattr", refuse)
    run._make_work()
    assert "cannot label " in capfd.readouterr().out


# --- build users


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the programs that ran; the host has no build users, and cannot create them."""
    found: list[str] = []

    def note(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        found.append(command[0])
        return subprocess.CompletedProcess(command, 1)

    def copy() -> int:
        found.append("copy-users")
        return 1

    monkeypatch.setattr(users, "has_build_users", lambda: False)
    monkeypatch.setattr(users, "_is_known", lambda: False)
    monkeypatch.setattr(subprocess, "run", note)
    monkeypatch.setattr(build_users, "main", copy)
    return iter([found]).__next__()  # type: ignore[return-value] # one list


def test_missing_users_are_created_or_reported(
    package: Package, asked: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    Path(paths.USERS_MISSING).touch()
    users.prepare()
    assert asked == ["systemd-sysusers", "systemd-tmpfiles", "copy-users"]
    said = capfd.readouterr().out
    for what in ("cannot create the build users: ", "cannot create /", "cannot write the build"):
        assert what in said
    assert Path(paths.USERS_MISSING).exists()


def test_users_known_only_to_nss_are_only_copied(
    package: Package, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "_is_known", lambda: True)
    monkeypatch.setattr(build_users, "main", lambda: 0)
    Path(paths.USERS_MISSING).touch()
    users.prepare()
    assert asked == []
    assert not Path(paths.USERS_MISSING).exists()


def test_missing_store_is_created(
    package: Package, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "has_build_users", lambda: True)
    users.prepare()
    assert asked == []
    package.host.store.rmdir()
    users.prepare()
    assert asked == ["systemd-sysusers", "systemd-tmpfiles"]


@pytest.mark.parametrize(
    ("passwd", "group", "there"),
    [
        ("nixbld32:x:", "nixbld:x:5:nixbld1,nixbld32\n", True),
        ("root:x:\nnixbld32:x:", "a:x:1:\nnixbld:x:5:nixbld32,own", True),
        ("nixbld32:x:", "nixbld:x:5:nixbld1,nixbld321", False),
        ("nixbld32:x:", "other:x:5:nixbld32", False),
        ("nixbld32:x:", "nixbld:x", False),
        ("xnixbld32:x:", "nixbld:x:5:nixbld32", False),
        ("", "", False),
    ],
)
def test_nix_finds_its_users_only_in_the_files(
    tmp_path: Path, passwd: str, group: str, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "read_members", lambda: ("nixbld1", "nixbld32"))
    (tmp_path / "passwd").write_text(passwd)
    (tmp_path / "group").write_text(group)
    assert users.has_build_users(f"{tmp_path}/passwd", f"{tmp_path}/group") == there
    assert not users.has_build_users(f"{tmp_path}/none", f"{tmp_path}/group")


def test_nix_finds_no_users_without_a_list_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "read_members", tuple)
    (tmp_path / "passwd").write_text("root:x:0:\n\n")
    (tmp_path / "group").write_text("nixbld:x:5:\n")
    assert not users.has_build_users(f"{tmp_path}/passwd", f"{tmp_path}/group")


def test_last_user_may_be_known_only_to_nss(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not users._is_known() or users.has_build_users()
    monkeypatch.setattr(pwd, "getpwnam", lambda _: SimpleNamespace(pw_gid=7))
    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_name="nixbld"))
    assert users._is_known()


# --- the program


@pytest.fixture
def whole(package: Package, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Return a host on which the program imports."""
    monkeypatch.setattr(users, "prepare", lambda: None)
    monkeypatch.setattr(nix, "set_environment", lambda: None)
    monkeypatch.setattr(paths, "PREFIX", paths.STORE)
    monkeypatch.setattr(nix, "set_environment", lambda: None)
    return package


def test_program_imports_once(
    whole: Package, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert program.main() == 0
    assert "imported Nix 2.34: 6 of 6" in capfd.readouterr().out
    monkeypatch.setattr(program, "run", None)
    assert program.main() == 0
    assert capfd.readouterr() == ("", "")


def test_failure_is_one_line_and_a_hint(
    whole: Package, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (whole.store / LIB / "bin/nix").write_text("damaged")
    assert program.main() == 1
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith(f"nix-aurora: import failed: cannot import {whole.store / LIB}: ")
    assert lines[1:] == ["hint: sudo nix-aurora doctor"]

    for error, shown in (
        (OSError(errno.EROFS, "Read-only file system", "/x"), "/x: Read-only file system"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    ):

        def fail(_: object, error: OSError = error) -> None:
            raise error

        monkeypatch.setattr(program, "run", fail)
        assert program.main() == 1
        assert capfd.readouterr().err == (
            f"nix-aurora: import failed: {shown}\nhint: sudo nix-aurora doctor\n"
        )


def test_missing_mount_is_reported(whole: Package, capfd: pytest.CaptureFixture[str]) -> None:
    whole.host.store.rmdir()
    assert program.main() == 1
    assert "no such directory\nhint: sudo systemd-tmpfiles" in capfd.readouterr().err


@pytest.mark.parametrize("prefix", ["none", "other"])
def test_private_root_is_used_if_nix_is_another_directory(
    whole: Package, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole.top / "other").mkdir()
    monkeypatch.setattr(paths, "PREFIX", f"{whole.top}/{prefix}")

    def execute(path: str, words: list[str]) -> None:
        assert (path, words) == (program._WITH_NIX, [program._WITH_NIX, program._HERE])
        raise SystemExit(7)

    monkeypatch.setattr(os, "execv", execute)
    with pytest.raises(SystemExit, match="7"):
        program.main()


def test_relocated_store_must_be_mounted(
    whole: Package, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "RELOCATED", True)
    monkeypatch.setattr(paths, "STORE_MOUNT", "run-nix-store.mount")
    monkeypatch.setattr(paths, "PREFIX", f"{whole.top}/none")
    assert program.main() == 1
    assert " is not mounted there\nhint: sudo systemctl restart run-nix" in capfd.readouterr().err


def test_mount_without_programs_is_named(
    whole: Package, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_NOEXEC))
    assert program.main() == 1
    said = capfd.readouterr().err
    assert ": it is mounted with noexec: no program of the store can start\n" in said
    assert "hint: sudo mount -o remount,bind,exec /" in said
    assert said.endswith("sudo systemctl restart nix.mount nix-setup.service\n")


def test_tree_of_another_owner_is_not_canonical(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = package.add_to_store(LIB)
    assert place.is_canonical(f"{path}")
    real = os.lstat

    def foreign(where: str) -> object:
        status = real(where)
        if not str(where).endswith("/empty"):
            return status
        return SimpleNamespace(st_mode=status.st_mode, st_uid=status.st_uid + 1)

    monkeypatch.setattr(os, "lstat", foreign)
    assert not place.is_canonical(f"{path}")
    assert {FILE, PROFILE} < NAMES
