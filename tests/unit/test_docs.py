"""Test README and docs: links, names of tests, messages, and commands."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.cli import make_parser

from nix_aurora.cli import make_parser as make_build_parser
from nix_aurora.release import advisories, pins
from nix_aurora.release.exposure import Subject, may_affect
from tests.readme import (
    BY_HAND,
    FOLLOWED,
    HOST,
    PAGES,
    TOP,
    all_commands,
    every_command,
    indented_commands,
    read,
)

_FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
_TEST = re.compile(r"\b(tests/[\w/]+\.py)(?:::(test_\w+))?")
_TEXT = re.compile(r"^ *```text\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)

# Commands that a test runs, by their first words: as written, with another output directory, or
# through the command that make calls for them.
_RUN = {
    "make accept": "tests/ostree/test_accept.py::test_overlay_is_green_and_nothing_remains",
    "make rpm": "tests/rpm/test_readme.py::test_files_are_layered_on_a_host",
    "make oci": "tests/rpm/test_readme.py::test_image_is_built_and_pushed",
    "make repo": "tests/rpm/test_readme.py::test_own_repository_is_made_and_named_in_its_file",
    "make srpm": "tests/rpm/test_readme.py::test_packages_are_published_at_copr",
    "make publish": "tests/rpm/test_readme.py::test_packages_are_published_at_copr",
    "make release-files": "tests/rpm/test_readme.py::test_release_files_are_made",
    "make pins-advisories": "tests/unit/release/test_bulletin.py::"
    "test_advisories_that_may_apply_are_named_once",
    "make rpm FLAGS='--accept": "tests/rpm/test_advisories.py::"
    "test_accepted_advisory_is_in_every_changelog",
    "make pins-update": "tests/unit/release/test_bump.py::"
    "test_second_release_replaces_the_values_of_the_first",
    ".venv/bin/python build.py rpm --with nixd": "tests/rpm/test_nixd.py::"
    "test_nixd_is_a_separate_package",
    "podman build": "tests/image/test_image.py::test_nix_is_an_empty_directory",
    **dict.fromkeys(
        ("for number in $(seq 32); do sudo userdel", "sudo groupdel nixbld"),
        "tests/host/test_build_users.py::"
        "test_a_host_changes_to_the_new_ids_by_the_documented_commands",
    ),
    **dict.fromkeys(
        (
            "sudo systemctl disable non-nixos-gpu.service",
            "sudo rm -f /etc/systemd/system/non-nixos-gpu.service",
        ),
        "tests/host/test_gpu.py::test_home_managers_link_stays_until_it_is_removed_as_documented",
    ),
    "echo GC_KEEP_DAYS=90": "tests/host/test_collection.py::"
    "test_collection_is_disabled_by_default_and_survives_an_upgrade",
    "sudo mv /var/lib/nix/store": "tests/host/test_adopt.py::test_documented_undo_works",
    **dict.fromkeys(
        ("echo 'LABEL=nix /var/nix-new", "sudo mkdir /var/nix-new", "sudo mount /var/nix-new"),
        "tests/host/test_disk.py::test_move_keeps_all_file_attributes",
    ),
    **dict.fromkeys(
        ("echo 'LABEL=nix /var/lib/nix", "sudo mkdir /var/lib/nix", "sudo mount /var/lib/nix"),
        "tests/host/test_disk.py::test_disk_mounted_before_the_installation_is_used",
    ),
    "sudo systemctl daemon-reload": "tests/host/test_disk.py::test_move_keeps_all_file_attributes",
    **dict.fromkeys(HOST, "tests/host/test_docs.py::test_commands_for_a_host_work"),
}
# Commands that no test runs, with the reason. As much as possible is checked without running them.
_NOT_RUN = {
    "make demo": "it shows what the host tier tests, on a host like that tier's",
    "make test": "it is what runs the tests",
    "NIX_AURORA_SEED=23adac59 make test-host": "it is what runs the tests",
    "make bench": "it takes long, and its figures are no assertions",
    "make picture": "it draws over docs/demo.svg",
    "make setup": "make runs it before it runs the tests",
    ".venv/bin/tox run": "a test that ran the tests would run itself",
    "NIX_AURORA_UPDATE_GOLDEN=1": "it writes the files that the tests compare with",
    "sudo rpm-ostree install": "not in Debian; tests/harness/rpm_ostree has its rules",
    "sudo rpm-ostree uninstall": "not in Debian",
    "sudo bootc switch": "it asks a registry, and bootc is not in Debian",
    "sudo curl -fo": "it asks a host on the internet",
    "podman push": "it asks a registry",
    "nix search": "it asks github.com",
    "nix profile add": "it asks github.com and cache.nixos.org",
    "nix profile list": "it lists programs that come from the internet",
    "nix profile upgrade": "it asks github.com and cache.nixos.org",
    "nix profile remove": "it removes a program that comes from the internet",
    "devbox": "devbox comes from the internet; tests/host/devbox.py takes its steps",
    "mkdir project": "devbox comes from the internet; tests/host/devbox.py takes its steps",
    "distrobox": "its images come from a registry",
    "sudo mkfs.btrfs": "it makes a file system on a partition; the test makes one in a file",
    "podman run": "its images come from a registry",
    "flatpak-spawn": "it is for a toolbox, whose images come from a registry",
    "nix build": "it takes a project of the reader's",
    "git tag": "it makes a release",
    "cosign verify": "it asks a registry, for a release that is not there yet",
    "gh attestation verify": "it asks GitHub, for a release that is not there yet",
    "sudo chmod 0755 /var/lib/nix/relocated/.nix-aurora": "it takes an older package",
    "sudo systemctl edit nix-daemon.service": "it opens an editor",
}


@cache
def _anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, in GitHub's form."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    found: dict[str, int] = {}
    anchors = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        anchors.add(f"{name}-{found[name]}" if name in found else name)
        found[name] = found.get(name, 0) + 1
    return frozenset(anchors)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_existing_targets(page: str) -> None:
    here = TOP / page
    for link in _LINK.findall(_FENCED.sub("", read(page))):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (here.parent / path).resolve() if path else here
        assert target.is_relative_to(TOP), link
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def test_each_page_is_reachable_from_the_readme() -> None:
    """The README links the index, and the index links all other pages."""
    assert "docs/README.md" in _linked("README.md")
    pages = {page.removeprefix("docs/") for page in PAGES}
    assert pages - {"README.md"} <= _linked("docs/README.md")


def _linked(page: str) -> set[str]:
    return {link.partition("#")[0] for link in _LINK.findall(read(page))}


@pytest.mark.parametrize("page", PAGES)
def test_page_is_short(page: str) -> None:
    limit = 120 if page == "README.md" else 200
    assert len(read(page).splitlines()) <= limit, "split the page, and link the parts"


@cache
def _functions(path: str) -> frozenset[str]:
    text = (TOP / path).read_text(encoding="utf-8")
    return frozenset(re.findall(r"^def (test_\w+)", text, re.MULTILINE))


def _assert_there(path: str, name: str) -> None:
    assert (TOP / path).is_file(), path
    assert not name or name in _functions(path), f"{path}::{name}"


@pytest.mark.parametrize("page", PAGES)
def test_named_tests_exist(page: str) -> None:
    for path, name in _TEST.findall(read(page)):
        _assert_there(path, name)


def test_readme_names_only_current_advisories() -> None:
    """Each advisory in the README may apply to the pinned release."""
    known = advisories.load(TOP / "advisories.toml")
    pinned = pins.load(TOP / "pins.toml")
    subject = Subject(pinned.version, pinned.nix)
    for name in re.findall(r"\bGHSA-[\w-]+", read("README.md")):
        assert may_affect(known[name], subject), name


# --- messages


def _source(path: Path) -> str:
    """Return a source's text as printed: strings joined, and constants replaced."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        text = re.sub(r'"\s*\n\s*f?"', "", text)
        for name, value in vars(paths).items():
            if isinstance(value, str):
                text = text.replace(f"{{paths.{name}}}", value)
    else:
        text = re.sub(r'" \\\n\s*"', " ", text)
        for name, value in re.findall(r"(?<!\S)(\w+)=([\w./-]+)(?=\s)", text):
            text = text.replace(f"${name}", value)
    return text


