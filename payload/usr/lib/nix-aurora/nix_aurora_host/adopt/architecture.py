"""Find the architectures of a store's programs, from a sample of them.

The header of a program has it (elf(5)), and so does a derivation, after its outputs, inputs and
sources: nix `src/libstore/derivations.cc`.
"""

import os
import re
import stat
import struct
from collections.abc import Iterable, Iterator

_MACHINES = {62: "x86_64", 183: "aarch64", 3: "i686", 40: "armv7l", 243: "riscv64", 21: "ppc64"}
_HEADER = struct.Struct("<4sBB10xHH")
_SYSTEM = re.compile(rb'\],"([a-z0-9_]{1,32})-linux","')
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ENOUGH = 200  # programs and derivations
_LIMIT = 1 << 20  # bytes of a derivation


def find_foreign(store: str, names: Iterable[str]) -> set[str]:
    """Return the architectures of the named paths, if this machine's is not among them."""
    found: set[str] = set()
    left = _ENOUGH
    for content in _contents(store, names):
        architecture = parse_program(content) or parse_derivation(content)
        if architecture is None:
            continue
        found.add(architecture)
        left -= 1
        if architecture == os.uname().machine or not left:
            break
    return set() if os.uname().machine in found else found


def _contents(store: str, names: Iterable[str]) -> Iterator[bytes]:
    """Yield the first bytes of derivations, and of the programs in bin."""
    for name in names:
        path = f"{store}/{name}"
        if name.endswith(".drv"):
            yield _read(path, _LIMIT)
            continue
        try:
            programs = sorted(os.listdir(f"{path}/bin"))
        except OSError:
            continue
        for program in programs:
            yield _read(f"{path}/bin/{program}", _HEADER.size)


def _read(path: str, limit: int) -> bytes:
    try:
        descriptor = os.open(path, _READ)
    except OSError:  # a link to another path's file
        return b""
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return os.read(descriptor, limit) if regular else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def parse_program(content: bytes) -> str | None:
    """Return the architecture in an ELF header; None for anything else."""
    if len(content) < _HEADER.size or content[:4] != b"\x7fELF":
        return None
    _, _, order, _, machine = _HEADER.unpack_from(content)
    if order != 1:  # most significant byte first, which no architecture of this package is
        return "of another byte order"
    return _MACHINES.get(machine, f"machine {machine}")


def parse_derivation(content: bytes) -> str | None:
    """Return the architecture on which a derivation is built; None for anything else."""
    if not content.startswith(b"Derive("):
        return None
    found = _SYSTEM.search(content)
    return found[1].decode() if found else None
