"""Test the package's descriptions of the layouts, and the file that a boot writes."""

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
    """Return this boot's file, which does not exist yet."""
    path = tmp_path / "env"
    monkeypatch.setattr(layouts, "CHOSEN", os.fspath(path))
    return path


def test_boot_without_a_file_has_the_mount_layout(env: Path) -> None:
    assert not env.exists()
    assert layouts.read_chosen() == _MOUNT
    assert _MOUNT["store"] == "/nix/store"
    assert _MOUNT["home"] == "/var/lib/nix"
    assert _MOUNT["profile"] == "/nix/var/nix/profiles/default"


def test_values_of_the_boot_are_used(env: Path) -> None:
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
def test_invalid_file_is_ignored(env: Path, content: bytes) -> None:
    env.write_bytes(content)
    assert layouts.read_chosen() == _MOUNT


@pytest.mark.parametrize("kind", ["directory", "fifo", "dangling link", "closed"])
def test_unreadable_file_is_ignored(env: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "directory":
        env.mkdir()
    elif kind == "fifo":
        os.mkfifo(env)
    elif kind == "dangling link":
        env.symlink_to("nowhere")
    else:
        # the file disappears just after the check
        monkeypatch.setattr(os.path, "isfile", lambda _: True)
    assert layouts._read(layouts.CHOSEN) == ""


def test_empty_value_is_kept(env: Path) -> None:
    env.write_text("NIX_AURORA_USER_LINK=\n")
    assert layouts.read_chosen()["user_link"] == ""


def test_constants_are_those_of_the_mount_layout() -> None:
    assert not paths.RELOCATED
    assert (
        _MOUNT["home"],
        _MOUNT["store"],
        paths.MOUNT,
    ) == (paths.HOME, paths.PREFIX, paths.STORE_MOUNT)


# --- the files of the package


def test_layout_has_the_name_of_its_file() -> None:
    names = sorted(path.name for path in Path(layouts.FOLDER).iterdir())
    assert [layout["layout"] for layout in layouts.read_all()] == names
    # the form that settings.bash accepts
    assert all(re.fullmatch("[a-z]+", name) for name in names)


def test_every_line_of_a_layout_is_read() -> None:
    for path in Path(layouts.FOLDER).iterdir():
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        layout = layouts.read_layout(path.name)
        assert layout.keys() == _MOUNT.keys()
        assert {f"NIX_AURORA_{key.upper()}={layout[key]}" for key in layout} >= set(lines)


def test_unit_of_a_layout_mounts_its_store() -> None:
    for layout in layouts.read_all():
        unit = (_UNITS / layout["mount"]).read_text()
        shown, home = layout["store"], f"{layout['home']}/store"
        if not layouts.is_relocated(layout):
            shown, home = shown.removesuffix("/store"), layout["home"]
        assert f"\nWhat={home}\nWhere={shown}\n" in unit
        assert layout["mount"] == f"{shown[1:].replace('/', '-')}.mount"
        if layout["layout"] != "namespace":
            assert f"\nConditionPathExists=/run/nix-aurora/{layout['layout']}\n" in unit
