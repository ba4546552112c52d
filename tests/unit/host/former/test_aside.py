"""Test that setting files aside keeps their content, records their places, and deletes nothing."""

from pathlib import Path

import pytest
from nix_aurora_host import replace as editing
from nix_aurora_host.errors import USAGE, CommandError
from nix_aurora_host.former import aside as module
from nix_aurora_host.former import plan
from nix_aurora_host.former.aside import Aside
from nix_aurora_host.former.facts import Former, Kind, Trace
from nix_aurora_host.former.gather import find_former
from nix_aurora_host.former.stores import FORMER
from nix_aurora_host.former.tree import Tree

from tests.leftovers import BLOCK, CLASSIC, DETERMINATE, UPSTREAM, Files, Link, write

_SOCKET = "/etc/systemd/system/nix-daemon.socket"
_CONF = "!include nix.custom.conf\n"
_MOUNT = "/etc/systemd/system/nix.mount"


def _find(top: Path) -> Former:
    return find_former(Tree(str(top)), "", ours=True)


def _put_all(top: Path) -> dict[str, str]:
    aside = Aside(str(top), str(top / "packaged"))
    return {trace.path: aside.put(trace) for trace in _find(top).traces}


def _content(path: Path) -> str:
    return f"-> {path.readlink()}" if path.is_symlink() else path.read_text()


@pytest.mark.parametrize("files", [DETERMINATE, UPSTREAM, CLASSIC])
def test_everything_is_moved_once_and_unchanged(files: Files, tmp_path: Path) -> None:
    write(
        tmp_path, {**files, "/packaged/profile.d/nix.sh": "ours\n", "/packaged/nix/nix.conf": _CONF}
    )
    before = {path: _content(tmp_path / path[1:]) for path in files}
    kept = _put_all(tmp_path)
    assert _find(tmp_path).traces == ()
    for path, place in kept.items():
        assert place.startswith(f"{FORMER}/etc/") or path.startswith("/usr/local/")
        assert _content(tmp_path / place[1:]) == before[path]
    assert (tmp_path / "etc/profile.d/nix.sh").read_text() == "ours\n"
    assert (tmp_path / "etc/nix/nix.conf").read_text() == _CONF
    assert (tmp_path / "etc/bashrc").read_text() == "# the host's own\n"
    # The store is unchanged.
    assert {path: _content(tmp_path / path[1:]) for path in files if path.startswith("/var/")} == {
        path: text for path, text in before.items() if path.startswith("/var/")
    }


def test_directory_is_only_for_root_and_names_the_origins(tmp_path: Path) -> None:
    write(tmp_path, {_SOCKET: Link("/nix/var/nix/profiles/x/nix-daemon.socket")})
    kept = _put_all(tmp_path)
    former = tmp_path / FORMER[1:]
    assert former.stat().st_mode & 0o777 == 0o700
    note = (former / "README").read_text()
    assert note.startswith("This directory has what another Nix had left on this host.")
    (line,) = [line for line in note.splitlines() if _SOCKET in line]
    assert line.endswith(f" -> {kept[_SOCKET]}")
    assert "(unit of another Nix: leads to /nix/var/nix/profiles/x/" in line


def test_existing_file_is_kept_and_the_next_gets_a_number(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, {_MOUNT: f"[Mount]\nWhat=/{number}\nWhere=/nix\n"})
        _put_all(tmp_path)
    folder = tmp_path / FORMER[1:] / "etc/systemd/system"
    texts = [(folder / f"nix.mount{end}").read_text() for end in ("", ".1", ".2")]
    assert [text.split("\n")[1] for text in texts] == ["What=/0", "What=/1", "What=/2"]


def test_line_of_fstab_becomes_a_comment(tmp_path: Path) -> None:
    text = "UUID=1 / btrfs x\nUUID=1 /nix btrfs subvol=nix\n# end\n"
    write(tmp_path, {"/etc/fstab": text})
    (tmp_path / "etc/fstab").chmod(0o640)
    kept = _put_all(tmp_path)["/etc/fstab"]
    assert (tmp_path / "etc/fstab").read_text() == text.replace("UUID=1 /nix", "# UUID=1 /nix")
    assert (tmp_path / "etc/fstab").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / kept[1:]).read_text() == text


