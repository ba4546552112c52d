"""Test the detection of the architecture of a store's programs and derivations."""

import os
import struct
from pathlib import Path

import pytest
from nix_aurora_host.adopt.architecture import find_foreign, parse_derivation, parse_program

_OTHER = {"x86_64": 183, "aarch64": 62}[os.uname().machine]
_OWN = {"x86_64": 62, "aarch64": 183}[os.uname().machine]
_NAMES = {62: "x86_64", 183: "aarch64"}


def _elf(machine: int, order: int = 1) -> bytes:
    return struct.pack("<4sBB10xHH", b"\x7fELF", 2, order, 3, machine) + bytes(40)


def _drv(system: str) -> bytes:
    return (
        b'Derive([("out","/nix/store/x","","")],[],["/nix/store/y"],"%s","/bin/sh",[],[])'
        % system.encode()
    )


def _add(store: Path, name: str, content: bytes) -> None:
    (store / name / "bin").mkdir(parents=True)
    (store / name / "bin/program").write_bytes(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (_elf(62), "x86_64"),
        (_elf(183), "aarch64"),
        (_elf(999), "machine 999"),
        (_elf(62, 2), "of another byte order"),
        (b"\x7fELF", None),
        (b"#!/bin/sh", None),
        (b"", None),
    ],
)
def test_architecture_of_a_program_is_read(content: bytes, expected: str | None) -> None:
    assert parse_program(content) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (_drv("x86_64-linux"), "x86_64"),
        (_drv("builtin"), None),
        (b'Derive(],"evil\n-linux",")', None),
        (b"", None),
    ],
)
def test_architecture_of_a_derivation_is_read(content: bytes, expected: str | None) -> None:
    assert parse_derivation(content) == expected


def test_store_of_another_architecture_is_found(tmp_path: Path) -> None:
    _add(tmp_path, "a", _elf(_OTHER))
    _add(tmp_path, "b", b"#!/bin/sh\n")
    (tmp_path / "c").write_text("no directory")
    assert find_foreign(str(tmp_path), ["a", "b", "c", "gone"]) == {_NAMES[_OTHER]}


def test_one_program_for_this_machine_is_enough(tmp_path: Path) -> None:
    """A store may have tools that build for other architectures."""
    _add(tmp_path, "a", _elf(_OTHER))
    _add(tmp_path, "b", _elf(_OWN))
    assert find_foreign(str(tmp_path), ["a", "b"]) == set()
    (tmp_path / "x.drv").write_bytes(_drv(f"{_NAMES[_OTHER]}-linux"))
    assert find_foreign(str(tmp_path), ["x.drv"]) == {_NAMES[_OTHER]}
    assert find_foreign(str(tmp_path), []) == set()


def test_pipe_in_place_of_a_program_blocks_nothing(tmp_path: Path) -> None:
    (tmp_path / "a/bin").mkdir(parents=True)
    os.mkfifo(tmp_path / "a/bin/program")
    (tmp_path / "a/bin/link").symlink_to("/bin/sh")
    assert find_foreign(str(tmp_path), ["a"]) == set()
