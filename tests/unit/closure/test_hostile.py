"""Test that each corrupt or hostile tarball is refused with its own message, without leftovers."""

import hashlib
import lzma
import re
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import zstandard

from nix_aurora.cli import main
from nix_aurora.closure import licenses, unpack
from nix_aurora.closure.stage import stage
from nix_aurora.errors import VerificationError
from nix_aurora.store import tree
from nix_aurora.store.reginfo import PathInfo
from tests.closures import (
    AARCH64,
    CACERT,
    CLI,
    LIBC,
    LINK,
    MANUAL,
    NIX,
    SCRIPT,
    TOP,
    File,
    Link,
    Member,
    Mutation,
    Node,
    Sample,
    elf,
    make_tarball,
    member,
    register,
)

STORE = f"{TOP}/store"
OTHER = "7" * 32 + "-other-1"


class Case(NamedTuple):
    """A way to break the sample, and the expected message."""

    name: str
    mutate: Mutation
    message: str
    from_tarfile: str = ""  # the message if a newer tarfile refuses the member first


def extra(name: str, node: Node | None = None, **attributes: object) -> Mutation:
    """Add a member at the end."""
    added = member(name, node, **attributes)
    return lambda sample: sample.members.append(lambda members: members.append(added))


def header(wanted: str, **attributes: object) -> Mutation:
    """Change fields of the member called ``wanted``."""

    def edit(members: list[Member]) -> None:
        for each in members:
            if each.info.name == wanted:
                for key, value in attributes.items():
                    setattr(each.info, key, value)

    return lambda sample: sample.members.append(edit)


def without(wanted: str) -> Mutation:
    """Drop the member called ``wanted``, with everything below it."""

    def edit(members: list[Member]) -> None:
        members[:] = [each for each in members if not f"{each.info.name}/".startswith(f"{wanted}/")]

    return lambda sample: sample.members.append(edit)


def content(**attributes: object) -> Mutation:
    """Replace parts of the sample's content."""

    def mutate(sample: Sample) -> None:
        for key, value in attributes.items():
            setattr(sample, key, value)

    return mutate


def stored(name: str, node: Node) -> Mutation:
    """Add a store path, and register it."""
    return lambda sample: sample.store.__setitem__(name, node)


def nix_bin(**entries: Node) -> Mutation:
    """Replace the content of the Nix path's ``bin``."""
    return stored(NIX, {"bin": dict(entries)})


def registered(edit: Callable[[str], str]) -> Mutation:
    """Edit the registration's text."""

    def mutate(sample: Sample) -> None:
        sample.reginfo = edit(register(sample))

    return mutate


def referring(path: str, *references: str) -> Mutation:
    """Set the references of a path."""
    return lambda sample: sample.references.__setitem__(path, list(references))


def tar(edit: Callable[[bytes], bytes]) -> Mutation:
    """Edit the bytes of the tar archive."""
    return content(tar=edit)


def compressed(edit: Callable[[bytes], bytes]) -> Mutation:
    """Edit the bytes of the compressed archive."""
    return content(compressed=edit)


def pax(name: str, **headers: str) -> Mutation:
    """Prepend an empty file with pax headers."""
    info = tarfile.TarInfo(name)
    info.pax_headers = headers
    data = info.tobuf(tarfile.PAX_FORMAT)
    return tar(lambda rest: data + rest)


