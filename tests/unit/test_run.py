from pathlib import Path

import pytest

from nix_aurora.errors import ToolError
from nix_aurora.run import run


def test_stdout_is_returned(tmp_path: Path) -> None:
    assert run(["sh", "-c", "echo $PWD $X; echo no >&2"], cwd=tmp_path, env={"X": "1"}) == (
        f"{tmp_path} 1\n"
    )


def test_log_file_has_the_output(tmp_path: Path) -> None:
    log_file = tmp_path / "log"
    assert run(["sh", "-c", "echo out; echo err >&2"], log_file=log_file) == ""
    assert log_file.read_text() == "out\nerr\n"


def test_failed_command_can_be_pasted() -> None:
    with pytest.raises(ToolError) as caught:
        run(["sh", "-c", "echo 'a word' >&2; exit 3"])
    assert str(caught.value) == (
        "cannot run sh: expected exit code 0, got 3\n"
        "a word\n"
        """command: sh -c 'echo '"'"'a word'"'"' >&2; exit 3'"""
    )


def test_failure_names_the_log_and_shows_its_end(tmp_path: Path) -> None:
    log_file = tmp_path / "log"
    with pytest.raises(ToolError) as caught:
        run(["sh", "-c", "for i in $(seq 1 20); do echo $i; done; false"], log_file=log_file)
    lines = str(caught.value).splitlines()
    assert lines[1:16] == [str(number) for number in range(6, 21)]
    assert lines[-1] == f"log: {log_file}"


def test_missing_tool_is_reported() -> None:
    with pytest.raises(ToolError, match="cannot start no-such-tool: No such file") as caught:
        run(["no-such-tool"], env={"PATH": "/usr/bin:/bin"})
    assert caught.value.hint == "make setup"