@cache
def _sources() -> tuple[str, ...]:
    folders = ("payload", "scriptlets", "nix_aurora")
    files = (path for folder in folders for path in sorted((TOP / folder).rglob("*")))
    return tuple(_source(path) for path in files if path.is_file() and path.suffix != ".pyc")


def _is_printed(line: str) -> bool:
    """Return whether a source has all fixed parts of ``line``, in order and on one line.

    The program's name, and the identifier that doctor appends, are added where it is printed.
    """
    if found := re.search(r" \[([\w-]+)(:\S+)?\]$", line):
        line = line[: found.start()]
        if not any(f'"{found[1]}"' in source for source in _sources()):
            return False
    for said in (line, re.sub(r"^[\w-]+: (import failed: )?", "", line)):
        pattern = re.compile("[^\n]*?".join(re.escape(part) for part in said.split("…")))
        if len(said) > 12 and any(pattern.search(source) for source in _sources()):
            return True
    return False


def _messages() -> Iterator[str]:
    for page in PAGES:
        for block in _TEXT.findall(read(page)):
            yield from (line.strip() for line in block.splitlines())


def test_quoted_messages_are_in_the_sources() -> None:
    lines = list(_messages())
    assert len(lines) > 30
    assert [line for line in lines if not _is_printed(line)] == []


