"""Test the acceptance script's table and JSON, and what it masks."""

import json
from dataclasses import replace
from pathlib import Path

from accept import command
from accept.mask import masker
from accept.outcome import Outcome, exit_code, failed, not_shown, ok
from accept.report import Report, describe, make_report, render
from tests.unit.accept.accepting import FACTS

# --- report


def test_names_of_users_and_hosts_are_masked() -> None:
    mask = masker(FACTS, "jane@box.lan")
    assert mask("~/.x of jane in /var/home/jane/.x and /home/jane") == "~/.x of USER in ~/.x and ~"
    assert mask("box.lan aurora.lan aurora") == "HOST HOST HOST"
    # Longer names that contain these names are not masked.
    assert mask("nix-aurora janet /var/home/janet") == "nix-aurora janet /var/home/janet"
    assert mask("https://jane:secret@x.org/a b@c") == "https://…@x.org/a b@c"
    assert (
        masker(replace(FACTS, user="root", home="/root"), "root@localhost")(
            "root at localhost: /root/x"
        )
        == "root at localhost: ~/x"
    )


def _report(*outcomes: Outcome) -> Report:
    asked = {"network": False}
    return make_report("2026-11-29T16:00:00Z", FACTS, asked, outcomes, masker(FACTS, "box"))


_OUTCOMES = (
    ok("package", "nix-aurora 2.34"),
    failed("units", "jane's \x1b]0;title\x07 unit " + "long " * 30, "journalctl -u '\x1b'"),
    replace(not_shown("system", "it needs units"), boot="reboot"),
)


def test_table_names_promise_and_next_command_of_a_failure() -> None:
    text = render(_report(*_OUTCOMES), 80)
    assert text.isprintable() or all(line.isprintable() for line in text.splitlines())
    lines = text.splitlines()
    assert lines[0] == "2026-11-29T16:00:00Z  Aurora 44, 6.18, x86_64"
    assert lines[2] == "ok         package        nix-aurora 2.34"
    assert lines[3].startswith("FAILED     units          USER's \\x1b]0;title\\x07 unit long")
    assert any(line.strip().startswith("promised: No unit of nix-aurora") for line in lines)
    assert "next: journalctl -u '\\x1b'" in [line.strip() for line in lines]
    assert "not shown  reboot/system  it needs units" in lines
    assert lines[-1] == "3 checks: 1 ok, 1 failed, 1 not shown"
    assert max(map(len, lines)) <= 80


def test_report_is_valid_json() -> None:
    report = json.loads(describe(_report(*_OUTCOMES)))
    assert report["format"] == 1
    assert report["host"] == {
        "os": "Aurora 44",
        "kernel": "6.18",
        "machine": "x86_64",
        "image": "ostree",
    }
    assert report["counts"] == {"ok": 1, "failed": 1, "not shown": 1}
    assert report["checks"][2] == {
        "id": "system",
        "boot": "reboot",
        "promised": "The boot has no failed unit.",
        "page": "docs/boot.md",
        "result": "not shown",
        "detail": "it needs units",
        "next": None,
    }


def test_exit_code_follows_from_the_outcomes() -> None:
    assert exit_code([]) == 0
    assert exit_code([_OUTCOMES[0], _OUTCOMES[2]]) == 0
    assert exit_code(_OUTCOMES) == 1


def test_default_path_of_a_report_names_host_and_date() -> None:
    path = command.default_path("jane@../box:1", "2026-11-29T16:05:06Z")
    assert path == Path("out/accept-.._box_1-2026-11-29T160506.json")
