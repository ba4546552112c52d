"""Test which lines of tmpfiles.d are ours, Home Manager's, or an administrator's."""

from pathlib import Path

import pytest
from nix_aurora_host.gpu.facts import Other
from nix_aurora_host.gpu.tmpfiles import find_others, parse, render, sets_link

from tests.leftovers import Files, Link, write

_TARGET = f"/nix/store/{'a' * 32}-mesa-25.3"
_HOME_MANAGER = "/etc/systemd/system/non-nixos-gpu.service"
_LINE = f"L+ /run/opengl-driver - - - - {_TARGET}\n"


@pytest.mark.parametrize("installable", ["nixpkgs#mesa", "path:/a b#c", "x\nL /etc/passwd - -", ""])
def test_written_file_is_read_back(installable: str) -> None:
    text = render(installable, _TARGET)
    assert parse(text) == (installable, _TARGET)
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        f"L /run/opengl-driver - - - - {_TARGET}"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# installable: {\n",
        render("x", "/etc"),
        render("x", f"{_TARGET}/lib"),
        render("x", f"/nix/store/{'e' * 32}-mesa"),  # not in Nix's alphabet
        render("x", _TARGET) + "d /run/more\n",
        render("x", _TARGET).replace("/run/opengl-driver", "/run/other"),
    ],
)
def test_line_that_gpu_enable_did_not_write_is_ignored(text: str) -> None:
    assert parse(text)[1] is None


def test_installable_is_read_from_a_damaged_file() -> None:
    assert parse(render("path:/x#y", _TARGET).replace("L ", "Q ")) == ("path:/x#y", None)


@pytest.mark.parametrize(
    ("line", "sets"),
    [
        (_LINE, True),
        (f"  L   '/run//opengl-driver/' - - - - {_TARGET}", True),
        ("L! /run/opengl-driver", True),
        ("r /run/opengl-driver", True),
        ('L "/run/opengl-driver', False),
        ("# L /run/opengl-driver", False),
        ("x /run/opengl-driver", False),
        ("z /run/opengl-driver - - -", False),
        ("L /run/opengl-driver-32 - - - - /x", False),
        ("L", False),
        ("d /run/x", False),
    ],
)
def test_line_that_sets_the_link_is_recognized(line: str, sets: bool) -> None:
    assert sets_link(line) == sets


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, ()),
        ({"/usr/lib/tmpfiles.d/x.conf": "d /run/opengl-driver-32\n"}, ()),
        ({"/etc/tmpfiles.d/nix-aurora-gpu.conf": _LINE}, ()),
        ({"/etc/tmpfiles.d/x.conf.old": _LINE}, ()),
        ({_HOME_MANAGER: Link("/nix/store/x/non-nixos-gpu.service")}, (_HOME_MANAGER,)),
        (
            {"/etc/tmpfiles.d/non-nixos-gpu.conf": Link("/nix/store/gone")},
            ("/etc/tmpfiles.d/non-nixos-gpu.conf",),
        ),
        ({"/usr/lib/tmpfiles.d/x.conf": _LINE}, ("/usr/lib/tmpfiles.d/x.conf",)),
        # The administrator's file of the same name takes precedence.
        ({"/usr/lib/tmpfiles.d/x.conf": _LINE, "/etc/tmpfiles.d/x.conf": Link("/dev/null")}, ()),
    ],
)
def test_files_of_others_are_found(files: Files, found: tuple[str, ...], tmp_path: Path) -> None:
    write(tmp_path, files)
    assert tuple(other.path for other in find_others(str(tmp_path))) == found


def test_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(_LINE)
    write(tmp_path, {"/etc/tmpfiles.d/x.conf": Link("../../file")})
    assert find_others(str(tmp_path)) == (Other("/etc/tmpfiles.d/x.conf", "a file of tmpfiles.d"),)
