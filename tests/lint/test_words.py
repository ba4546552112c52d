"""Test that docstrings avoid imperative verbs that ruff's D401 accepts, but that say too little."""

import ast

import pytest

from tests.lint.shell import TOP, project_files

# "Return the path" says more than "Give the path", and "Return whether" more than "Tell whether".
_WORDS = frozenset({"Be", "Give", "Have", "Tell"})
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _paths() -> list[str]:
    return [name for name in project_files() if name.endswith(".py")]


def _faults(source: str) -> list[str]:
    """Return the first lines of the docstrings that begin with one of the words."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, _DOCUMENTED)]
    docstrings = [text for node in nodes if (text := ast.get_docstring(node))]
    return [text.splitlines()[0] for text in docstrings if text.split()[0] in _WORDS]


def test_docstrings_begin_with_a_precise_verb() -> None:
    paths = _paths()
    faults = {name: found for name in paths if (found := _faults((TOP / name).read_text()))}
    assert faults == {}


def test_files_of_the_whole_tree_are_read() -> None:
    paths = _paths()
    assert "nix_aurora/cli.py" in paths
    assert "tests/lint/test_words.py" in paths
    assert "payload/usr/lib/nix-aurora/nix_aurora_host/checks/store.py" in paths


@pytest.mark.parametrize(
    "source",
    [
        '"""Give a module."""',
        'class A:\n    """Have a class."""',
        'class A:\n    def b(self):\n        """Tell whether."""',
        'async def a():\n    """Be a function.\n\n    It has more lines.\n    """',
    ],
)
def test_imprecise_verb_is_found(source: str) -> None:
    assert len(_faults(source)) == 1


def test_other_verbs_and_missing_docstrings_are_no_faults() -> None:
    assert _faults('def a():\n    """Return what it gives."""\ndef b(): ...') == []
