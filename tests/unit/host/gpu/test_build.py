"""Test what Nix is asked to build, and which of its outputs is used."""

import subprocess

import pytest
from nix_aurora_host.errors import CommandError
from nix_aurora_host.gpu import build

from tests.unit.host.nix_database import A, B, Nix

_A, _B = f"/nix/store/{A}", f"/nix/store/{B}"


class _FakeNix:
    """A fake nix that prints the outputs of each installable, and fails for unknown ones."""

    def __init__(self, outputs: dict[str, str]) -> None:
        self._outputs = outputs
        self.asked: list[str] = []

    def __call__(
        self, command: list[str], **_options: object
    ) -> "subprocess.CompletedProcess[str]":
        self.asked.append(command[-1])
        output = self._outputs.get(command[-1])
        code = 1 if output is None else 0
        return subprocess.CompletedProcess(command, code, output or "")


def _answer(monkeypatch: pytest.MonkeyPatch, outputs: dict[str, str]) -> _FakeNix:
    fake = _FakeNix(outputs)
    monkeypatch.setattr(subprocess, "run", fake)
    return fake


def _drivers(nix: Nix, name: str) -> None:
    (nix.store / name / "share/vulkan/icd.d").mkdir(parents=True)
    (nix.store / name / "share/vulkan/icd.d/x.json").touch()


def test_output_with_drivers_is_used(nix: Nix, monkeypatch: pytest.MonkeyPatch) -> None:
    _drivers(nix, B)
    fake = _answer(monkeypatch, {"nixpkgs#mesa": f"{_A}\n{_B}\n"})
    assert build.build("nixpkgs#mesa") == _B
    assert fake.asked == ["nixpkgs#mesa"]


def test_output_drivers_of_older_nixpkgs_is_used(nix: Nix, monkeypatch: pytest.MonkeyPatch) -> None:
    _drivers(nix, B)
    fake = _answer(monkeypatch, {"nixpkgs#mesa": f"{_A}\n", "nixpkgs#mesa^drivers": f"{_B}\n"})
    assert build.build("nixpkgs#mesa") == _B
    assert fake.asked == ["nixpkgs#mesa", "nixpkgs#mesa^drivers"]


@pytest.mark.usefixtures("nix")
@pytest.mark.parametrize(
    ("installable", "asked"), [("nixpkgs#hello", 2), ("nixpkgs#mesa^out", 1), (_A, 1)]
)
def test_package_without_drivers_is_refused(
    monkeypatch: pytest.MonkeyPatch, installable: str, asked: int
) -> None:
    fake = _answer(monkeypatch, {installable: f"{_A}\nnonsense\n/etc\n"})
    with pytest.raises(CommandError, match=r"share/vulkan/icd\.d.*nothing was changed") as caught:
        build.build(installable)
    assert f"got {_A};" in caught.value.message
    assert len(fake.asked) == asked


def test_failed_build_is_an_error_message(monkeypatch: pytest.MonkeyPatch) -> None:
    _answer(monkeypatch, {})
    for act in (build.build, build.show):
        with pytest.raises(CommandError, match=r"cannot build x\\n#y: nix build .*exit code 1"):
            act("x\n#y")
    with pytest.raises(CommandError, match="it was deleted meanwhile"):
        build.keep(_A)


def test_existing_path_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = _answer(monkeypatch, {_A: "", "nixpkgs#mesa": ""})
    build.keep(_A)
    build.show("nixpkgs#mesa")
    assert fake.asked == [_A, "nixpkgs#mesa"]
