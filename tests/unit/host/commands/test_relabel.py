"""nix-aurora relabel: what restorecon says, and hosts without SELinux."""

import json
from collections import Counter
from pathlib import Path

import pytest
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


def test_without_selinux_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(relabel, "_ENFORCE", str(tmp_path / "none"))
    assert relabel.relabel(yes=False, dry_run=False, as_json=True) == 0
    output = capsys.readouterr()
    assert json.loads(output.out) == {"relabelled": False, "changes": []}
    assert "SELinux is off" in output.err


def test_only_root_may(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(relabel, "_ENFORCE", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(CommandError, match="only root") as caught:
        relabel.relabel(yes=True, dry_run=False, as_json=False)
    assert caught.value.code == USAGE
