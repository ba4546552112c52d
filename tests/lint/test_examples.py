"""Test that examples/recipe.yml fits BlueBuild's schema, and does the same as the Containerfile."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.lint.shell import TOP

# https://schema.blue-build.org/recipe-v1.json has these keys for a recipe and for the modules in
# ours, in the version of github.com/blue-build/cli at commit 4184afad5e3c:
# test-files/schema/recipe-v1.json and modules/{containerfile,signing}-v1.json. No other key is
# allowed.
_RECIPE = {
    **dict.fromkeys(("name", "description", "base-image", "image-version", "modules"), True),
    **dict.fromkeys(("alt-tags", "blue-build-tag", "cosign-version", "nushell-version"), False),
    **dict.fromkeys(("platforms", "labels", "stages"), False),
}
_MODULES = {
    "containerfile": {"type": True, "no-cache": False, "snippets": False, "containerfiles": False},
    "signing": {"type": True, "no-cache": False},
}
_STRINGS = ("name", "description", "base-image", "image-version")


def _recipe() -> dict[str, Any]:
    recipe = YAML(typ="safe").load(TOP / "examples/recipe.yml")
    assert isinstance(recipe, dict)
    return recipe


def _wrong_keys(found: dict[str, Any], known: dict[str, bool], place: str) -> list[str]:
    """Return the unknown keys, and the missing required ones."""
    required = {key for key, is_required in known.items() if is_required}
    return [f"{place}: {key}" for key in (found.keys() - known.keys()) | (required - found.keys())]


def _faults(recipe: dict[str, Any]) -> list[str]:
    """Return the parts of a recipe that the schema does not allow."""
    faults = _wrong_keys(recipe, _RECIPE, "recipe")
    faults += [key for key in _STRINGS if not isinstance(recipe.get(key), str)]
    for module in recipe.get("modules", ()):
        kind = module.get("type")
        faults += _wrong_keys(module, _MODULES.get(kind, {}), f"module {kind}")
        snippets = module.get("snippets", [])
        if not isinstance(snippets, list) or not all(isinstance(line, str) for line in snippets):
            faults.append(f"module {kind}: snippets")
    return faults


def _instructions(text: str) -> list[str]:
    """Return a Containerfile's instructions, with continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text))
    return [line.strip() for line in joined.splitlines() if line.strip()]


def test_recipe_fits_the_schema() -> None:
    assert _faults(_recipe()) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda recipe: recipe.pop("base-image"), "recipe: base-image"),
        (lambda recipe: recipe.update(base="aurora"), "recipe: base"),
        (lambda recipe: recipe["modules"][0].update(snippet=[]), "module containerfile: snippet"),
        (lambda recipe: recipe["modules"][0].update(snippets="RUN true"), "snippets"),
        (lambda recipe: recipe["modules"][1].update(type="sign"), "module sign: type"),
    ],
)
def test_faulty_recipe_is_found(change: Callable[[Any], Any], fault: str) -> None:
    recipe = _recipe()
    change(recipe)
    assert any(fault in found for found in _faults(recipe))


def test_recipe_does_the_same_as_the_containerfile() -> None:
    """Both have the same effect, so the tests of the Containerfile also cover the recipe."""
    containerfile = (TOP / "examples/Containerfile").read_text()
    packages, base = re.findall(r"^ARG (?:PACKAGES|BASE)=(\S+)$", containerfile, re.MULTILINE)
    recipe = _recipe()
    assert f"{recipe['base-image']}:{recipe['image-version']}" == base
    runs = [line for line in _instructions(containerfile) if line.startswith("RUN ")]
    snippets = [line for text in recipe["modules"][0]["snippets"] for line in _instructions(text)]
    # The last line of the Containerfile removes leftovers and runs the lint.
    assert snippets == [line.replace("from=packages,", f"from={packages},") for line in runs[:-1]]
