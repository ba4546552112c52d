"""Test system calls about mounts: their arguments, and their failures."""

import ctypes
import errno
import os

import pytest
from nix_aurora_host.nix_root import labels, syscalls


class _Library:
    """A C library that records each call, and fails with ``code``."""

    def __init__(self, code: int = 0) -> None:
        self.calls: list[tuple[object, ...]] = []
        self._code = code

    def __getattr__(self, name: str) -> object:
        def call(*words: object) -> int:
            plain = (word.value if isinstance(word, ctypes.c_ulong) else word for word in words)
            self.calls.append((name, *plain))
            ctypes.set_errno(self._code)
            return -1 if self._code else 0

        return call


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> _Library:
    """Return a library whose calls succeed, in place of the real one."""
    library = _Library()
    monkeypatch.setattr(syscalls, "_libc", library)
    return library


def test_flags_of_a_mount_follow_its_options() -> None:
    assert syscalls.flags_of("rw") == 0
    assert syscalls.flags_of("ro,nosuid,nodev,noexec,relatime") == 1 | 2 | 4 | 8 | 1 << 21
    assert syscalls.flags_of("ro,idmapped") == 1


def test_file_system_is_mounted(library: _Library) -> None:
    syscalls.mount("composefs", "/new", "overlay", 1, "lowerdir=/a:/b")
    assert library.calls == [("mount", b"composefs", b"/new", b"overlay", 1, b"lowerdir=/a:/b")]


def test_binds_are_recursive_on_request(library: _Library) -> None:
    syscalls.bind("/a", "/b")
    syscalls.bind("/a", "/b", recursive=True)
    assert [call[4] for call in library.calls] == [0x1000, 0x5000]


def test_name_that_is_not_text_is_passed_on(library: _Library) -> None:
    syscalls.bind("/\udcff", "/new/\udcff")
    assert library.calls[0][1:3] == (b"/\xff", b"/new/\xff")


def test_own_namespace_is_private(library: _Library) -> None:
    syscalls.unshare_mounts()
    private = ("mount", None, b"/", None, 1 << 18 | 0x4000, None)
    assert library.calls == [("unshare", 0x20000), private]


def test_failure_names_the_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "_libc", _Library(errno.EBUSY))
    for call in (syscalls.detach, lambda path: syscalls.pivot_root(path, ".")):
        with pytest.raises(OSError, match="Device or resource busy: '/there'"):
            call("/there")


def test_label_is_copied_only_with_selinux(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, bytes] = {}
    monkeypatch.setattr(os, "getxattr", lambda path, *_, **__: f"of {path}".encode())
    monkeypatch.setattr(os, "setxattr", lambda path, _, label, **__: given.update({path: label}))
    monkeypatch.setattr(labels, "_IS_ON", False)
    labels.copy_label("/usr/bin", "/new")
    assert given == {}
    monkeypatch.setattr(labels, "_IS_ON", True)
    labels.copy_label("/usr/bin", "/new")
    assert given == {"/new": b"of /usr/bin"}
