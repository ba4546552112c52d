import re

from nix_aurora.package.tools import REQUIRES, TOOLS


def test_spec_requires_every_package_once() -> None:
    assert set(REQUIRES) == set(TOOLS.values())
    assert list(REQUIRES) == sorted(set(REQUIRES))


def test_tools_are_plain_names_in_order() -> None:
    for tool, package in TOOLS.items():
        assert re.fullmatch(r"[a-z0-9_-]+", tool)
        assert re.fullmatch(r"[a-z0-9+-]+", package)
    assert list(TOOLS) == sorted(TOOLS)
