"""Make a package of small store paths, and a host's /var/lib/nix, in a test's directory.

Nix cannot run there. A short program replaces it, and loads registrations into the database.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from nix_aurora_host import paths
from nix_aurora_host.importer import nix, profile, run, source, syscalls
from nix_aurora_host.importer.closure import Closure, read_closure

from nix_aurora.closure.manifest import closure_id
from nix_aurora.store.hashes import to_sri
from nix_aurora.store.nar import nar_hash
from nix_aurora.store.reginfo import PathInfo
from tests.unit.host.nix_database import SCHEMA, Nix, make_nix, name

NIX, CACERT, PROFILE, LIB = (
    name("n", "nix-2.34"),
    name("c", "cacert"),
    name("p", "profile"),
    (name("l", "lib")),
)
# A store path can be a file, a link or a directory.
FILE, LINK = name("f", "file"), name("k", "link")
NAMES = {NIX, CACERT, PROFILE, LIB, FILE, LINK}
_REFERENCES = {NIX: [LIB, NIX], PROFILE: [NIX, CACERT]}
_LOAD = """
import os, sqlite3, sys
directory = os.environ.get("NIX_STATE_DIR", sys.argv[1]) + "/db"
os.makedirs(directory, exist_ok=True)
new = not os.path.exists(directory + "/db.sqlite")
database = sqlite3.connect(directory + "/db.sqlite")
database.execute("pragma synchronous = off")
if new:
    database.executescript('''SCHEMA''')
    open(directory + "/schema", "w").write("10")
lines = sys.stdin.read().splitlines()
references = []
while lines:
    path, digest, size, deriver, count = lines[:5]
    references += [(path, other) for other in lines[5:5 + int(count)]]
    del lines[:5 + int(count)]
    database.execute(
        "insert into ValidPaths (path, hash, registrationTime, narSize) values (?, ?, 1, ?) "
        "on conflict (path) do update set hash = excluded.hash, narSize = excluded.narSize",
        (path, digest, int(size)))
for pair in references:
    database.execute("insert or ignore into Refs select a.id, b.id from ValidPaths a, "
        "ValidPaths b where a.path = ? and b.path = ?", pair)
