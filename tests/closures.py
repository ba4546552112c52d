"""Small synthetic Nix binary tarballs, valid or broken on purpose.

``make_tarball(path)`` writes a valid one in Determinate's shape: ``bin/nix`` of the Nix path is a
link into a separate nix-cli path, one store path is a symlink, one a regular file. The function
``mutate`` gets the ``Sample`` first, and breaks it at one of four levels:

- content: ``store``, ``references``, ``install``, ``multi_user``; the registration follows;
- ``reginfo``: the registration's text, to make it differ;
- ``members``: functions that edit the list of tar members (``Member``);
- ``tar``, ``compressed``: functions that change the archive's bytes.

This module has its own, simple NAR serialization, so that it reveals faults in the product's.
"""

import hashlib
import lzma
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from nix_aurora.store import hashes

X86_64, AARCH64 = 62, 183  # e_machine
TOP = "nix-3.22.1-x86_64-linux"

NIX = "0" * 32 + "-determinate-nix-3.22.1"
CLI = "1" * 32 + "-nix-cli-2.35.2"
CACERT = "2" * 32 + "-nss-cacert-3.115"
MANUAL = "3" * 32 + "-determinate-nix-manual-3.22.1"
LIBC = "4" * 32 + "-glibc-2.42"
LINK = "5" * 32 + "-libc-link"
SCRIPT = "6" * 32 + "-builder.sh"
PROFILE = ("-env-manifest.nix", "-user-environment")  # names end like this


@dataclass(frozen=True)
class File:
    """A regular file."""

    content: bytes = b""
    executable: bool = False


@dataclass(frozen=True)
class Link:
    """A symlink."""

    target: str


# A directory is a dict of its entries.
Node = File | Link | dict[str, "Node"]


def _store() -> dict[str, Node]:
    return {
        NIX: {
            "bin": {
                "nix": Link(f"/nix/store/{CLI}/bin/nix"),
                "nix-build": Link("nix"),
                "nix-store": Link("nix"),
            },
            "share": Link(f"../{CLI}/share"),
        },
        CLI: {"bin": {"nix": File(elf(), executable=True)}, "share": {"empty": {}}},
        CACERT: {"etc": {"ssl": {"certs": {"ca-bundle.crt": File(b"a certificate\n")}}}},
        MANUAL: {"share": {"man": {"man1": {"nix.1.gz": File(b"a page")}}}},
        LIBC: {"lib": {"libc.so.6": File(bytes(5000), executable=True), "é.txt": File(b"utf-8")}},
        LINK: Link(f"/nix/store/{LIBC}/lib/libc.so.6"),
        SCRIPT: File(b"#!/bin/sh\n", executable=True),
    }


def _references() -> dict[str, list[str]]:
    return {NIX: [CLI], CLI: [CLI, LIBC, LINK, SCRIPT], LINK: [LIBC]}


@dataclass
class Member:
    """A tar member with its content."""

    info: tarfile.TarInfo
    content: bytes = b""


@dataclass
class Sample:
    """A future tarball; the docstring of the module says which part to break for which fault."""

    top: str = TOP
    store: dict[str, Node] = field(default_factory=_store)
    references: dict[str, list[str]] = field(default_factory=_references)
    install: str = f'nix="/nix/store/{NIX}"\ncacert="/nix/store/{CACERT}"\n'
    multi_user: str | None = (
        f'readonly NIX_INSTALLED_NIX="/nix/store/{NIX}"\n'
        f'readonly NIX_INSTALLED_NIX_MAN="/nix/store/{MANUAL}"\n'
        f'readonly NIX_INSTALLED_CACERT="/nix/store/{CACERT}"\n'
    )
    reginfo: str | None = None
    members: list[Callable[[list[Member]], object]] = field(default_factory=list)
    tar: Callable[[bytes], bytes] = bytes
    compressed: Callable[[bytes], bytes] = bytes


Mutation = Callable[[Sample], object]


