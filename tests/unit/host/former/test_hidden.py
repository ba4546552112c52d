"""Test that a store which our mount on /nix hides is found."""

import os
import subprocess
import sys
from pathlib import Path

import nix_aurora_host
from nix_aurora_host.former.hidden import find_hidden

# This makes a root directory with /nix in $1, and mounts over that /nix, in a new namespace.
_MOUNT = """
set -eu
mount -t tmpfs root "$1"
mkdir -p "$1/nix/$4" "$1/nix/var/nix/db"
mount -t tmpfs ours "$1/nix"
exec "$2" -c "$3" "$1"
"""
_LOOK = """
import os, sys
from nix_aurora_host.former.hidden import find_hidden
for store in find_hidden(sys.argv[1]):
    print(store.path, store.source, os.listdir(store.seen))
"""


def _look(place: Path, name: str) -> str:
    words: list[str | Path] = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", place]
    words += [sys.executable, _LOOK, name]
    path = str(Path(nix_aurora_host.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.check_output(words, text=True, env=environment)


def test_store_below_our_mount_is_found(tmp_path: Path) -> None:
    said = _look(tmp_path, "store")
    assert said.startswith(" /nix, below the mount of /var/lib/nix [")
    assert "'store'" in said


def test_other_files_below_our_mount_are_not_a_store(tmp_path: Path) -> None:
    assert _look(tmp_path, "files") == ""


def test_nothing_is_found_without_the_right_to_mount(tmp_path: Path) -> None:
    assert list(find_hidden(str(tmp_path / "gone"))) == []
