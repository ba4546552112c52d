"""Make this host's store and another Nix's in a test's directories, without Nix."""

import os
from pathlib import Path

import pytest
from nix_aurora_host import disk, paths
from nix_aurora_host.adopt import complete
from nix_aurora_host.database import files
from nix_aurora_host.importer import syscalls

from tests.unit.host.nix_database import A, B, C, D, Nix, make_nix, name

PACKAGED = name("p", "nix-2.34")
USER = "gcroots/per-user"


class Stores:
    """Two stores: ``ours`` has the package, ``theirs`` a user's paths.

    C refers to B, and B to A.
    """

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = top
        self.ours = make_nix(top / "ours", monkeypatch)
        self.theirs = Nix(top / "theirs")
        (self.ours.state / "daemon-socket").mkdir()
        changed = {
            "ADOPTION": self.ours.own / "adopt",
            "ASIDE": self.ours.own / "aside",
            "ROOTS": self.ours.state / "gcroots/nix-aurora",
            "PROFILE": self.ours.state / "profiles/default",
        }
        for attribute, value in changed.items():
            monkeypatch.setattr(paths, attribute, os.fspath(value))
        monkeypatch.setattr(complete, "label", lambda: None)
        monkeypatch.setattr(complete, "end_processes", lambda: 0)
        # a sync of this machine's disk would also sync everything else on it
        for module in (disk, files, syscalls):
            monkeypatch.setattr(module, "sync", lambda _: None)
        self.ours.add(PACKAGED)
        self.ours.make_database([PACKAGED])
        for path_name in (A, B, C, D):
            self.theirs.add(path_name)
        self.theirs.make_database([A, B, C, D], [(C, B), (B, A), (B, B)])
        self.fit()

    def fit(self) -> None:
        """Set the modes of all files in both stores, as Nix does."""
        for nix in (self.ours, self.theirs):
            for directory, _, found in os.walk(nix.store, topdown=False):
                for file in found:
                    path = Path(directory, file)
                    if not path.is_symlink() and not path.stat().st_mode & 0o100:
                        path.chmod(0o444)

    def profile(self, nix: Nix, profile: str, *generations: str) -> None:
        """Make a profile with a generation for each store path; the last one is current."""
        place = nix.state / profile
        place.parent.mkdir(parents=True, exist_ok=True)
        for number, path_name in enumerate(generations, start=1):
            link = place.with_name(f"{place.name}-{number}-link")
            link.symlink_to(f"/nix/store/{path_name}")
            place.unlink(missing_ok=True)
            place.symlink_to(link.name)


def listing(top: Path) -> dict[str, str]:
    """Return the content of a directory: links with their targets, files with their text."""
    found = {}
    for directory, directories, others in os.walk(top):
        for entry in [*directories, *others]:
            path = Path(directory, entry)
            key = str(path.relative_to(top))
            if path.is_symlink():
                found[key] = f"-> {path.readlink()}"
            elif path.is_file():
                found[key] = path.read_bytes().hex() if "db" not in path.parts else "database"
            else:
                found[key] = "directory"
    return found
