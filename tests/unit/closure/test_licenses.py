"""Test which licenses unpacked store paths have."""

import datetime
import hashlib
import json
import os
from importlib.metadata import distribution
from pathlib import Path

import pytest

from nix_aurora.closure import dep5, sbom
from nix_aurora.closure.license_list import render
from nix_aurora.closure.licenses import NOASSERTION, Finding, Text, find
from nix_aurora.closure.stage import Staged, stage
from nix_aurora.store.paths import STORE
from tests.closures import LIBC, LINK, NIX, SCRIPT, File, Link, Node, Sample, make_tarball

TOP = Path(__file__).resolve().parents[3]
MIT = (TOP / "LICENSE").read_text()
DATE = datetime.date(2026, 8, 1)
DEBIAN = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: x
License: none of this

Files: *
Copyright: somebody
License: {}

Files: debian/*
Copyright: somebody else
License: Expat
Comment: License: in a comment

License: GPL-2+
 On Debian systems, see /usr/share/common-licenses.
 .
 License: GPL-1
"""


def apache() -> str:
    """Return a license's text as packages ship it, from a package that the tests need anyway."""
    files = distribution("requests").files or []
    (path,) = (file for file in files if file.name == "LICENSE")
    return path.read_text()


def staged(directory: Path, node: Node) -> Staged:
    """Return a closure in which LIBC is ``node``."""

    def mutate(sample: Sample) -> None:
        sample.store[LIBC] = node

    return stage(make_tarball(directory / "t", mutate=mutate), directory / "out", {})


def found(tmp_path: Path, node: Node) -> Finding:
    """Return the finding for LIBC when it is ``node``."""
    result = staged(tmp_path, node)
    return find(result.closure.paths, result.root / "store")[f"{STORE}/{LIBC}"]


def text(path: str, content: str | bytes, *names: str) -> Text:
    """Return the expected entry for a file of LIBC."""
    data = content.encode() if isinstance(content, str) else content
    return Text(f"{STORE}/{LIBC}/{path}", hashlib.sha256(data).hexdigest(), names)


# --- which files


@pytest.mark.parametrize(
    "path",
    [
        "COPYING",
        "COPYING3.LIB",
        "LICENSE.txt",
        "LICENSE-APACHE",
        "UNLICENSE",
        "license",
        "Licence.md",
        "share/doc/x/copyright",
        "share/doc/x/NOTICE",
        "share/licenses/x/anything.at-all",
        "share/doc/x/LICENSES/MIT.txt",
        "lib/python3/x.dist-info/licenses/AUTHORS",
    ],
)
def test_license_files_are_found_by_name(path: str, tmp_path: Path) -> None:
    node: Node = File(b"some words")
    for part in reversed(path.split("/")):
        node = {part: node}
    assert found(tmp_path, node) == Finding((text(path, "some words"),))


@pytest.mark.parametrize(
    "name", ["license.py", "copyright.h", "COPYING~", "licensed", "mynotice", "MYLICENSE", "Copy"]
)
def test_other_files_are_not_license_files(name: str, tmp_path: Path) -> None:
    assert found(tmp_path, {name: File(b"words"), "share": {"license": {"x": File()}}}) == Finding()


def test_links_are_followed_inside_the_closure(tmp_path: Path) -> None:
    """Determinate's Nix consists only of links. Broken links are ignored."""
    store = f"{STORE}/{LIBC}"
    node: Node = {
        "share": {"doc": {"COPYING": File(b"words")}},
        "LICENSE": Link("share/doc/COPYING"),
        "COPYRIGHT": Link(f"{store}/share/doc/COPYING"),
        "LICENSE-gone": Link("nowhere"),
        "LICENSE-directory": Link("share"),
        "LICENSES": Link("share"),
    }
    assert found(tmp_path, node).texts == (text("share/doc/COPYING", "words"),)


def test_store_path_that_is_a_link_has_no_license(tmp_path: Path) -> None:
    """Such a link is not followed, as it may lead into this machine's /nix/store."""
    result = staged(tmp_path, {"lib": {"libc.so.6": {"COPYING": File()}}})
    link = result.root / "store" / LINK
    link.unlink()
    link.symlink_to(f"{LIBC}/lib")  # a link to an existing path in this store
    findings = find(result.closure.paths, result.root / "store")
    assert findings[f"{STORE}/{LINK}"] == findings[f"{STORE}/{SCRIPT}"] == Finding()
    assert findings[f"{STORE}/{LIBC}"].texts != ()


def test_names_that_are_not_text_are_listed_once_in_ascii(tmp_path: Path) -> None:
    """The names have a line end, an escape sequence, or bytes that are not UTF-8."""
    result = staged(tmp_path, {"share": {"licenses": {"é": File(b"1")}}})
    folder = os.fsencode(result.root / "store" / LIBC / "share/licenses")
    names = {b"a\nPath: x": b"2", b"\x1b[2J": b"3", b"\xff\xfe": b"4", b"b\\n": b"5"}
    for name, content in names.items():
        with open(folder + b"/" + name, "wb") as file:  # noqa: PTH123 - bytes
            file.write(content)
    findings = find(result.closure.paths, result.root / "store")
    listing = render(result.closure, findings)
    assert listing.isascii()
    assert {line for line in listing.splitlines() if line.startswith("File: ")} == {
        f"File: {STORE}/{LIBC}/share/licenses/{name}"
        for name in (r"a\nPath: x", r"\x1b[2J", r"\xe9", r"\udcff\udcfe", r"b\\n")
    }
    paths = [line for line in listing.splitlines() if line.startswith("Path: ")]
    assert paths == [f"Path: {info.path}" for info in result.closure.paths]
    document = sbom.render(result.closure, findings, DATE)
    json.dumps(json.loads(document), ensure_ascii=False).encode()  # fails if a surrogate is left

    shuffled = {path: findings[path] for path in reversed(findings)}
    assert find(reversed(result.closure.paths), result.root / "store") == findings
    assert render(result.closure, shuffled) == listing
    assert sbom.render(result.closure, shuffled, DATE) == document


# --- their texts


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (MIT, "MIT"),
        (MIT.replace("MIT License\n", ""), "MIT"),
        (MIT.replace("MIT License\n", "The MIT License (MIT)\n\n(c) 1999 a\n"), "MIT"),
        ("\n".join(f"  {line}" for line in MIT.splitlines()), "MIT"),
        (MIT.replace("MIT License", "MIT License, and yet another"), NOASSERTION),
        (MIT.replace("without restriction", "with restriction"), NOASSERTION),
        (f"{MIT}\nOr else GPL.\n", NOASSERTION),
        (f"Not for war.\n{MIT}", NOASSERTION),
        (f"{apache()}\n", "Apache-2.0"),
        (apache()[:-100], NOASSERTION),
        ("GNU GENERAL PUBLIC LICENSE\nVersion 3", NOASSERTION),
        ("", NOASSERTION),
    ],
)
def test_known_texts_have_a_license(content: str, expected: str, tmp_path: Path) -> None:
    finding = found(tmp_path, {"LICENSE": File(content.encode())})
    assert (finding.declared, finding.concluded) == (expected, expected)
    assert finding.texts == (text("LICENSE", content),)


def test_several_licenses_are_noassertion(tmp_path: Path) -> None:
    node: Node = {"LICENSE-MIT": File(MIT.encode()), "LICENSE-APACHE": File(apache().encode())}
    finding = found(tmp_path, node)
    assert (finding.declared, finding.concluded) == (NOASSERTION, NOASSERTION)
    names = [entry.path.rpartition("/")[2] for entry in finding.texts]
    assert names == ["LICENSE-APACHE", "LICENSE-MIT"]


def test_notice_is_not_a_license(tmp_path: Path) -> None:
    node: Node = {"LICENSE": File(apache().encode()), "NOTICE": File(b"This is ours.")}
    assert found(tmp_path, node).declared == "Apache-2.0"


@pytest.mark.parametrize(
    ("license_", "names", "expected"),
    [
        ("Expat", ("Expat",), "MIT"),
        ("GPL-2+", ("Expat", "GPL-2+"), "GPL-2.0-or-later AND MIT"),
        ("LGPL-2.1", ("Expat", "LGPL-2.1"), "LGPL-2.1-only AND MIT"),
        ("gpl-3.0", ("Expat", "gpl-3.0"), "GPL-3.0-only AND MIT"),
        ("ISC and Zlib", ("Expat", "ISC and Zlib"), "ISC AND MIT AND Zlib"),
        (
            "LGPL-3+ or GPL-2+",
            ("Expat", "LGPL-3+ or GPL-2+"),
            "(GPL-2.0-or-later OR LGPL-3.0-or-later) AND MIT",
        ),
        ("MIT", ("Expat", "MIT"), NOASSERTION),
        ("GPL-4", ("Expat", "GPL-4"), NOASSERTION),
        ("GPL", ("Expat", "GPL"), NOASSERTION),
        ("ISC and MIT", ("Expat", "ISC and MIT"), NOASSERTION),
        ("ISC or MIT", ("Expat", "ISC or MIT"), NOASSERTION),
        ("ISC or Zlib and GPL-2", ("Expat", "ISC or Zlib and GPL-2"), NOASSERTION),
        (
            "GPL-2+ with OpenSSL exception",
            ("Expat", "GPL-2+ with OpenSSL exception"),
            NOASSERTION,
        ),
        ("", (dep5.UNNAMED, "Expat"), NOASSERTION),
    ],
)
def test_debian_copyright_files_have_concluded_licenses(
    license_: str, names: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    """Debian is not the author, so SPDX 7.13 (concluded) applies, and not 7.15 (declared)."""
    content = DEBIAN.format(license_)
    finding = found(tmp_path, {"share": {"doc": {"x": {"copyright": File(content.encode())}}}})
    assert finding == Finding((text("share/doc/x/copyright", content, *names),), concluded=expected)


@pytest.mark.parametrize(
    "content",
    [
        "This package was debianized by somebody.\n\nFiles: *\nLicense: GPL-2\n",
        DEBIAN.format("GPL-2").replace("1.0", "2.0"),
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n",
    ],
)
def test_other_formats_of_debian_copyright_have_no_license(content: str) -> None:
    assert dep5.names(content) == ()
    assert dep5.expression(()) is None


def test_disagreement_of_debian_and_author_is_noassertion(tmp_path: Path) -> None:
    content = DEBIAN.format("GPL-2+")
    finding = found(tmp_path, {"copyright": File(content.encode()), "LICENSE": File(MIT.encode())})
    assert (finding.declared, finding.concluded) == ("MIT", NOASSERTION)


# --- the output


def test_listing_has_a_paragraph_for_each_path(tmp_path: Path) -> None:
    content = DEBIAN.format("GPL-2+")
    node: Node = {"copyright": File(content.encode()), "LICENSE": File(b"words")}
    result = staged(tmp_path, node)
    listing = render(result.closure, find(result.closure.paths, result.root / "store"))
    introduction, *paragraphs = listing.split("\nPath: ")
    assert "for 0 of 9 paths" in " ".join(introduction.split())
    assert len(paragraphs) == len(result.closure.paths)
    assert paragraphs[4] == (
        f"{STORE}/{LIBC}\nName: glibc\nVersion: 2.42\nLicense: NOASSERTION\n"
        f"File: {STORE}/{LIBC}/LICENSE\nSHA256: {hashlib.sha256(b'words').hexdigest()}\n"
        f"File: {STORE}/{LIBC}/copyright\n"
        f"SHA256: {hashlib.sha256(content.encode()).hexdigest()}\nNames: Expat; GPL-2+\n"
    )
    assert paragraphs[6] == f"{STORE}/{LINK}\nName: libc-link\nLicense: NOASSERTION\n"


def test_sbom_agrees_with_the_listing(tmp_path: Path) -> None:
    result = staged(tmp_path, {"share": {"licenses": {"x": File(MIT.encode())}}})
    findings = find(result.closure.paths, result.root / "store")
    document = json.loads(sbom.render(result.closure, findings, DATE))
    packages = {package["packageFileName"]: package for package in document["packages"]}
    libc, nix = packages[f"{STORE}/{LIBC}"], packages[f"{STORE}/{NIX}"]
    assert (libc["licenseDeclared"], libc["licenseConcluded"]) == ("MIT", "MIT")
    (told,) = findings[f"{STORE}/{LIBC}"].texts
    assert libc["licenseComments"] == f"Found in {told.path} (SHA-256 {told.sha256})."
    assert (nix["licenseDeclared"], nix["licenseConcluded"]) == (NOASSERTION, NOASSERTION)
    assert nix["licenseComments"] == "The store path contains no file about its license."