def endless_headers(sample: Sample) -> None:
    """Prepend thousands of consecutive long-name headers."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 512
    sample.tar = lambda rest: (info.tobuf() + b"x".ljust(512, b"\0")) * 5000 + rest


def hard_links(count: int) -> Mutation:
    """Append a store path with a file, and ``count`` hard links to it."""
    folder = f"{STORE}/{OTHER}"
    links = [
        member(f"{folder}/{number}", type=tarfile.LNKTYPE, linkname=f"{folder}/file")
        for number in range(count)
    ]
    added = [member(folder, {}), member(f"{folder}/file", File()), *links]
    return lambda sample: sample.members.append(lambda members: members.extend(added))


def bad_block(data: bytes) -> bytes:
    """Damage the header of a member in the middle."""
    position = data.index(f"{STORE}/{NIX}".encode())
    return data[: position + 3] + b"X" + data[position + 4 :]


def libc(edit: Callable[[bytes], bytes]) -> Mutation:
    """Change the content of a file without changing the registration."""

    def change(members: list[Member]) -> None:
        for each in members:
            if each.info.name.endswith("/libc.so.6"):
                each.content = edit(each.content)
                each.info.size = len(each.content)

    return lambda sample: sample.members.append(change)


def both(*mutations: Mutation) -> Mutation:
    """Apply one mutation after the other."""

    def mutate(sample: Sample) -> None:
        for each in mutations:
            each(sample)

    return mutate


U, C, R = (
    "cannot unpack the tarball: ",
    "cannot verify the closure: ",
    "cannot find the closure's parts: ",
)
L = "cannot look up a store path: "
REG = "cannot read the registration: "
BEYOND = f"{STORE}/{LIBC}/new"
BUNDLE = "etc/ssl/certs/ca-bundle.crt"
IN_NIX = f"/nix/store/{NIX}"

CASES = [
    # The archive as a whole
    Case(
        "plain tar",
        compressed(lzma.decompress),
        "cannot decompress the closure: t.tar: "
        "expected a .tar.xz or .tar.zst, got bytes '6e 69 78 2d 33 2e'",
    ),
    Case(
        "empty file",
        compressed(lambda data: data[:0]),
        "cannot decompress the closure: t.tar: expected a .tar.xz or .tar.zst, got bytes ''",
    ),
    Case(
        "truncated xz",
        compressed(lambda data: data[:-9]),
        "cannot decompress the closure: t.tar: expected the end of the compressed data, "
        "got the end of a truncated file",
    ),
    Case(
        "corrupt xz",
        compressed(lambda data: data[:500] + bytes([data[500] ^ 255]) + data[501:]),
        "cannot decompress the closure: t.tar: "
        "expected intact compressed data, got Corrupt input data",
    ),
    Case(
        "garbage after xz",
        compressed(lambda data: data + b"garbage garbage"),
        "cannot decompress the closure: t.tar: expected intact compressed data, "
        "got Input format not supported by decoder",
    ),
    Case(
        "garbage after zst",
        compressed(lambda data: zstandard.compress(lzma.decompress(data)) + b"garbage"),
        "cannot decompress the closure: t.tar: expected intact compressed data, "
        "got zstd decompressor error: Unknown frame descriptor",
    ),
    Case(
        "truncated zst",
        compressed(lambda data: zstandard.compress(lzma.decompress(data))[:-1]),
        "cannot decompress the closure: t.tar: expected the end of the compressed data, "
        "got the end of a truncated file",
    ),
    Case(
        "not a tar",
        tar(lambda _: b"no tar" * 1000),
        U + "t.tar: expected a tar header, got invalid header",
    ),
    Case(
        "truncated in a header",
        tar(lambda data: data.rstrip(b"\0")[:-1000]),
        U + "t.tar: expected a tar header, got truncated header",
    ),
    Case(
        "no end of archive",
        tar(lambda data: data[: len(data.rstrip(b"\0")) // 512 * 512 + 1024]),
        U + "t.tar: expected two blocks of zeros at the end, got a truncated archive",
    ),
    Case("bad header", tar(bad_block), U + "t.tar: expected a tar header, got bad checksum"),
    Case(
        "garbage after tar",
        tar(lambda data: data + b"garbage"),
        U + "t.tar: expected nothing after the archive, got trailing garbage",
    ),
    Case(
        "truncated in a member",
        tar(lambda data: data[: data.index(b"a certificate")]),
        U + "t.tar: expected 14 more bytes of a member, got the end",
    ),
    Case(
        "giant pax header",
        pax(f"{TOP}/x", comment="x" * 100_000),
        U + "t.tar: expected headers below 65536 bytes, got 100352",
    ),
    # Names
    Case(
        "absolute name",
        extra(f"/{BEYOND}", File()),
        U + f"/{BEYOND}: expected a relative name, got an absolute one",
    ),
    Case(
        "dot dot",
        extra(f"{STORE}/{LIBC}/../../../../x", File()),
        U + f"{STORE}/{LIBC}/../../../../x: expected a plain path, got a component '..'",
    ),
    Case("dot", extra(f"./{TOP}", {}), U + f"./{TOP}: expected a plain path, got a component '.'"),
    Case(
        "empty component",
        extra(f"{STORE}//{OTHER}", {}),
        U + f"{STORE}//{OTHER}: expected a plain path, got a component ''",
    ),
    Case(
        "newline",
        extra(f"{BEYOND}\n", File()),
        U + f"{BEYOND}\\n: expected a name without NUL and newline, got one with them",
    ),
    Case(
        "NUL",
        pax(f"{TOP}/x", path=f"{TOP}/\0"),
        U + f"{TOP}/\\x00: expected a name without NUL and newline, got one with them",
    ),
    Case(
        "long component",
        extra(f"{STORE}/{LIBC}/{'x' * 256}", File()),
        U + f"{STORE}/{LIBC}/{'x' * 256}"[:199] + "…: expected components of at most 255 bytes, "
        "got a longer one",
    ),
    Case(
        "name that is no UTF-8",
        extra(f"{STORE}/{LIBC}/caf\udce9", File()),
        U + f"{STORE}/{LIBC}/caf\\xe9: expected a name in UTF-8, as RPMs have them, got 'caf\\xe9'",
    ),
    Case(
        "control character",
        extra(f"{STORE}/{LIBC}/a\tb", {}),
        U + f"{STORE}/{LIBC}/a\\tb: expected a name without control characters, got 'a\\tb'",
    ),
    Case(
        "file name that rpm cannot install",
        extra(f"{STORE}/{LIBC}/{'x' * 247}", File()),
        U + f"{STORE}/{LIBC}/{'x' * 247}"[:199] + "…: expected a file name of at most 246 bytes, "
        "which rpm can install, got 247",
    ),
    Case(
        "deep name",
        extra("/".join([TOP, "store", LIBC, *["d"] * 98]), {}),
        U + f"{STORE}/{LIBC}/{'d/' * 13}: expected at most 100 components and 2048 bytes, "
        "got a longer name",
    ),
    Case(
        "long name",
        extra("/".join([TOP, "store", LIBC, *["d" * 200] * 10]), {}),
        U + f"{STORE}/{LIBC}/{'d' * 26}: expected at most 100 components and 2048 bytes, "
        "got a longer name",
    ),
    Case(
        "headers without end",
        endless_headers,
        U + "t.tar: expected a member, got headers of headers without end",
    ),
    Case(
        "escapes in a name",
        extra(f"{STORE}/\x1b]0;title\x07\u202e\udcff", File()),
        U + rf"{STORE}/\x1b]0;title\x07\u202e\xff: expected a store path's name, "
        r"got '\x1b]0;title\x07\u202e\xff'",
    ),
    Case(
        "escapes in the top directory",
        both(content(top="\x1b[2J"), extra("other/x", File())),
        U + r"other/x: expected everything in \x1b[2J/, got other",
    ),
    Case(
        "escapes in the name of a command",
        nix_bin(nix=File(elf(), executable=True), **{"\u202e": Link("nix")}),
        C + rf"{IN_NIX}/bin/\u202e: expected a plain command name, got '\u202e'",
    ),
    Case(
        "escapes in an install script",
        content(install='nix="/nix/store/\x1b[2J"\n', multi_user=None),
        R + r"/nix/store/\x1b[2J: expected the nix path in the closure, got none",
    ),
    Case(
        "escapes in the registration",
        registered(lambda text: "\x1b[2J" + text),
        REG + rf"line 1: expected a store path, got '\x1b[2J{IN_NIX}'",
    ),
    Case(
        "second top",
        extra("nix-2/install", File()),
        U + f"nix-2/install: expected everything in {TOP}/, got nix-2",
    ),
    Case(
        "nested beside the store",
        extra(f"{TOP}/doc/x", File()),
        U + f"{TOP}/doc/x: expected only store/ to have content, got a nested member",
    ),
    Case(
        "directory beside the store",
        extra(f"{TOP}/doc", {}),
        U + f"{TOP}/doc: expected only regular files beside store/, got another kind",
    ),
    Case(
        "link for install",
        both(without(f"{TOP}/install"), extra(f"{TOP}/install", Link("/etc/passwd"))),
        U + f"{TOP}/install: expected only regular files beside store/, got another kind",
    ),
    Case(
        "link for the store",
        extra(STORE, Link("/tmp")),  # noqa: S108 - an attacker's target
        U + f"{STORE}: expected a directory, got something else",
    ),
    Case(
        "no store name",
        extra(f"{STORE}/.links", {}),
        U + f"{STORE}/.links: expected a store path's name, got '.links'",
    ),
    Case(
        "bad store hash",
        extra(f"{STORE}/{'e' * 32}-x", {}),
        U + f"{STORE}/{'e' * 32}-x: expected a store path's name, got '{'e' * 32}-x'",
    ),
    Case(
        "same file twice",
        extra(f"{STORE}/{SCRIPT}", File()),
        U + f"{STORE}/{SCRIPT}: expected each member once, got it a second time",
    ),
    Case(
        "directory over a link",
        extra(f"{STORE}/{LINK}", {}),
        U + f"{STORE}/{LINK}: expected each member once, got it a second time",
    ),
    Case(
        "install twice",
        extra(f"{TOP}/install", File()),
        U + f"{TOP}/install: expected each member once, got it a second time",
    ),
    Case(
        "store twice",
        both(extra(STORE, {}), extra(STORE, {})),
        U + f"{STORE}: expected each member once, got it a second time",
    ),
    # Places of members
    Case(
        "through a symlink",
        extra(f"{STORE}/{LINK}/x", File()),
        U + f"{STORE}/{LINK}/x: expected a directory as parent, got a symlink",
    ),
    Case(
        "through a file",
        extra(f"{STORE}/{SCRIPT}/x", File()),
        U + f"{STORE}/{SCRIPT}/x: expected a directory as parent, got a file",
    ),
    Case(
        "no parent",
        extra(f"{STORE}/{LIBC}/none/x", File()),
        U + f"{STORE}/{LIBC}/none/x: expected its directory to come before it, got none",
    ),
    Case(
        "relative link out",
        extra(BEYOND, Link("../../../etc/shadow")),
        U + f"{BEYOND}: expected a link inside /nix/store, got '../../../etc/shadow', "
        "which escapes",
    ),
    Case(
        "link out and back in",
        extra(BEYOND, Link(f"../../../store/{LIBC}")),
        U + f"{BEYOND}: expected a link inside /nix/store, got '../../../store/{LIBC}', "
        "which escapes",
    ),
    Case(
        "absolute link",
        extra(BEYOND, Link("/etc/shadow")),
        U + f"{BEYOND}: expected a link inside /nix/store, got '/etc/shadow', which escapes",
    ),
    Case(
        "absolute link out by dots",
        extra(BEYOND, Link("/nix/store/../../etc/shadow")),
        U + f"{BEYOND}: expected a link inside /nix/store, got '/nix/store/../../etc/shadow', "
        "which escapes",
    ),
    Case(
        "link to the store itself",
        extra(BEYOND, Link("../../store/..")),
        U + f"{BEYOND}: expected a link inside /nix/store, got '../../store/..', which escapes",
    ),
    Case(
        "empty link",
        extra(BEYOND, Link("")),
        U + f"{BEYOND}: expected a link target of 1 to 1024 bytes, got another",
    ),
    Case(
        "long link",
        extra(BEYOND, Link("x/" * 512 + "y")),
        U + f"{BEYOND}: expected a link target of 1 to 1024 bytes, got another",
    ),
    Case(
        "link that is no UTF-8",
        extra(BEYOND, Link("caf\udce9")),
        U + f"{BEYOND}: expected a link target in UTF-8, got 'caf\\xe9'",
    ),
    Case(
        "links in a circle",
        both(extra(BEYOND, Link("b")), extra(f"{STORE}/{LIBC}/b", Link(f"/nix/store/{LIBC}/new"))),
        U + f"{BEYOND}: expected at most 40 links one after another, got a loop",
    ),
    Case(
        "link through a file",
        extra(BEYOND, Link(f"../{SCRIPT}/x")),
        U + f"{BEYOND}: expected a link that can be followed, got one through a file",
    ),
    Case(
        "hard link out",
        extra(BEYOND, type=tarfile.LNKTYPE, linkname="/etc/shadow"),
        U + f"{BEYOND}: expected a hard link into {STORE}/, got '/etc/shadow'",
    ),
    Case(
        "hard link out by dots",
        extra(BEYOND, type=tarfile.LNKTYPE, linkname=f"{STORE}/../../x"),
        U + f"{BEYOND}: expected a hard link to a file unpacked before, got '../../x'",
    ),
    Case(
        "hard link to a symlink",
        extra(BEYOND, type=tarfile.LNKTYPE, linkname=f"{STORE}/{LINK}"),
        U + f"{BEYOND}: expected a hard link to a file unpacked before, got '{LINK}'",
    ),
    # Kinds and modes
    Case(
        "device",
        extra(BEYOND, type=tarfile.CHRTYPE),
        U + f"{BEYOND}: expected a file, directory or link, got a device",
    ),
    Case(
        "fifo",
        extra(BEYOND, type=tarfile.FIFOTYPE),
        U + f"{BEYOND}: expected a file, directory or link, got a fifo",
    ),
    Case(
        "unknown type",
        extra(BEYOND, type=b"V"),
        U + f"{BEYOND}: expected a file, directory or link, got type 'V'",
    ),
    Case(
        "sparse",
        pax(f"{TOP}/x", **{"GNU.sparse.map": "0,0", "GNU.sparse.size": "0"}),
        U + f"{TOP}/x: expected a plain file, got a sparse file",
    ),
    Case(
        "setuid",
        header(f"{STORE}/{SCRIPT}", mode=0o4755),
        U + f"{STORE}/{SCRIPT}: expected no setuid, setgid or sticky bit, got mode 4755",
    ),
    Case(
        "setgid directory",
        header(f"{STORE}/{LIBC}", mode=0o2755),
        U + f"{STORE}/{LIBC}: expected no setuid, setgid or sticky bit, got mode 2755",
    ),
    Case(
        "sticky directory",
        header(f"{STORE}/{LIBC}/lib", mode=0o1755),
        U + f"{STORE}/{LIBC}/lib: expected no setuid, setgid or sticky bit, got mode 1755",
    ),
    Case(
        "bomb",
        extra(BEYOND, size=9 << 30),
        U + f"{BEYOND}: expected at most {8 << 30} bytes in all, got more",
    ),
    Case(
        "negative size",
        extra(BEYOND, size=-512),
        U + f"{BEYOND}: expected at most {8 << 30} bytes in all, got more",
        U + "t.tar: expected a tar header, got invalid offset",  # since the fix of CVE-2025-8194
    ),
    Case(
        "bomb in .reginfo",
        both(without(f"{TOP}/.reginfo"), extra(f"{TOP}/.reginfo", size=1 << 30)),
        U + f"{TOP}/.reginfo: expected at most {64 << 20} bytes, got {1 << 30}",
    ),
    Case(
        "no install",
        without(f"{TOP}/install"),
        U + "t.tar: expected a file install at its top, got none",
    ),
    Case(
        "no .reginfo",
        without(f"{TOP}/.reginfo"),
        U + "t.tar: expected a file .reginfo at its top, got none",
    ),
    Case(
        "no store",
        without(STORE),
        C + f"{IN_NIX}: expected a registered path in the store, got none",
    ),
    # The registration
    Case(
        "empty registration",
        registered(lambda _: ""),
        REG + "line 1: expected a newline at the end, got no text",
    ),
    Case(
        "registered hash of another kind",
        registered(lambda text: re.sub("sha256:.*", "sha512:" + "0" * 52, text, count=1)),
        REG + f"line 2: {IN_NIX}: expected a SHA-256, got 'sha512:{'0' * 52}'",
    ),
    Case(
        "registered path twice",
        registered(lambda text: text * 2),
        REG + f"line 47: {IN_NIX}: expected each path once, got it a second time",
    ),
    Case(
        "UTF-8 in the registration",
        registered(lambda _: "é\n"),
        U + f"{TOP}/.reginfo: expected ASCII, got 'ascii' codec can't decode byte 0xc3 "
        "in position 0: ordinal not in range(128)",
    ),
    # The closure
    Case(
        "missing path",
        without(f"{STORE}/{LIBC}"),
        C + f"/nix/store/{LIBC}: expected a registered path in the store, got none",
    ),
    Case(
        "unregistered path",
        extra(f"{STORE}/{OTHER}", {}),
        C + f"/nix/store/{OTHER}: expected only registered paths, got one that is not",
    ),
    Case(
        "changed file",
        libc(lambda data: b"x" + data[1:]),
        C + f"/nix/store/{LIBC}: "
        "expected NAR hash sha256-FJa47x7hhCMBAO2P3VQNMqwBf+BBC7msDDwOhhdX2sY=, "
        "got sha256-BoJgsZDnhKX/WwZGfaaerznBe65pRUE+yEdTfi1dZsE=",
    ),
    Case(
        "changed size",
        libc(lambda data: data[:4608]),
        C + f"/nix/store/{LIBC}: expected a NAR of 5680 bytes, got 5288",
    ),
    Case(
        "lost executable bit",
        header(f"{STORE}/{SCRIPT}", mode=0o644),
        C + f"/nix/store/{SCRIPT}: expected a NAR of 160 bytes, got 128",
    ),
    Case(
        "extra file",
        extra(BEYOND, File()),
        C + f"/nix/store/{LIBC}: expected a NAR of 5680 bytes, got 5864",
    ),
    Case(
        "reference outside",
        referring(CLI, OTHER),
        C + f"/nix/store/{CLI}: expected references inside the closure, "
        f"got one to /nix/store/{OTHER}",
    ),
    Case(
        "cycle",
        referring(LIBC, CLI),
        C + f"/nix/store/{CLI}: expected references without cycles, got a path that needs itself",
    ),
    # The parts
    Case(
        "foreign nix",
        content(install=f'nix="/nix/store/{OTHER}"\n', multi_user=None),
        R + f"/nix/store/{OTHER}: expected the nix path in the closure, got none",
    ),
    Case(
        "scripts disagree",
        content(install=f'cacert="/nix/store/{MANUAL}"\n'),
        R + f"/nix/store/{CACERT}: expected one cacert path, "
        f"/nix/store/{MANUAL} (cacert in install), "
        "got another (NIX_INSTALLED_CACERT in install-multi-user)",
    ),
    Case(
        "nix without a program",
        content(install=f'nix="/nix/store/{CACERT}"\n', multi_user=None),
        L + f"/nix/store/{CACERT}/bin/nix: expected a file, got nothing, or a link to nothing",
    ),
    Case(
        "cacert without a bundle",
        content(install=f'cacert="/nix/store/{LIBC}"\n', multi_user=None),
        L + f"/nix/store/{LIBC}/{BUNDLE}: expected a file, got nothing, or a link to nothing",
    ),
    Case(
        "manual that is no directory",
        content(multi_user=f'NIX_INSTALLED_NIX_MAN="/nix/store/{LINK}"\n'),
        R + f"/nix/store/{LINK}: expected the manual to be a directory, got something else",
    ),
    Case(
        "empty bundle",
        stored(CACERT, {"etc": {"ssl": {"certs": {"ca-bundle.crt": File()}}}}),
        R + f"/nix/store/{CACERT}/{BUNDLE}: expected content, got an empty file",
    ),
    Case(
        "program is a directory",
        nix_bin(nix={}),
        R + f"{IN_NIX}/bin/nix: expected a regular file, got something else",
    ),
    Case(
        "program leads nowhere",
        nix_bin(nix=Link("../none")),
        L + f"{IN_NIX}/bin/nix: expected a file, got nothing, or a link to nothing",
    ),
    Case(
        "program in a circle",
        nix_bin(nix=Link("nix")),
        U + f"{STORE}/{NIX}/bin/nix: expected at most 40 links one after another, got a loop",
    ),
    Case(
        "no nix",
        both(content(install="", multi_user=None), nix_bin(x=File())),
        R + "nix: expected one path with bin/nix that no other refers to, got none",
    ),
    Case(
        "two nix",
        both(content(install="", multi_user=None), stored(OTHER, {"bin": {"nix": File(elf())}})),
        R + "nix: expected one path with bin/nix that no other refers to, "
        f"got {IN_NIX}, /nix/store/{OTHER}",
    ),
    Case(
        "nix by another name",
        content(install=f'nix="/nix/store/{CLI}"\n', multi_user=None),
        C + f"/nix/store/{CLI}: expected a name <hash>-nix-<version>, got another",
    ),
    Case(
        "another machine",
        stored(CLI, {"bin": {"nix": File(elf(AARCH64), executable=True)}}),
        C + f"{IN_NIX}/bin/nix: expected a program for x86_64, as {TOP} says, got aarch64",
    ),
    Case(
        "unknown machine",
        stored(CLI, {"bin": {"nix": File(elf(243), executable=True)}}),
        C + f"{IN_NIX}/bin/nix: expected an ELF file for x86_64 or aarch64, got machine 243",
    ),
    Case(
        "32-bit program",
        stored(CLI, {"bin": {"nix": File(b"\x7fELF\1\1" + bytes(50), executable=True)}}),
        C + f"{IN_NIX}/bin/nix: expected a 64-bit ELF file, got class 1",
    ),
    Case(
        "big-endian program",
        stored(CLI, {"bin": {"nix": File(b"\x7fELF\2\2" + bytes(50), executable=True)}}),
        C + f"{IN_NIX}/bin/nix: expected a little-endian ELF file, got encoding 2",
    ),
    Case(
        "cut-off program",
        stored(CLI, {"bin": {"nix": File(b"\x7fELF\2\1", executable=True)}}),
        C + f"{IN_NIX}/bin/nix: expected an ELF header, got 6 bytes of one",
    ),
    Case(
        "no system",
        both(content(top="nix-1"), nix_bin(nix=File(b"#!/bin/sh", executable=True))),
        C + "nix-1: expected a system x86_64-linux or aarch64-linux in the name, got another",
    ),
    Case(
        "command that is no name",
        nix_bin(nix=File(elf(), executable=True), **{"a b": Link("nix")}),
        C + f"{IN_NIX}/bin/a b: expected a plain command name, got 'a b'",
    ),
    Case(
        "command that is no program",
        nix_bin(nix=File(elf(), executable=True), readme=File()),
        C + f"{IN_NIX}/bin/readme: expected an executable file, got something else",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_hostile_tarball_is_refused(case: Case, tmp_path: Path) -> None:
    tarball = make_tarball(tmp_path / "t.tar", mutate=case.mutate)
    out = tmp_path / "out"
    with pytest.raises(VerificationError) as caught:
        stage(tarball, out, {})
    assert str(caught.value) in {case.message, case.from_tarfile or case.message}
    assert list((out / "stage").iterdir()) == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "t.tar"]


def refusal(tmp_path: Path, mutation: Mutation) -> str:
    """Return the message that refuses the sample with ``mutation``."""
    tarball = make_tarball(tmp_path / "t.tar", compression="zst", mutate=mutation)
    with pytest.raises(VerificationError) as caught:
        stage(tarball, tmp_path / "out", {})
    return str(caught.value)


def test_too_many_hard_links_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems also refuse them, but with different limits and with an OSError."""
    assert tree._MAX_HARD_LINKS < 65_000  # ext4's limit
    monkeypatch.setattr(tree, "_MAX_HARD_LINKS", 20)
    assert refusal(tmp_path, hard_links(21)) == (
        U + f"{STORE}/{OTHER}/20: expected at most 20 hard links to one file, got more"
    )


