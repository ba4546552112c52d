"""Test the folders ("rooms") by their imports: each uses only earlier ones, without cycles."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from nix_aurora_host.cli import COMMANDS

from tests.lint.shell import TOP

_LINES = 250  # lines of a module
_LINES_OF_FUNCTION = 50
_BASE = ""  # the room of modules that are in no folder


@dataclass(frozen=True)
class Package:
    """A package with its rooms, in the order in which data passes through them; cli is one room."""

    folder: Path
    rooms: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the name under which modules import it."""
        return self.folder.name

    def room(self, module: str) -> str:
        """Return the room of a module."""
        room, separator, _ = module.partition(".")
        return room if separator or room in self.rooms else _BASE

    def module(self, path: Path) -> str:
        """Return a module's name: ``store.nar``, ``store`` for its ``__init__``."""
        name = ".".join(path.relative_to(self.folder).with_suffix("").parts)
        return name.removesuffix("__init__").removesuffix(".")

    def imports(self, source: str, modules: frozenset[str]) -> set[str]:
        """Return the modules of the package that ``source`` imports."""
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
                if package == self.name:
                    # A name that is imported from a module is not a module itself.
                    found.add(below if below in modules else below.rpartition(".")[0])
        return found

    def graph(self) -> dict[str, set[str]]:
        """Return the modules, each with its imports."""
        sources = {self.module(path): path.read_text() for path in self.folder.rglob("*.py")}
        modules = frozenset(sources)
        return {name: self.imports(text, modules) for name, text in sources.items()}

    def backward(self, graph: Mapping[str, set[str]]) -> list[str]:
        """Return the imports of a later room by an earlier one."""
        return [
            f"{module} imports {imported}"
            for module, all_imported in sorted(graph.items())
            for imported in sorted(all_imported)
            if self.rooms.index(self.room(imported)) > self.rooms.index(self.room(module))
        ]


BUILDER = Package(
    TOP / "nix_aurora",
    (_BASE, "release", "store", "closure", "package", "publish", "commands", "cli"),
)
HOST = Package(
    TOP / "payload/usr/lib/nix-aurora/nix_aurora_host",
    (
        *(_BASE, "former", "nix_root", "database", "importer", "adopt", "gpu", "collection"),
        *("move", "gather"),
        *("checks", "report", "commands", "cli"),
    ),
)
each_package = pytest.mark.parametrize("package", [BUILDER, HOST], ids=lambda package: package.name)


@each_package
def test_imports_go_one_way(package: Package) -> None:
    assert package.backward(package.graph()) == []


@each_package
def test_there_is_no_cycle(package: Package) -> None:
    TopologicalSorter(package.graph()).prepare()


def _commands(package: Package) -> set[str]:
    if package is HOST:  # cli loads its commands by name
        return {f"commands.{name.replace('-', '_')}" for name in COMMANDS}
    imported = {name for name in package.graph()["cli"] if name.startswith("commands.")}
    return imported - {"commands.command"}


@each_package
def test_commands_do_not_import_each_other(package: Package) -> None:
    """Code that two commands share is in a separate module."""
    graph, commands = package.graph(), _commands(package)
    assert len(commands) >= 7
    assert commands <= graph.keys()
    for name in commands:
        assert graph[name] & commands == set(), name


def test_each_module_in_the_room_of_commands_is_a_command() -> None:
    found = {name for name in HOST.graph() if name.startswith("commands.")}
    assert found == _commands(HOST) | {"commands.command"}


@each_package
def test_every_folder_is_a_room_with_a_docstring(package: Package) -> None:
    folders = {path.parent.name: path for path in package.folder.glob("*/__init__.py")}
    assert set(folders) == set(package.rooms) - {_BASE, "cli"}
    assert set(folders) == {path.parent.name for path in package.folder.glob("*/*.py")}
    for name, path in folders.items():
        tree = ast.parse(path.read_text())
        text = ast.get_docstring(tree)
        assert text is not None, name
        assert "\nIn: " in text, name
        assert "\nOut: " in text, name
        assert len(tree.body) == 1, f"{name}: importing it must not import other modules"


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@each_package
def test_modules_and_functions_are_short(package: Package) -> None:
    long = []
    for path in sorted(package.folder.rglob("*.py")):
        text = path.read_text()
        long += [str(path)] if text.count("\n") > _LINES else []
        long += [
            f"{path}: {node.name}"
            for node in _functions(ast.parse(text))
            if (node.end_lineno or 0) - node.lineno >= _LINES_OF_FUNCTION
        ]
    assert long == []


def test_every_form_of_import_is_found() -> None:
    """The tests above depend on this parser."""
    assert {"errors", "store.hashes"} <= BUILDER.graph()["store.reginfo"]
    assert {"paths", "database.nar"} <= HOST.graph()["importer.stage"]
    text = "def f():\n    from nix_aurora.store import nar\nimport nix_aurora.closure.stage\n"
    assert BUILDER.imports(text, frozenset({"store.nar", "closure.stage"})) == {
        "store.nar",
        "closure.stage",
    }


@pytest.mark.parametrize(
    ("package", "module", "imported"),
    [
        (BUILDER, "store.nar", "closure.stage"),
        (BUILDER, "errors", "store.nar"),
        (BUILDER, "publish.copr", "cli"),
        (HOST, "gather.store", "checks.store"),
        (HOST, "system", "database.nar"),
    ],
)
def test_wrong_import_is_found(package: Package, module: str, imported: str) -> None:
    assert package.backward({module: {imported}, imported: set()})
    with pytest.raises(CycleError):
        TopologicalSorter({module: {imported}, imported: {module}}).prepare()
