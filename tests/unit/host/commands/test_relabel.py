"""Test nix-aurora relabel with restorecon's output, and on hosts without SELinux."""

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from nix_aurora_host import cli, paths
from nix_aurora_host.commands import relabel
from nix_aurora_host.errors import USAGE, CommandError

_OLD, _NEW = "system_u:object_r:var_lib_t:s0", "system_u:object_r:bin_t:s0"


def test_lines_are_counted_by_type() -> None:
    lines = [
        f"Relabeled /var/lib/nix/store/a from {_OLD} to {_NEW}\n",
        f"Would relabel /var/lib/nix/store/odd from x to y from {_OLD} to {_NEW}\n",
        f"Relabeled /var/lib/nix/db from unlabeled to {_NEW}\n",
        "restorecon: something else\n",
    ]
    assert relabel.count(lines) == Counter({("var_lib_t", "bin_t"): 2, ("unlabeled", "bin_t"): 1})


def test_relabel_does_nothing_without_selinux(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(relabel, "_ENFORCE", str(tmp_path / "none"))
    assert relabel.relabel(yes=False, dry_run=False, as_json=True) == 0
    output = capsys.readouterr()
    assert json.loads(output.out) == {"relabelled": False, "changes": []}
    assert "SELinux is off" in output.err


def test_only_root_may_relabel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(relabel, "_ENFORCE", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(CommandError, match="only root") as caught:
        relabel.relabel(yes=True, dry_run=False, as_json=False)
    assert caught.value.code == USAGE


@pytest.fixture
def restorecon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Act as root with a fake restorecon, which records its options; return its path."""
    program = tmp_path / "restorecon"
    program.write_text(
        f'#!/bin/sh\necho "$*" >>{tmp_path}/options\n'
        f"echo 'Relabeled /var/lib/nix/a from {_OLD} to {_NEW}'\n"
        "printf 'cannot read /x\\033[31m\\n' >&2\n"
    )
    program.chmod(0o755)
    (tmp_path / "enforce").touch()
    monkeypatch.setattr(relabel, "_ENFORCE", str(tmp_path / "enforce"))
    monkeypatch.setattr(relabel, "_ENVIRONMENT", {"PATH": f"{tmp_path}:/usr/bin"})
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return program


@pytest.mark.parametrize(
    ("line", "runs", "code"),
    [
        ("relabel --yes --json", ["-n ", ""], 0),
        ("relabel --dry-run --json", ["-n "], 0),
    ],
)
def test_changes_of_restorecon_are_counted(
    line: str,
    runs: list[str],
    code: int,
    restorecon: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(line.split()) == code
    output = capsys.readouterr()
    assert json.loads(output.out) == {
        "relabelled": len(runs) == 2,
        "changes": [{"from": "var_lib_t", "to": "bin_t", "files": 1}],
    }
    assert "1 files: type var_lib_t, expected bin_t" in output.err
    assert "cannot read /x\\x1b[31m" in output.err
    options = (restorecon.parent / "options").read_text().splitlines()
    assert options == [f"-R -x -v {run}{paths.BASE}" for run in runs]


@pytest.mark.usefixtures("restorecon")
def test_answer_other_than_yes_changes_no_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert cli.main(["relabel"]) == 1


def test_failed_or_missing_restorecon_is_an_error_message(
    restorecon: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restorecon.write_text("#!/bin/sh\nexit 3\n")
    assert cli.main(["relabel", "--yes"]) == 1
    assert "exit code 3" in capsys.readouterr().err
    restorecon.unlink()
    assert cli.main(["relabel", "--yes"]) == 1
    assert "cannot label the store: restorecon: No such file" in capsys.readouterr().err


def test_nothing_is_changed_if_all_labels_are_right(
    restorecon: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restorecon.write_text("#!/bin/sh\n")
    assert cli.main(["relabel", "--yes"]) == 0
    assert "nothing was changed" in capsys.readouterr().err