database.commit()
"""


class Package:
    """The package's files, and the host into which they are imported."""

    def __init__(self, top: Path, host: Nix) -> None:
        self.top = top
        self.host = host
        self.store = top / "package/store"
        self._fill()
        self.describe()

    def _fill(self) -> None:
        self.store.mkdir(parents=True)
        for path_name in NAMES - {FILE, LINK}:
            (self.store / path_name / "bin").mkdir(parents=True)
            program = self.store / path_name / "bin/nix"
            program.write_text(f"{path_name}\n" * 100)
            program.chmod(0o755)
            (self.store / path_name / "empty").touch(mode=0o644)
            (self.store / path_name / "link").symlink_to("bin/nix")
        (self.store / FILE).write_text("a file\n")
        (self.store / LINK).symlink_to(f"/nix/store/{FILE}")

    def describe(self, **changed: object) -> None:
        """Write closure.json, with its own id."""
        infos = []
        for path_name in sorted(NAMES):
            found = nar_hash(self.store / path_name)
            references = tuple(f"/nix/store/{other}" for other in _REFERENCES.get(path_name, []))
            path = f"/nix/store/{path_name}"
            infos.append(PathInfo(path, found.sha256, found.size, references, ""))
        roles = {"nix": NIX, "cacert": CACERT, "profile": PROFILE}
        content: dict[str, object] = {
            "schema": 2,
            "version": "2.34",
            "system": "x86_64-linux",
            "manual": None,
            **{role: f"/nix/store/{path_name}" for role, path_name in roles.items()},
            "paths": [
                {
                    "path": info.path,
                    "narHash": to_sri(info.nar_hash),
                    "narSize": info.nar_size,
                    "references": sorted(info.references),
                }
                for info in infos
            ],
        }
        content["id"] = closure_id(
            SimpleNamespace(paths=infos, nix=content["nix"], cacert=content["cacert"], manual=None)  # type: ignore[arg-type] # closure_id reads only these
        )
        Path(paths.DESCRIPTION).write_text(json.dumps(content | changed))

    @property
    def closure(self) -> Closure:
        """Return the closure as the import reads it."""
        return read_closure()

    def run_import(self) -> None:
        """Run the import."""
        run.run(self.closure)

    def add_to_store(self, path_name: str) -> Path:
        """Put one of the paths into the store, as an import leaves it."""
        target = self.host.store / path_name
        shutil.copytree(self.store / path_name, target, symlinks=True)
        for directory, _, files in os.walk(target, topdown=False):
            for file in files:
                path = Path(directory, file)
                if not path.is_symlink():
                    path.chmod(0o555 if os.access(path, os.X_OK) else 0o444)
            Path(directory).chmod(0o555)
        return target

    def check_whole(self) -> None:
        """Fail unless everything is imported, rooted and stamped."""
        assert {path.name for path in self.host.store.iterdir()} == NAMES
        for path_name in NAMES:
            assert nar_hash(self.host.store / path_name) == nar_hash(self.store / path_name)
        assert self.host.valid() == NAMES
        roots = Path(paths.ROOTS)
        assert {root.name: root.readlink().name for root in roots.iterdir()} == {
            "nix": NIX,
            "cacert": CACERT,
            "profile": PROFILE,
        }
        assert Path(paths.PROFILE).readlink() == Path("default-1-link")
        assert Path(f"{paths.PROFILE}-1-link").readlink().name == PROFILE
        assert Path(paths.STAMP).read_text() == f"{self.closure.id}\n"
        assert {path.name for path in Path(paths.WORK).iterdir()} == {f"imported-{self.closure.id}"}
        assert not Path(paths.IMPORT_NEEDED).exists()


def _as_root(rename: Callable[[str, str], None]) -> Callable[[str, str], None]:
    """Let any user rename a read-only directory, which normally only root may."""

    def renamed(old: str, new: str) -> None:
        directory = Path(old).is_dir() and not Path(old).is_symlink()
        if directory:
            Path(old).chmod(0o755)
        rename(old, new)
        if directory:
            Path(new).chmod(0o555)

    return renamed


def make_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Return a package and an empty host, on which all paths of the import are redirected."""
    host = make_nix(tmp_path / "nix", monkeypatch)
    package = tmp_path / "package"
    package.mkdir()
    changed = {
        "PACKAGED_STORE": package / "store",
        "DESCRIPTION": package / "closure.json",
        "STAMP": host.own / "imported",
        "WORK": host.own / "unpack",
        "ASIDE": host.own / "aside",
        "ROOTS": host.state / "gcroots/nix-aurora",
        "PROFILE": host.state / "profiles/default",
        "DESCRIBED": host.top / "closure",
        "USERS_MISSING": host.top / "run/users-missing",
    }
    for attribute, value in changed.items():
        monkeypatch.setattr(paths, attribute, os.fspath(value))
    monkeypatch.setattr(source, "_BOOTED", os.fspath(tmp_path / "ostree-booted"))
    monkeypatch.setattr(source, "_DEPLOYMENTS", os.fspath(tmp_path / "deploy"))
    program = tmp_path / "load.py"
    program.write_text(_LOAD.replace("SCHEMA", SCHEMA))
    command = [sys.executable, "-I", "-S", os.fspath(program), paths.STATE]
    monkeypatch.setattr(nix, "_command", lambda *_: command)
    monkeypatch.setattr(syscalls, "show", lambda *_: None)  # this needs root's rights
    monkeypatch.setattr(profile, "_run", lambda *_: "")
    monkeypatch.setattr(syscalls, "rename_new", _as_root(syscalls.rename_new))
    monkeypatch.setattr(
        syscalls, "sync", lambda _: None
    )  # a sync of this machine's disk would also sync everything else on it
    return Package(tmp_path, host)
