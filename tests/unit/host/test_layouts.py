"""The layouts: what the package says of each, and what a boot has written down."""

import os
import re
from pathlib import Path

import pytest
from nix_aurora_host import layouts, paths

from tests.readme import TOP

_MOUNT = layouts.read_layout("mount")
_UNITS = TOP / "payload/usr/lib/systemd/system"


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of this boot, which is not there yet."""
    path = tmp_path / "env"
    monkeypatch.setattr(layouts, "CHOSEN", os.fspath(path))
    return path


def test_a_boot_without_a_file_has_the_mount_layout(env: Path) -> None:
    assert not env.exists()
    assert layouts.read_chosen() == _MOUNT
    assert _MOUNT["store"] == "/nix/store"
    assert _MOUNT["home"] == "/var/lib/nix"
    assert _MOUNT["profile"] == "/nix/var/nix/profiles/default"


def test_what_the_boot_has_written_counts(env: Path) -> None:
    env.write_text("# why\n\nNIX_AURORA_LAYOUT=other\nNIX_AURORA_STORE=/run/other/store\n")
    chosen = layouts.read_chosen()
    assert chosen == {**_MOUNT, "layout": "other", "store": "/run/other/store"}
    assert layouts.is_relocated(chosen)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"NIX_AURORA_STORE",
        b"NIX_AURORA_STORE=",
        b"NIX_AURORA_STORE=relative",
        b"NIX_AURORA_STORE=/run/$(id)/store\n",
        b"NIX_AURORA_STORE='/run/x/store'\n",
        b"NIX_AURORA_STORE=/run/a b\n",
        b"NIX_AURORA_STORE=/run/\xff\n",
        b"NIX_AURORA_LAYOUT=/run\n",
        b"STORE=/run/x/store\nexport NIX_AURORA_STORE=/run/x/store\n",
        b"\0" * (1 << 20),
        b"\x1b]0;title\x07=x\n",
    ],
)
def test_a_strange_file_changes_nothing(env: Path, content: bytes) -> None:
    env.write_bytes(content)
    assert layouts.read_chosen() == _MOUNT


@pytest.mark.parametrize("kind", ["directory", "fifo", "dangling link", "closed"])
def test_what_is_no_readable_file_changes_nothing(
    env: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "directory":
        env.mkdir()
    elif kind == "fifo":
        os.mkfifo(env)
    elif kind == "dangling link":
        env.symlink_to("nowhere")
    else:
        monkeypatch.setattr(os.path, "isfile", lambda _: True)  # it has just gone
    assert layouts._read(layouts.CHOSEN) == ""


def test_an_empty_value_is_one(env: Path) -> None:
    env.write_text("NIX_AURORA_USER_LINK=\n")
    assert layouts.read_chosen()["user_link"] == ""


def test_the_constants_are_those_of_the_mount_layout_here() -> None:
    assert not paths.RELOCATED
    assert (
        _MOUNT["home"],
        _MOUNT["store"],
        paths.MOUNT,
    ) == (paths.HOME, paths.PREFIX, paths.STORE_MOUNT)


# --- the files of the package


def test_a_layout_has_the_name_of_its_file() -> None:
    names = sorted(path.name for path in Path(layouts.FOLDER).iterdir())
    assert [layout["layout"] for layout in layouts.read_all()] == names
    assert all(re.fullmatch("[a-z]+", name) for name in names)  # as settings.bash has it


def test_every_line_of_a_layout_counts() -> None:
    for path in Path(layouts.FOLDER).iterdir():
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        layout = layouts.read_layout(path.name)
        assert layout.keys() == _MOUNT.keys()
        assert {f"NIX_AURORA_{key.upper()}={layout[key]}" for key in layout} >= set(lines)


def test_the_unit_of_a_layout_mounts_its_store_where_it_says() -> None:
    for layout in layouts.read_all():
        unit = (_UNITS / layout["mount"]).read_text()
        shown, home = layout["store"], f"{layout['home']}/store"
        if not layouts.is_relocated(layout):
            shown, home = shown.removesuffix("/store"), layout["home"]
        assert f"\nWhat={home}\nWhere={shown}\n" in unit
        assert layout["mount"] == f"{shown[1:].replace('/', '-')}.mount"
        if layout["layout"] != "namespace":
            assert f"\nConditionPathExists=/run/nix-aurora/{layout['layout']}\n" in unit
