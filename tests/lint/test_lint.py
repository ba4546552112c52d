"""Run the linters, and check which programs a host must have."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from nix_aurora.package.tools import TOOLS
from nix_aurora.run import run
from tests.lint.shell import TOP, Script, calls, host_paths, load, project_files, shell_paths, tool

_COLUMNS = 100
_PAYLOAD = TOP / "payload"
_PROGRAMS = ("payload/", "payload-nixd/", ".ci/", "build.py")
_SHFMT = ("-i", "4", "-ci", "-bn")
# These are from POSIX.1-2024, section 2.15, and the utilities that every /bin/sh has built in.
_POSIX_BUILTINS = frozenset(
    (
        *(":", ".", "[", "alias", "break", "cd", "command", "continue", "echo", "eval", "exec"),
        *("exit", "export", "false", "getopts", "hash", "kill", "printf", "pwd", "read"),
        *("readonly", "return", "set", "shift", "test", "trap", "true", "type", "umask", "unset"),
        "wait",
    )
)
_STRICT = re.compile(r"^set -E?euo pipefail$", re.MULTILINE)
_EXEC = re.compile(r"^Exec[A-Za-z]+=[-@:+!]*(\S+)", re.MULTILINE)

every_shell_file = pytest.mark.parametrize("path", shell_paths())
every_host_script = pytest.mark.parametrize("path", host_paths())


def _feed(script: Script, *command: str) -> None:
    done = subprocess.run(
        command, input=script.text, capture_output=True, text=True, cwd=TOP, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), f"{script.path}\n{command}"


def test_ruff() -> None:
    run([tool("ruff"), "check", "--no-cache"], cwd=TOP)


def test_ruff_format() -> None:
    run([tool("ruff"), "format", "--check", "--no-cache"], cwd=TOP)


@every_shell_file
def test_shellcheck(path: str) -> None:
    script = load(path)
    _feed(script, tool("shellcheck"), "--norc", "-x", f"--shell={script.dialect}", "-")


@every_shell_file
def test_shfmt(path: str) -> None:
    script = load(path)
    _feed(script, tool("shfmt"), "-d", *_SHFMT, "-ln", script.shfmt_dialect)


@every_shell_file
def test_lines_are_short_and_have_no_tabs(path: str) -> None:
    for number, line in enumerate((TOP / path).read_text().splitlines(), start=1):
        assert len(line) <= _COLUMNS, f"{path}:{number}"
        assert "\t" not in line, f"{path}:{number}"


@pytest.mark.parametrize("path", sorted((_PAYLOAD / "usr/share/man").rglob("*.[1-8]*")))
def test_mandoc(path: Path) -> None:
    _feed(load(str(path.relative_to(TOP))), "mandoc", "-T", "lint", "-W", "warning")


def test_programs_are_executable() -> None:
    """The package installs programs with the mode that they have here."""
    for name in project_files():
        path = TOP / name
        if not path.is_symlink() and name.startswith(_PROGRAMS):
            has_shebang = path.read_bytes().startswith(b"#!")
            assert os.access(path, os.X_OK) == has_shebang, name


def test_scripts_stop_at_failures() -> None:
    without = {
        path
        for path in host_paths()
        if (script := load(path)).text.startswith("#!") and not _STRICT.search(script.text)
    }
    # The wrapper only assigns, tests and execs, so no command in it can fail halfway.
    assert without <= {"payload/usr/bin/nix.in"}


@every_host_script
def test_every_command_is_in_a_required_package(path: str) -> None:
    script = load(path)
    found = calls(script)
    known = {*TOOLS, *found.functions, *_builtins(script.dialect)}
    assert {name for name in found.commands if "/" not in name} - known == set()
    for name in found.commands:
        if name.startswith("/"):
            assert (_PAYLOAD / name[1:]).exists() or Path(name).name in TOOLS, name


def test_units_run_packaged_or_required_programs() -> None:
    for name in _run_by_units():
        assert (_PAYLOAD / name[1:]).exists() or Path(name).name in TOOLS, name


def test_every_required_tool_is_called() -> None:
    used = {Path(name).name for name in _run_by_units()}
    for path in host_paths():
        script = load(path)
        used |= {Path(name).name for name in calls(script).commands}
        if script.text.startswith("#!"):
            used.add(script.dialect)
    assert set(TOOLS) - used == set()


def _run_by_units() -> set[str]:
    units = (path for path in (_PAYLOAD / "usr/lib/systemd").rglob("*") if path.is_file())
    return {name for path in units for name in _EXEC.findall(path.read_text())}


def _builtins(dialect: str) -> frozenset[str]:
    if dialect == "sh":
        return _POSIX_BUILTINS
    return frozenset(run(["bash", "-c", "compgen -b"]).split())


def test_every_form_of_command_is_found() -> None:
    """The two tests above depend on this parser."""
    text = """\
f() { a | b; }
x=$(c <(d)) e && ! g || { h; }
command -v i >/dev/null; exec j; "k" 'l'; trap 'm "$x"' EXIT; trap - EXIT
unshare --mount -- n; /usr/bin/o; "$x/p"; "${q[@]}"; [[ r ]]; declare s=$(t)
case u in v) w ;; esac
cat <<END
$(y)
END
"""
    found = calls(Script("test", text, "bash"))
    own = {"unshare", "cat", "command", "exec", "trap", "/usr/bin/o"}
    assert found.commands == {*"abcdeghijkmntwy", *own}
    assert found.functions == {"f"}
