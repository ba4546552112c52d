"""Test that each fact that several languages need is in one file, which the others read."""

import re

import pytest

from nix_aurora.package.lists import read_fedora_packages, read_units
from tests.lint.shell import TOP, project_files

# These are the installed files and their generators. Tests and pages may repeat facts.
_SOURCES = ("payload/", "payload-nixd/", "scriptlets/", "nix_aurora/", "sample/", "tools/")
_SPEC = "nix-aurora.spec.in"
_LISTS = "payload/usr/lib/nix-aurora"


def _texts(*leave_out: str) -> dict[str, str]:
    """Return the text of every source, except files below ``leave_out``."""
    names = [name for name in project_files() if name.startswith(_SOURCES) or name == _SPEC]
    return {
        name: (TOP / name).read_text(encoding="utf-8")
        for name in names
        if not name.startswith(leave_out)
    }


def _lists(text: str, names: list[str]) -> list[str]:
    """Return the ``names`` that are close to each other in the text, in any kind of list."""
    word = "|".join(re.escape(name) for name in names)
    run = rf"""(?<![\w.-])(?:{word})(?:['",\s\\(){{}}]+(?:\w+ )?(?:{word})){{2,}}(?![\w.-])"""
    return re.findall(run, text)


def test_units_are_listed_once() -> None:
    names = [unit.name for unit in read_units(TOP)]
    found = {
        name: repeated
        for name, text in _texts(f"{_LISTS}/units", "payload/usr/lib/systemd/system/").items()
        if "/man/" not in name and (repeated := _lists(text, names))
    }
    assert found == {}


def test_fedora_packages_are_listed_once() -> None:
    names = read_fedora_packages(TOP)
    assert {
        name for name, text in _texts(f"{_LISTS}/fedora-packages").items() if "nix-legacy" in text
    } == set()
    assert "nix-legacy" in names


def test_build_users_are_numbered_once() -> None:
    """sysusers.d has the number of build users and their ids, and bash and Python read it."""
    fact = re.compile(r"nixbld\d|61120|61121|seq 32\b|range\(1, 33\)")
    found = {name for name, text in _texts().items() if fact.search(text)}
    assert found == {"payload/usr/lib/sysusers.d/nix-aurora.conf.in"}


@pytest.mark.parametrize("bundle", (TOP / _LISTS / "ca-bundles").read_text().splitlines())
def test_ca_bundle_is_named_once(bundle: str) -> None:
    found = {name for name, text in _texts().items() if bundle in text}
    assert found == {f"{_LISTS}/ca-bundles"}


def test_default_profile_is_named_once() -> None:
    fact = re.compile(r"^[^#\n]*/nix/var/nix/profiles/default", re.MULTILINE)
    found = {name for name, text in _texts().items() if fact.search(text)}
    assert {name for name in found if "/man/" not in name} == {f"{_LISTS}/layouts/mount"}


def test_places_of_the_relocated_layout_are_named_once() -> None:
    """The layout's mount unit repeats two of them; tests/unit/host/test_layouts.py compares them.

    tmpfiles.d has one place, for leftovers of older packages.
    """
    fact = re.compile(r"^[^#\n]*(/run/nix/store|/var/lib/nix/relocated|nix-relocated)", re.M)
    unit = "payload/usr/lib/systemd/system/run-nix-store.mount"
    former = "payload/usr/lib/tmpfiles.d/nix-aurora.conf"
    found = {name for name, text in _texts(unit, former).items() if fact.search(text)}
    assert {name for name in found if "/man/" not in name} == {f"{_LISTS}/layouts/relocated"}


def test_cache_directory_is_chosen_in_one_place() -> None:
    found = {
        name
        for name in project_files()
        if name.endswith(".py") and re.search(r"environ.*XDG_CACHE_HOME", (TOP / name).read_text())
    }
    assert found == {"nix_aurora/release/cache.py", "tests/lint/test_facts.py"}


def test_apt_is_asked_for_its_mirror_in_one_place() -> None:
    assert {name for name, text in _texts().items() if "indextargets" in text} == {
        "sample/mirror.py"
    }


@pytest.mark.parametrize(
    "text",
    [
        'X = ("a.service", "b.mount", "c.socket")',
        "for x in a.service b.mount \\\n    c.socket; do",
        "enable a.service\nenable b.mount\nenable c.socket\n",
    ],
)
def test_second_list_is_found(text: str) -> None:
    """The tests above depend on this parser."""
    assert _lists(text, ["a.service", "b.mount", "c.socket"])
    assert not _lists("a.service, then b.mount", ["a.service", "b.mount", "c.socket"])
