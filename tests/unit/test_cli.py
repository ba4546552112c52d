import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nix_aurora.cli import main
from nix_aurora.release import pins
from tests.closures import File, Sample, make_tarball

TOP = Path(__file__).resolve().parents[2]
COMMANDS = ("fetch", "stage", "srpm", "rpm", "release", "verify", "repo", "publish", "pins")
PINS = """\
[package]
release = 1
date = 2026-11-22
[release]
version = "3.22.1"
"""


@pytest.fixture(autouse=True)
def _private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Isolate main from this process's signals, and from the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    return make_tarball(tmp_path / "nix-3.22.1-x86_64-linux.tar.xz")


def write_pins(path: Path, url: str) -> Path:
    entry = f'url = "{url}"\nsize = 1\nsha256 = "{"0" * 64}"\n'
    tables = "".join(
        f"[{kind}.{arch}]\n{entry}"
        for kind in ("installer", "determinate-nixd")
        for arch in pins.ARCHES
    )
    path.write_text(PINS + tables)
    return path


def fake_rpmbuild(directory: Path, script: str) -> str:
    """Return a PATH on which rpmbuild is a script of ours."""
    path = directory / "bin" / "rpmbuild"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"{path.parent}:{os.environ['PATH']}"


def usage_error(*words: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2


# --- help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_is_understood(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    match = re.search(r"^example: build\.py (.*)$", text, re.MULTILINE)
    assert match
    words = match[1].split()
    assert words[0] == command
    for word in words[1:]:
        if word.startswith("-"):
            assert word in text
    for option in (
        "--arch",
        "--source",
        "--sha256",
        "--out",
        "--cache-dir",
        "--offline",
        "-v, ",
        "-q, ",
    ):
        assert option in text


def test_help_names_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(f"\n    {command} " in text for command in COMMANDS)
    for code in (0, 2, 3, 4, 5, 6, 7, 8, 130):
        assert re.search(rf"\b{code}\s[a-z]", text)


def test_help_works_with_an_odd_cache_directory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/100%/%s")
    with pytest.raises(SystemExit):
        main(["rpm", "--help"])
    assert "/100%/%s/nix-aurora" in re.sub(r"\s+", "", capsys.readouterr().out)


# --- exit code 0: results on stdout, the rest on stderr


def test_stage_prints_its_path(
    tarball: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["stage", "--source", str(tarball), "--out", str(out)]) == 0
    output = capsys.readouterr()
    assert output.out == f"{out / 'stage/x86_64/var/lib/nix'}\n"
    assert "Checking the closure ...\n" in output.err


def test_quiet_prints_only_results(
    tarball: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    known = tmp_path / "advisories.toml"
    known.touch()
    words = ["rpm", "-q", "--source", str(tarball), "--out", str(out), "--level", "1"]
    assert main([*words, "--advisories", str(known)]) == 0
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        f"{out / 'nix-aurora-3.22.1-1.src.rpm'}",
        f"{out / 'nix-aurora-selinux-3.22.1-1.noarch.rpm'}",
        f"{out / 'nix-aurora-3.22.1-1.x86_64.rpm'}",
    ]
    assert output.err == ""


def test_verbose_shows_each_command(
    tarball: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("srpm", "-v", "--source", str(tarball), "--out", str(tmp_path / "out"))
    assert main([*words, "--level", "1"]) == 0
    assert re.search(r"^  rpmbuild .*-bs ", capsys.readouterr().err, re.MULTILINE)


def test_relative_output_directory_is_printed_absolute(
    tarball: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A script can then use the printed path from any directory."""
    monkeypatch.chdir(tmp_path)
    assert main(["srpm", "--source", tarball.name, "--out", "o", "--level", "1"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'o' / 'nix-aurora-3.22.1-1.src.rpm'}\n"


def test_pins_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pins", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    release = pins.load(TOP / "pins.toml")
    assert table["version"] == release.version
    assert table["installer"]["aarch64"]["sha256"] == release.installer["aarch64"].sha256
    assert main(["pins"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"release {release.version}"
    assert len(lines) == 1 + 2 * len(pins.ARCHES) + len(release.tarball)


# --- exit code 2: usage


def test_unknown_words_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    usage_error()
    usage_error("bake")
    usage_error("rpm", "--arch", "riscv64")
    usage_error("rpm", "--level", "0")
    usage_error("rpm", "-v", "-q")
    usage_error("verify")
    usage_error("rpm", "--json")
    usage_error("repo")
    usage_error("repo", "x", "--key", "y", "--unsigned")
    usage_error("publish")
    usage_error("publish", "--project", "me/x", "--follow", "latest")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sha256", "0" * 64], "--sha256: expected a --source that it belongs to, got none"),
        (["--source", "T", "--source", "T"], "--source: expected one for each architecture"),
        (["--source", "T", "--arch", "aarch64"], "--arch: expected a source for aarch64, got one"),
        (
            ["--source", "T", "--arch", "x86_64", "--arch", "aarch64"],
            "--arch: expected a source for aarch64, got none",
        ),
        (["--source", "T", *["--sha256", "0" * 64] * 2], "--sha256: expected one for each of 1"),
        (["--source", "T", "--sha256", "0"], "--sha256: expected 64 hex digits"),
        (["--source", "nowhere"], "--source: nowhere: expected a file or an https URL, got noth"),
        (["--source", "http://x/y"], "--source: expected an https URL"),
        (["--source", "https://x/y"], "expected --sha256 with its digest, got none"),
    ],
)
def test_wrong_usage_is_refused(
    words: list[str],
    message: str,
    tarball: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [str(tarball) if word == "T" else word for word in words]
    assert main(["srpm", "-q", *words, "--out", str(tmp_path / "out")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert message in output.err
    assert not list(tmp_path.glob("out/*.rpm"))


# --- exit codes 3, 4, 5 and 6


@pytest.mark.parametrize("content", [None, "", "[package]\nrelease = 0\n", "]"])
def test_invalid_pins_end_with_3(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.toml"
    if content is not None:
        path.write_text(content)
    for command in ("pins", "fetch", "rpm"):
        assert main([command, "--pins", str(path), "--out", str(tmp_path / "out")]) == 3
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("error: other.toml: ")
    assert not (tmp_path / "out").exists()


def test_failed_download_ends_with_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_pins(tmp_path / "pins.toml", "https://127.0.0.1:1/installer")
    for words in (["fetch"], ["fetch", "--offline"], ["rpm", "--offline"]):
        assert main([*words, "--pins", str(path), "--out", str(tmp_path / "out")]) == 4
        output = capsys.readouterr()
        assert output.out == ""
        assert re.search(r"^error: .*https://127\.0\.0\.1:1/.*\nhint: ", output.err, re.MULTILINE)
    assert not (tmp_path / "out").exists()


def test_failed_verification_ends_with_5(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def corrupt(sample: Sample) -> None:
        sample.reginfo = "nonsense\n"
        sample.store["7" * 32 + "-x"] = File(b"x")

    tarball = make_tarball(tmp_path / "x.tar.xz", mutate=corrupt)
    out = tmp_path / "out"
    assert main(["rpm", "-q", "--source", str(tarball), "--out", str(out)]) == 5
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert "\nhint: get it again from where it was published; " in output.err
    assert "Traceback" not in output.err
    assert [path for path in out.rglob("*") if path.is_file()] == []

    assert main(["rpm", "-v", "--source", str(tarball), "--out", str(out)]) == 5
    assert "Traceback" in capsys.readouterr().err


def test_missing_tool_ends_with_6(
    tarball: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    words = ("srpm", "-q", "--source", str(tarball), "--out", str(tmp_path / "out"))
    assert main([*words, "--level", "1"]) == 6
    output = capsys.readouterr()
    assert output.out == ""
    assert "cannot start rpmbuild: No such file" in output.err
    assert output.err.endswith("hint: make setup\n")


def test_failed_tool_ends_with_6(
    tarball: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The message has the command, which can be pasted, and the path of the log."""
    monkeypatch.setenv("PATH", fake_rpmbuild(tmp_path, "echo no space; touch SRPMS.rpm; exit 9"))
    out = tmp_path / "out"
    words = ("srpm", "-q", "--source", str(tarball), "--out", str(out), "--level", "1")
    assert main(words) == 6
    output = capsys.readouterr()
    assert output.out == ""
    assert "rpmbuild: expected exit code 0, got 9\nno space\ncommand: rpmbuild " in output.err
    log = re.search(r"^log: (.*)$", output.err, re.MULTILINE)
    assert log
    assert Path(log[1]).read_text() == "no space\n"
    assert not list(out.rglob("*.rpm"))


# --- exit code 1: files


def test_unwritable_output_directory_ends_with_1(
    tarball: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stage", "-q", "--source", str(tarball), "--out", "/proc/nowhere"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: cannot read or write: /proc/nowhere")


# --- exit code 130: interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_during_a_build_leaves_nothing(
    tarball: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """The signal arrives when rpmbuild has written half of a package."""
    script = f"mkdir SRPMS; echo half >SRPMS/x.src.rpm; kill -{number.value} $PPID; exec sleep 60"
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, TOP / "build.py", "srpm", "--source", tarball, "--out", out],
        env={**os.environ, "PATH": fake_rpmbuild(tmp_path, script)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.endswith("error: interrupted: nothing half-made is left\n")
    assert {path.name for path in out.iterdir()} <= {"closure", "logs", "stage"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_while_a_host_is_silent_ends_the_run(
    tmp_path: Path, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        url = f"https://127.0.0.1:{server.getsockname()[1]}/installer"
        path = write_pins(tmp_path / "pins.toml", url)
        process = subprocess.Popen(
            [sys.executable, TOP / "build.py", "fetch", "-q", "--pins", path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = server.accept()
        with connection:
            process.send_signal(number)
            assert process.communicate(timeout=30) == (
                "",
                "error: interrupted: nothing half-made is left\n",
            )
    assert process.returncode == 130
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path.suffix for path in left] == [".lock"]


# --- missing dependencies


def test_missing_dependency_is_named_with_its_package() -> None:
    """The message has no traceback."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", TOP / "build.py", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    assert re.fullmatch(
        r"build\.py: \w+: expected it to be installed, got nothing\nhint: make setup; .*\n",
        done.stderr,
    )