def test_too_many_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "_MAX_NAMES", 4000)
    name = f"{TOP}/{'x' * 100}"
    many = [extra(f"{name}{number}", File()) for number in range(40)]
    assert re.fullmatch(
        re.escape(U + name) + r"[0-9]+: expected at most 4000 bytes of names, got more",
        refusal(tmp_path, both(*many)),
    )


def test_long_names_are_cut_in_messages(tmp_path: Path) -> None:
    name = f"{STORE}/{'d' * 255}/{'d' * 255}"
    assert refusal(tmp_path, extra(name, {})) == (
        U + f"{name[:199]}…: expected a store path's name, got '{'d' * 199}…'"
    )


def test_text_in_a_tarball_cannot_control_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Expect exit code 5, and one line of printable text, also with -v and its traceback."""
    name = f"{STORE}/{'0' * 32}-x\x1b]0;title\x07\nerror: forged\u202e"
    tarball = make_tarball(tmp_path / "t.tar", mutate=extra(name, File()))
    words = ["stage", "--source", str(tarball), "--out", str(tmp_path / "out")]
    for verbose in ([], ["-v"]):
        assert main([*words, *verbose]) == 5
        error = capsys.readouterr().err
        assert all(line.isprintable() for line in error.splitlines())
        assert r"\x1b]0;title\x07\nerror: forged\u202e: expected" in error
        assert not re.search(r"^error: forged", error, re.MULTILINE)


def test_large_license_is_not_read_completely(tmp_path: Path) -> None:
    large = 64 << 20
    with (tmp_path / "LICENSE").open("wb") as file:
        file.truncate(large)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / OTHER).mkdir()
    (tmp_path / "LICENSE").rename(tmp_path / "store" / OTHER / "LICENSE")
    info = PathInfo(f"/nix/store/{OTHER}", bytes(32), large, (), "")
    tracemalloc.start()
    try:
        (found,) = licenses.find([info], tmp_path / "store").values()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert [text.sha256 for text in found.texts] == [hashlib.sha256(bytes(large)).hexdigest()]
    assert found.concluded == licenses.NOASSERTION
