"""Test the acceptance script's connection, command line and exit codes."""

import json
import os
from pathlib import Path

import pytest

from accept import command
from accept.connection import Connection, LateError, LostError
from accept.machine import BEGIN, own_answer, whole
from accept.promises import PROMISES
from accept.records import Answer
from nix_aurora.errors import UsageError

# This replaces ssh: it runs the command here, and fails if the directory has a file "lost".
_SSH = """\
#!/bin/sh
place=${0%/*}
printf '%s\\n' "$*" >>"$place/log"
for word; do
    case $word in
        -oControlPath=*) socket=${word#*=} ;;
        -f) master=yes ;;
        -O) control=yes ;;
    esac
    last=$word
done
if [ -e "$place/lost" ]; then
    rm -f "$socket"
    printf 'ssh: no \\033[2Jroute\\n' >&2
    exit 255
fi
[ -z "${control-}" ] || exit 0
if [ -n "${master-}" ]; then
    : >"$socket"
    exit 0
fi
exec sh -c "$last"
"""


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace ssh with a program, and return its directory."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "ssh").write_text(_SSH)
    (place / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    return place


# --- connection


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "a\nb"])
def test_host_that_ssh_could_misread_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match=r"expected \[user@\]host"):
        Connection(host, [])


def test_one_connection_carries_all_commands(ssh: Path) -> None:
    connection = Connection("jane@aurora", ["-p", "2222"])
    connection.open()
    answer = connection.run("exec sh -s", whole("cat; echo $WHAT; exit 3", WHAT="a 'b'"), limit=60)
    assert own_answer(answer) == Answer(3, "a 'b'\n", "")
    connection.close()
    opened, ran, *rest = (ssh / "log").read_text().splitlines()
    assert "-oControlMaster=yes" in opened
    assert "-oControlMaster=no" in ran
    assert "-oProxyCommand=false" in ran  # a lost connection is not opened again by a later command
    assert all("-p 2222" in line for line in (opened, ran, *rest))


def test_lost_connection_differs_from_failed_command(ssh: Path) -> None:
    connection = Connection("aurora", [])
    connection.open()
    assert connection.run("exit 255", "", limit=60).code == 255
    (ssh / "lost").touch()
    with pytest.raises(LostError, match=r"no \\x1b\[2Jroute"):
        connection.run("true", "", limit=60)
    with pytest.raises(LostError):
        connection.open()
    connection.close()


@pytest.mark.usefixtures("ssh")
def test_slow_command_is_stopped() -> None:
    connection = Connection("aurora", [])
    connection.open()
    with pytest.raises(LateError, match="no end after"):
        connection.run("sleep 1000", "", limit=0.1)
    connection.close()


def test_output_of_a_users_shell_is_not_part_of_the_answer() -> None:
    answer = Answer(0, f'Welcome!\n{{}}\n{BEGIN}\n{{"a": 1}}\n', "")
    assert own_answer(answer).stdout == '{"a": 1}\n'
    assert own_answer(Answer(127, "sh: not found\n", "")).stdout == "sh: not found\n"


def test_scripts_get_an_empty_input() -> None:
    script = whole("cat")
    assert script.startswith(f"{{\necho {BEGIN}\n")
    assert script.endswith("\n} </dev/null\n")


# --- the command


def test_host_without_the_package_is_red(
    ssh: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Use this machine as the host, with the real scripts."""
    path = tmp_path / "new" / "report.json"
    assert command.main([f"--json={path}", "box"]) == 1
    said = capsys.readouterr()
    assert "FAILED     package" in said.out
    assert said.out.endswith(f"report: {path}\n")
    assert "accept: package: failed\n" in said.err
    checks = {check["id"]: check for check in json.loads(path.read_text())["checks"]}
    assert set(checks) == set(PROMISES)
    assert {name for name, check in checks.items() if check["result"] == "failed"} == {"package"}
    assert (ssh / "log").read_text().count("-oControlMaster=yes") == 1


def test_unreachable_host_ends_with_2(ssh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (ssh / "lost").touch()
    assert command.main(["box"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "accept: cannot connect: box: ssh: no \\x1b[2Jroute\n" in said.err


@pytest.mark.parametrize("words", [["--ssh='", "box"], ["--", "-x"]])
def test_wrong_usage_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(words) == 2
    assert "expected" in capsys.readouterr().err


@pytest.mark.usefixtures("ssh")
def test_unwritable_report_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert command.main([f"--json={tmp_path}/file/report.json", "box"]) == 2
    assert "cannot write the report" in capsys.readouterr().err