def test_message_without_a_source_is_found() -> None:
    assert not _is_printed("nix: setting up Nix has succeeded.")
    assert not _is_printed("hint: sudo …, which nobody hints at")


# --- commands


def _entry(command: str) -> str:
    """Return the longest entry that ``command`` begins with; "" if there is none."""
    entries = [key for key in (*_RUN, *_NOT_RUN) if f"{command} ".startswith(f"{key} ")]
    return max(entries, key=len, default="")


def test_each_command_is_run_or_has_a_reason() -> None:
    commands = all_commands()
    assert [command for command in commands if not _entry(command)] == []
    used = {_entry(command) for command in commands}
    assert set(_RUN) | set(_NOT_RUN) == used  # no entry is unused
    for name in _RUN.values():
        _assert_there(*name.split("::"))


@pytest.mark.parametrize("page", FOLLOWED)
def test_followed_page_is_short_and_names_its_test(page: str) -> None:
    assert len(read(page).splitlines()) <= 150
    assert "tests/host/test_pages.py" in {path for path, _ in _TEST.findall(read(page))}
    assert indented_commands(page) == []


def test_commands_are_understood() -> None:
    """Each command is checked by its program's parser, or by the file that defines its name."""
    makefile = read("Makefile")
    folder = TOP / "payload/usr/lib/systemd/system"
    units = {path.name.removesuffix(".in") for path in folder.iterdir()}
    checked = set()
    by_hand = (command for page in BY_HAND for command in indented_commands(page))
    followed = (command for page in FOLLOWED for command in every_command(page))
    for command in (*all_commands(), *by_hand, *followed):
        for part in re.split(r" (?:&&|;|\|) ", command):
            words = shlex.split(part.removeprefix("sudo "))
            match words:
                case ["make", target, *variables]:
                    assert re.search(rf"^{target}: .*## ", makefile, re.MULTILINE), command
                    for name in (word.partition("=")[0] for word in variables):
                        assert re.search(rf"\$\({name}\)", makefile), command
                case ["nix-aurora", *given]:
                    make_parser().parse_args(given)
                case [".venv/bin/python", "build.py", *given]:
                    with contextlib.redirect_stdout(io.StringIO()):
                        make_build_parser().parse_args(given)
                case ["systemctl", _, *names] if names:
                    assert {name for name in names if name.startswith("nix")} <= units, command
                case [".venv/bin/tox", "run", "-e", tier, "--", path, *_]:
                    assert f"[tool.tox.env.{tier}]" in read("pyproject.toml")
                    assert (TOP / path).is_file(), command
                case _:
                    continue
            checked.add(words[0])
    assert checked >= {"make", "nix-aurora", ".venv/bin/python", ".venv/bin/tox", "systemctl"}
