"""Test whether the store's own file system is expected, mounted, or missing."""

import re
import subprocess
from pathlib import Path

import pytest
from nix_aurora_host import await_setup, base_mount, cli, paths
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer import program
from nix_aurora_host.mounts import Mount

TOP = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("target", "expected"), [("unit", True), ("/dev/null", False), (None, False), ("gone", True)]
)
def test_mount_is_expected_if_its_unit_is_not_masked(
    target: str | None, expected: bool, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "unit").touch()
    if target is not None:
        (tmp_path / "etc" / base_mount.UNIT).symlink_to(tmp_path / target)
    folders = [str(tmp_path / "none"), str(tmp_path / "etc")]
    assert base_mount.is_expected(folders) == expected


def test_mask_overrides_a_generated_unit(tmp_path: Path) -> None:
    for folder in ("etc", "generator"):
        (tmp_path / folder).mkdir()
    (tmp_path / "etc" / base_mount.UNIT).symlink_to("/dev/null")
    (tmp_path / "generator" / base_mount.UNIT).touch()
    assert not base_mount.is_expected([str(tmp_path / "etc"), str(tmp_path / "generator")])


def test_topmost_mount_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    monkeypatch.setattr(paths, "BASE", str(tmp_path / "link"))
    first, second = (Mount(str(tmp_path / "disk"), source=source) for source in "ab")
    assert base_mount.find([Mount("/"), first, second]) is second
    assert base_mount.find([Mount("/"), Mount(f"{tmp_path}/disk/below")]) is None


@pytest.mark.parametrize(
    ("etc", "generator", "missing"),
    [
        (None, None, False),
        ("unit", None, True),
        (None, "unit", True),
        ("/dev/null", "unit", False),
        ("gone", None, True),
    ],
)
def test_with_nix_and_the_modules_agree(
    etc: str | None, generator: str | None, missing: bool, tmp_path: Path
) -> None:
    text = (TOP / "payload/usr/libexec/nix-aurora/with-nix").read_text(encoding="utf-8")
    function = re.findall(r"^is_mount_missing\(\) \{\n.*?^\}\n", text, re.MULTILINE | re.DOTALL)[0]
    listed = re.findall(r"(/\S+/system(?:d/generator)?)[; \\\n]", function)
    assert tuple(listed) == base_mount._FOLDERS
    for folder in listed:
        function = function.replace(f" {folder}", f" {tmp_path}{folder}", 1)
    (tmp_path / "unit").touch()
    for folder, target in zip((listed[0], listed[2]), (etc, generator), strict=True):
        Path(f"{tmp_path}{folder}").mkdir(parents=True)
        if target is not None:
            Path(f"{tmp_path}{folder}", base_mount.UNIT).symlink_to(tmp_path / target)
    function = function.replace("/usr/bin/mountpoint", "/bin/false")
    code = subprocess.run(["bash", "-euc", f"base=/x\n{function}\nis_mount_missing"], check=False)
    assert (code.returncode == 0) == missing
    folders = [f"{tmp_path}{folder}" for folder in listed]
    assert base_mount.is_expected(folders) == missing


@pytest.fixture
def _missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_mount, "is_expected", lambda: True)
    monkeypatch.setattr(base_mount, "read_mounts", list)


@pytest.mark.usefixtures("_missing")
def test_nothing_is_imported_while_the_mount_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert base_mount.is_missing()

    def first() -> None:
        raise CommandError("the store was looked at")

    assert program.main(first) == 1
    said = capsys.readouterr().err
    assert f"cannot use {paths.BASE}: var-lib-nix.mount is not mounted; nothing was changed" in said
    assert "hint: sudo systemctl start var-lib-nix.mount && sudo systemd-tmpfiles" in said


@pytest.mark.usefixtures("_missing")
@pytest.mark.parametrize("words", [["adopt", "--yes"], ["purge", "--yes"]])
def test_nothing_is_adopted_or_purged_while_the_mount_is_missing(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 1
    assert "var-lib-nix.mount is not mounted; nothing was changed" in capsys.readouterr().err


@pytest.mark.usefixtures("_missing")
def test_nix_command_does_not_wait_for_a_missing_mount(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(await_setup, "_SYSTEMD", tmp_path)
    assert await_setup.main("/nix/store/x/bin/nix", []) == 1
    said = capsys.readouterr().err
    assert "nix: the file system that belongs on /var/lib/nix is not mounted.\n" in said
    assert "hint: sudo nix-aurora doctor\n" in said
