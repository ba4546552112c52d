"""Test nix-aurora gpu: its refusals and messages."""

import json
from dataclasses import replace

import pytest
from nix_aurora_host import cli
from nix_aurora_host.commands import gpu
from nix_aurora_host.gpu import build, drivers, place
from nix_aurora_host.gpu.facts import Gpu, Nvidia, Other

from tests.unit.host.gpu.test_words import WELL

_A = WELL.target or ""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Act as root on a host without drivers; return what the command builds, shows and enables."""
    done: list[tuple[str, str]] = []

    def build_drivers(installable: str) -> str:
        done.append(("build", installable))
        return _A

    def note(installable: str, target: str, _keep: object) -> None:
        done.append((installable, target))

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(gpu, "gather_gpu", Gpu)
    monkeypatch.setattr(gpu, "read", lambda _path: "mount\n")
    monkeypatch.setattr(build, "build", build_drivers)
    monkeypatch.setattr(build, "show", lambda installable: done.append(("show", installable)))
    monkeypatch.setattr(drivers, "find_nvidia", lambda _path: None)
    monkeypatch.setattr(place, "enable", note)
    return done


def _see(monkeypatch: pytest.MonkeyPatch, found: Gpu) -> None:
    monkeypatch.setattr(gpu, "gather_gpu", lambda: found)


def test_enabled_installable_or_else_mesa_is_the_default(
    host: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["gpu", "enable"]) == 0
    assert host == [("build", "nixpkgs#mesa"), ("nixpkgs#mesa", _A)]
    assert capsys.readouterr().err == f"gpu: enabled; /run/opengl-driver leads to {_A}\n"
    _see(monkeypatch, replace(WELL, installable="path:/x#y"))
    monkeypatch.setattr(gpu, "read", lambda _path: "namespace\n")
    assert cli.main(["gpu", "enable"]) == 0
    assert host[2:] == [("build", "path:/x#y"), ("path:/x#y", _A)]
    error = capsys.readouterr().err
    assert error.startswith(f"gpu: {_A} is up to date\n")
    assert "inside nix-aurora shell" in error
    assert cli.main(["gpu", "enable", "nixpkgs#mesa"]) == 0
    assert host[4:] == [("build", "nixpkgs#mesa"), ("nixpkgs#mesa", _A)]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Gpu(link="/x"), "/run/opengl-driver (it leads to /x)"),
        (Gpu(others=(Other("/etc/x", "Home Manager's unit"),)), "/etc/x (Home Manager's unit)"),
        (replace(WELL, occupied=True, link=None), "/run/opengl-driver (it is no link)"),
    ],
)
def test_enable_refuses_to_replace_files_of_others(
    host: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: Gpu,
    words: str,
) -> None:
    _see(monkeypatch, found)
    assert cli.main(["gpu", "enable"]) == 1
    error = capsys.readouterr().err
    assert f"cannot enable the drivers: {words}: expected no file, or one that " in error
    assert "nothing was changed\nhint: nix-aurora gpu status\n" in error
    assert host == []


def test_nvidia_alone_is_refused_before_anything_is_built(
    host: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _see(monkeypatch, Gpu(nvidia=Nvidia("570.153.02")))
    assert cli.main(["gpu", "enable"]) == 1
    error = capsys.readouterr().err
    for words in ("570.153.02", "Home Manager", "nixGL", "sudo nix-aurora gpu enable --software"):
        assert words in error
    assert host == []
    # An administrator's own installable may have NVIDIA's libraries, so it is built and checked.
    assert cli.main(["gpu", "enable", "path:/x#y"]) == 1
    assert host == [("build", "path:/x#y")]
    monkeypatch.setattr(drivers, "find_nvidia", lambda _path: "570.153.02")
    assert cli.main(["gpu", "enable", "path:/x#y"]) == 0
    assert "as the kernel module" in capsys.readouterr().err


def test_mesa_is_enabled_beside_another_gpu_or_for_software(
    host: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _see(monkeypatch, Gpu(nvidia=Nvidia("570.153.02", ("amdgpu",))))
    assert cli.main(["gpu", "enable"]) == 0
    assert "gpu: programs use the GPU of amdgpu, and not NVIDIA's\n" in capsys.readouterr().err
    _see(monkeypatch, Gpu(nvidia=Nvidia("570.153.02")))
    assert cli.main(["gpu", "enable", "--software"]) == 0
    assert "gpu: programs render in software" in capsys.readouterr().err
    assert len(host) == 4


def test_dry_run_shows_the_changes(
    host: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert cli.main(["gpu", "enable", "--dry-run"]) == 0
    assert host == [("show", "nixpkgs#mesa")]
    assert "  /etc/tmpfiles.d/nix-aurora-gpu.conf\n" in capsys.readouterr().err
    monkeypatch.setattr(place, "find_made", lambda: ["/run/opengl-driver"])
    assert cli.main(["gpu", "disable", "--dry-run"]) == 0
    assert capsys.readouterr().err == "/run/opengl-driver: would be removed\n"


@pytest.mark.usefixtures("host")
def test_only_root_may_enable_or_disable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert cli.main(["gpu", "enable", "path:/a b#c"]) == 2
    assert "hint: sudo nix-aurora gpu enable 'path:/a b#c'\n" in capsys.readouterr().err
    monkeypatch.setattr(place, "find_made", lambda: ["/run/opengl-driver"])
    assert cli.main(["gpu", "disable"]) == 2
    assert "hint: sudo nix-aurora gpu disable\n" in capsys.readouterr().err


@pytest.mark.usefixtures("host")
def test_disable_names_the_removed_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(place, "find_made", list)
    assert cli.main(["gpu", "disable"]) == 0
    assert capsys.readouterr().err == "gpu: not enabled; nothing was changed\n"
    monkeypatch.setattr(place, "find_made", lambda: ["/run/opengl-driver"])
    monkeypatch.setattr(place, "disable", lambda: ["/run/opengl-driver"])
    assert cli.main(["gpu", "disable"]) == 0
    assert capsys.readouterr().err.startswith("/run/opengl-driver: removed\ngpu: disabled; ")


@pytest.mark.usefixtures("host")
def test_unwritable_file_is_an_error_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_words: object) -> None:
        raise OSError(30, "Read-only file system", "/etc/tmpfiles.d/x\x1b")

    monkeypatch.setattr(place, "enable", fail)
    assert cli.main(["gpu", "enable"]) == 1
    error = capsys.readouterr().err
    assert "cannot run gpu enable: /etc/tmpfiles.d/x\\x1b: Read-only file system\n" in error
    assert error.endswith("hint: findmnt --target /etc/tmpfiles.d\n")


def test_status_is_printed_as_text_and_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _see(monkeypatch, WELL)
    assert cli.main(["gpu", "status"]) == 0
    assert "drivers     mesa-25.3, of nixpkgs#mesa\n" in capsys.readouterr().out
    assert cli.main(["gpu", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["drivers"] == _A