def test_bytes_that_are_not_text_are_kept(tmp_path: Path) -> None:
    write(tmp_path, {"/etc/bashrc": BLOCK})
    file = tmp_path / "etc/bashrc"
    file.write_bytes(BLOCK.encode() + b"# \xff\xfe\n")
    _put_all(tmp_path)
    assert file.read_bytes() == b"# \xff\xfe\n"


def test_file_on_another_file_system_is_renamed_in_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(old: str, new: str) -> None:
        if FORMER in new and FORMER not in old:
            raise OSError(18, "Invalid cross-device link")
        Path(old).rename(new)

    monkeypatch.setattr(module, "_rename", refuse)
    path = "/usr/local/bin/determinate-nixd"
    write(tmp_path, {path: "program"})
    assert _put_all(tmp_path) == {path: f"{path}.before-nix-aurora"}
    assert (tmp_path / f"{path[1:]}.before-nix-aurora").read_text() == "program"
    assert Aside(str(tmp_path)).has(path)
    note = (tmp_path / FORMER[1:] / "README").read_text()
    assert note.rstrip().endswith(f" -> {path}.before-nix-aurora")


def test_run_that_was_stopped_at_any_step_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop before and after each rename and each change."""
    renamed, edited = module._rename, editing.edit
    count = 0

    class StoppedError(Exception):
        pass

    def step(act: object, *words: object) -> None:
        nonlocal count
        count -= 1
        if count == 0:
            raise StoppedError
        act(*words)  # type: ignore[operator]
        count -= 1
        if count == 0:
            raise StoppedError

    monkeypatch.setattr(module, "_rename", lambda *words: step(renamed, *words))
    monkeypatch.setattr(editing, "edit", lambda *words: step(edited, *words))
    for stop in range(1, 200):
        top = tmp_path / str(stop)
        write(
            top,
            {**CLASSIC, "/packaged/profile.d/nix.sh": "ours\n", "/packaged/nix/nix.conf": _CONF},
        )
        before = {path: _content(top / path[1:]) for path in CLASSIC}
        count = stop
        try:
            _put_all(top)
        except StoppedError:
            count = 0
            _put_all(top)
        else:
            assert stop > len(before)
            return
        assert _find(top).traces == ()
        assert (top / "etc/bashrc").read_text() == "# the host's own\n"
        assert (top / "etc/profile.d/nix.sh").read_text() == "ours\n"
        kept = [_content(file) for file in (top / FORMER[1:]).rglob("*") if not file.is_dir()]
        for path, text in before.items():
            assert text in kept or _content(top / path[1:]) == text
    raise AssertionError("expected an end within 200 steps")


def test_directory_of_another_owner_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {_MOUNT: "[Mount]\nWhere=/nix\n", FORMER: Link("../elsewhere")})
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(OSError, match="directory"):
        _put_all(tmp_path)
    assert (tmp_path / _MOUNT[1:]).exists()


def test_unit_is_moved_with_its_links_drop_ins_and_mount(tmp_path: Path) -> None:
    write(tmp_path, DETERMINATE)
    mount = Trace(Kind.MOUNT, "/nix", "x", "y", unit="nix.mount")
    former = Former((*_find(tmp_path).traces, mount))
    chosen = plan.select(former, [_MOUNT], lambda _: False)
    assert {trace.path for trace in chosen} == {
        _MOUNT,
        "/etc/systemd/system/nix-daemon.service.requires/nix.mount",
        "/etc/systemd/system/nix-daemon.socket.requires/nix.mount",
        "/nix",
    }
    assert plan.select(former, [], lambda _: False) == [*former.traces]


@pytest.mark.parametrize("path", ["/etc/passwd", "/", "", "/etc/systemd/system/../x", "nix.mount"])
def test_other_files_are_not_set_aside(path: str, tmp_path: Path) -> None:
    write(tmp_path, DETERMINATE)
    with pytest.raises(CommandError) as caught:
        plan.select(_find(tmp_path), [path], Aside(str(tmp_path)).has)
    assert caught.value.code == USAGE


def test_file_that_an_earlier_run_has_moved_is_not_an_error(tmp_path: Path) -> None:
    write(tmp_path, {_MOUNT: "[Mount]\nWhere=/nix\n"})
    _put_all(tmp_path)
    assert plan.select(_find(tmp_path), [_MOUNT, "/nix"], Aside(str(tmp_path)).has) == []