def make_tarball(path: Path, *, compression: str = "xz", mutate: Mutation | None = None) -> Path:
    """Write a tarball to ``path``, compressed with xz or zst; return ``path``."""
    sample = Sample()
    if mutate:
        mutate(sample)
    members = _members(sample)
    for edit in sample.members:
        edit(members)
    data = sample.tar(_tar(members))
    data = lzma.compress(data) if compression == "xz" else zstandard.compress(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sample.compressed(data))
    return path


def elf(machine: int = X86_64) -> bytes:
    """Return only the header of a 64-bit little-endian ELF executable."""
    identification = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    return identification + (2).to_bytes(2, "little") + machine.to_bytes(2, "little") + bytes(44)


def nar(node: Node) -> bytes:
    """Serialize ``node`` as a Nix archive, all in memory."""
    return _string("nix-archive-1") + _nar_node(node)


def register(sample: Sample) -> str:
    """Return the registration of the paths in the sample's store."""
    lines = []
    for name, node in sample.store.items():
        data = nar(node)
        references = [f"/nix/store/{reference}" for reference in sample.references.get(name, [])]
        digest = hashes.to_nix(hashlib.sha256(data).digest())
        lines += [f"/nix/store/{name}", digest, str(len(data)), "", str(len(references))]
        lines += references
    return "\n".join(lines) + "\n"


def member(name: str, node: Node | None = None, **attributes: object) -> Member:
    """Return a tar member for ``node``, as GNU tar makes it; set ``attributes`` on its header."""
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    content = b""
    if isinstance(node, File):
        content = node.content
        info.size = len(content)
        info.mode = 0o755 if node.executable else 0o644
    elif isinstance(node, Link):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, node.target, 0o777
    elif isinstance(node, dict):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    for key, value in attributes.items():
        setattr(info, key, value)
    return Member(info, content)


def write_tree(node: Node, path: Path) -> None:
    """Write ``node`` to ``path`` on disk."""
    if isinstance(node, File):
        path.write_bytes(node.content)
        path.chmod(0o755 if node.executable else 0o644)
    elif isinstance(node, Link):
        path.symlink_to(node.target)
    else:
        path.mkdir()
        for name, child in node.items():
            write_tree(child, path / name)


def _members(sample: Sample) -> list[Member]:
    texts = {"install": sample.install, "create-darwin-volume.sh": "exit 1\n"}
    if sample.multi_user is not None:
        texts["install-multi-user"] = sample.multi_user
    texts[".reginfo"] = register(sample) if sample.reginfo is None else sample.reginfo
    members = [member(f"{sample.top}/{name}", File(text.encode())) for name, text in texts.items()]
    for name, node in sample.store.items():
        members += _node_members(f"{sample.top}/store/{name}", node)
    return members


def _node_members(name: str, node: Node) -> list[Member]:
    members = [member(name, node)]
    if isinstance(node, dict):
        for child, below in node.items():
            members += _node_members(f"{name}/{child}", below)
    return members


def _tar(members: list[Member]) -> bytes:
    # TarFile.add is not used, since it refuses inconsistent headers.
    data = b""
    for each in members:
        data += each.info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        data += each.content + bytes(-len(each.content) % 512)
    return data + bytes(1024) + bytes(-(len(data) + 1024) % 10240)


def _string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return len(data).to_bytes(8, "little") + data + bytes(-len(data) % 8)


def _nar_node(node: Node) -> bytes:
    if isinstance(node, File):
        words: list[str | bytes] = ["type", "regular"]
        words += ["executable", ""] if node.executable else []
        words += ["contents", node.content]
        body = b"".join(map(_string, words))
    elif isinstance(node, Link):
        body = b"".join(map(_string, ["type", "symlink", "target", node.target]))
    else:
        body = _string("type") + _string("directory")
        for name in sorted(node, key=str.encode):
            entry = _string("name") + _string(name) + _string("node") + _nar_node(node[name])
            body += _string("entry") + _string("(") + entry + _string(")")
    return _string("(") + body + _string(")")


def for_aarch64(sample: Sample) -> None:
    """Change the sample to the other architecture: a mutation for make_tarball()."""
    sample.top = "nix-3.22.1-aarch64-linux"
    sample.store[CLI] = {
        "bin": {"nix": File(elf(AARCH64), executable=True)},
        "share": {"empty": {}},
    }
