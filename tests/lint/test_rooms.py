"""The builder's rooms, from its imports: each uses those before it, and nothing goes in circles."""

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.lint.shell import TOP

_PACKAGE = "nix_aurora"
_LINES = 250  # of a module
_LINES_OF_FUNCTION = 50
_BUILDER = TOP / _PACKAGE
_BASE = ""  # the modules beside the rooms
# In the order in which data passes them.
_ROOMS = (_BASE, "release", "store", "closure", "package", "publish", "commands", "cli")


def _module(path: Path) -> str:
    """Return a module's name below the package: ``store.nar``, ``store`` for its ``__init__``."""
    name = ".".join(path.relative_to(_BUILDER).with_suffix("").parts)
    return name.removesuffix("__init__").removesuffix(".")


def _imports(source: str, modules: frozenset[str]) -> set[str]:
    """Return the modules of the builder that ``source`` imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, below = name.partition(".")
            if package == _PACKAGE:
                # What is imported from a module is not a module itself.
                found.add(below if below in modules else below.rpartition(".")[0])
    return found


def _graph() -> dict[str, set[str]]:
    sources = {_module(path): path.read_text() for path in _BUILDER.rglob("*.py")}
    modules = frozenset(sources)
    return {name: _imports(text, modules) for name, text in sources.items()}


def _room(module: str) -> str:
    room, separator, _ = module.partition(".")
    return room if separator or room in _ROOMS else _BASE


def _backward(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the imports of a later room by an earlier one."""
    return [
        f"{module} imports {imported}"
        for module, all_imported in sorted(graph.items())
        for imported in sorted(all_imported)
        if _ROOMS.index(_room(imported)) > _ROOMS.index(_room(module))
    ]


def test_imports_go_one_way() -> None:
    assert _backward(_graph()) == []


def test_there_is_no_cycle() -> None:
    TopologicalSorter(_graph()).prepare()


def test_commands_do_not_know_each_other() -> None:
    """What two of them share has a module of its own."""
    graph = _graph()
    commands = {name for name in graph["cli"] if name.startswith("commands.")}
    commands -= {"commands.command"}
    assert len(commands) >= 9
    for name in commands:
        assert graph[name] & commands == set(), name


def test_every_folder_is_a_room_that_says_what_it_is_for() -> None:
    folders = {path.parent.name: path for path in _BUILDER.glob("*/__init__.py")}
    assert set(folders) == set(_ROOMS) - {_BASE, "cli"}
    for name, path in folders.items():
        tree = ast.parse(path.read_text())
        text = ast.get_docstring(tree)
        assert text is not None, name
        assert "\nIn: " in text, name
        assert "\nOut: " in text, name
        assert len(tree.body) == 1, f"{name}: an import of it must not import anything else"


def test_modules_and_functions_are_short() -> None:
    long = []
    for path in sorted(_BUILDER.rglob("*.py")):
        text = path.read_text()
        functions = (
            node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)
        )
        long += [str(path)] if text.count("\n") > _LINES else []
        long += [
            f"{path}: {node.name}"
            for node in functions
            if (node.end_lineno or 0) - node.lineno >= _LINES_OF_FUNCTION
        ]
    assert long == []


def test_the_reader_of_imports_finds_them_all() -> None:
    """What the tests above stand on."""
    graph = _graph()
    assert {"errors", "store.hashes"} <= graph["store.reginfo"]
    text = "def f():\n    from nix_aurora.store import nar\nimport nix_aurora.closure.stage\n"
    assert _imports(text, frozenset({"store.nar", "closure.stage"})) == {
        "store.nar",
        "closure.stage",
    }


@pytest.mark.parametrize(
    ("module", "imported"),
    [("store.nar", "closure.stage"), ("errors", "store.nar"), ("publish.copr", "cli")],
)
def test_a_wrong_import_is_found(module: str, imported: str) -> None:
    assert _backward({module: {imported}, imported: set()})
    with pytest.raises(CycleError):
        TopologicalSorter({module: {imported}, imported: {module}}).prepare()
