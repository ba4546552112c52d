"""Test that the line and the link never name drivers without a root, even after a kill."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from nix_aurora_host import paths, system
from nix_aurora_host.errors import CommandError
from nix_aurora_host.gpu import place, tmpfiles

from tests.unit.host.nix_database import A, B, Nix

_A, _B = f"/nix/store/{A}", f"/nix/store/{B}"


def _keep(_path: str) -> None:
    """Accept any path, as Nix accepts an existing one."""


def _roots() -> set[str]:
    names = system.names(paths.GPU_ROOTS) or ()
    return {os.readlink(f"{paths.GPU_ROOTS}/{name}") for name in names}  # noqa: PTH115


def _state() -> tuple[str | None, str | None, set[str]]:
    """Return the targets of the line, of the link, and of the roots."""
    line = tmpfiles.parse(system.read(paths.GPU_TMPFILES) or "")[1]
    return line, system.link(paths.GPU_LINK), _roots()


def _listing(top: Path) -> list[str]:
    return sorted(str(path) for path in top.rglob("*"))


def test_second_enable_replaces_and_disable_leaves_nothing(nix: Nix) -> None:
    top = nix.top.parent
    (top / "etc/tmpfiles.d").mkdir(parents=True)
    before = _listing(top)
    place.enable("nixpkgs#mesa", _A, _keep)
    assert _state() == (_A, _A, {_A})
    place.enable("nixpkgs#mesa", _A, _keep)
    place.enable("path:/x#y", _B, _keep)
    assert _state() == (_B, _B, {_B})
    assert 'installable: "path:/x#y"' in Path(paths.GPU_TMPFILES).read_text()
    removed = place.disable()
    assert removed[:2] == [paths.GPU_LINK, paths.GPU_TMPFILES]
    assert _listing(top) == before
    assert place.disable() == []


@pytest.mark.usefixtures("nix")
def test_link_of_others_is_kept() -> None:
    place.enable("nixpkgs#mesa", _A, _keep)
    Path(paths.GPU_LINK).unlink()
    Path(paths.GPU_LINK).symlink_to("/somewhere")
    assert paths.GPU_LINK not in place.disable()
    assert _state() == (None, "/somewhere", set())


@pytest.mark.usefixtures("nix")
def test_enable_of_a_collected_path_changes_nothing() -> None:
    def fail(_path: str) -> None:
        raise CommandError("it is gone")

    with pytest.raises(CommandError):
        place.enable("nixpkgs#mesa", _A, fail)
    assert place.find_made() == []
    place.enable("nixpkgs#mesa", _A, _keep)
    with pytest.raises(CommandError):
        place.enable("nixpkgs#mesa", _B, fail)
    with pytest.raises(CommandError):
        place.enable("nixpkgs#mesa", _A, fail)
    assert _state() == (_A, _A, {_A})


def test_roots_of_another_layout_are_removed_too(nix: Nix, monkeypatch: pytest.MonkeyPatch) -> None:
    other = nix.top / "relocated/var/nix/gcroots/nix-aurora-gpu"
    other.mkdir(parents=True)
    (other / A).symlink_to(_A)
    layouts = [{"home": str(nix.top / "relocated"), "store": "/nix/store"}]
    monkeypatch.setattr("nix_aurora_host.layouts.read_all", lambda: layouts)
    assert place.disable() == [str(other / A), str(other)]


def test_line_and_link_are_removed_without_a_store(nix: Nix) -> None:
    """This is the state after a purge."""
    place.enable("nixpkgs#mesa", _A, _keep)
    nix.top.rename(nix.top.with_name("gone"))
    assert place.disable() == [paths.GPU_LINK, paths.GPU_TMPFILES]


class _KilledError(BaseException):
    """The simulated end of the process."""


def _kill_after(patch: pytest.MonkeyPatch, calls: int) -> None:
    """Allow this number of calls that change files, and then raise _KilledError."""
    left = calls

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def count(*words: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise _KilledError
            return call(*words, **options)

        return count

    for name in ("mkdir", "symlink", "rename", "unlink", "rmdir", "fsync"):
        patch.setattr(os, name, counted(getattr(os, name)))


def _run_killed(act: Callable[[], object], calls: int) -> bool:
    """Run ``act``; return whether it was killed after this number of calls."""
    with pytest.MonkeyPatch.context() as patch:
        _kill_after(patch, calls)
        try:
            act()
        except _KilledError:
            return True
    return False


@pytest.mark.usefixtures("nix")
def test_targets_of_line_and_link_have_a_root_after_a_kill() -> None:
    for calls in range(100):
        place.enable("nixpkgs#mesa", _A, _keep)
        killed = _run_killed(lambda: place.enable("nixpkgs#mesa", _B, _keep), calls)
        line, link, roots = _state()
        assert {line, link} <= roots
        place.enable("nixpkgs#mesa", _B, _keep)  # a repeated run has the same result
        assert _state() == (_B, _B, {_B})
        if not killed:
            return
    pytest.fail("expected an end within 100 calls")


@pytest.mark.usefixtures("nix")
def test_killed_disable_can_be_repeated() -> None:
    for calls in range(100):
        place.enable("nixpkgs#mesa", _A, _keep)
        killed = _run_killed(place.disable, calls)
        line, link, roots = _state()
        assert {line, link} - {None} <= roots
        place.disable()
        assert place.find_made() == []
        assert _state() == (None, None, set())
        if not killed:
            return
    pytest.fail("expected an end within 100 calls")
