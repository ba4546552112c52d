"""Test the modules that a command loads, exit codes, and the two commands that only read."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from nix_aurora_host import cli
from nix_aurora_host.commands import doctor, status
from nix_aurora_host.gather import everything
from nix_aurora_host.gather.disk import Disk
from nix_aurora_host.gather.everything import gather_all, gather_basics
from nix_aurora_host.gather.store import AtNix

from tests.readme import TOP
from tests.unit.host.checks.test_checks import BASH, BASICS, CLOSURE, WELL

_LOADED = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from nix_aurora_host import cli
try:
    cli.main(sys.argv[1:])
except SystemExit:
    pass
print(*(name for name in sys.modules if name.startswith("nix_aurora_host.commands.")))
"""


@pytest.mark.parametrize(
    ("words", "loaded"),
    [(["shell", "--help"], {"shell"}), (["--help"], set(cli.COMMANDS))],
)
def test_command_loads_no_other_command(words: list[str], loaded: set[str]) -> None:
    host = str(TOP / "payload/usr/lib/nix-aurora")
    command = [sys.executable, "-I", "-B", "-c", _LOADED, host, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    modules = {name.rpartition(".")[2] for name in done.stdout.splitlines()[-1].split()}
    assert modules - {"command"} == {name.replace("-", "_") for name in loaded}


def test_help_lists_the_commands_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    places = [text.index(f"\n    {name}") for name in cli.COMMANDS]
    assert places == sorted(places)
    assert "  nix-aurora doctor --json             print the same for a program\n" in text


def test_each_command_describes_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit) as stop:
            cli.main([name, "--help"])
        assert stop.value.code == 0
        description = cli._load(name).description
        assert description.split(" ")[0] in capsys.readouterr().out


def test_status_prints_lines_or_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "gather_basics", lambda: BASICS)
    assert cli.main(["status"]) == 0
    assert capsys.readouterr().out.startswith("layout    mount: ")
    assert cli.main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layout"] == "mount"


def test_doctor_exits_with_1_if_it_finds_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "gather_all", lambda: WELL)
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("all is well\n")
    faulty = replace(WELL, basics=replace(BASICS, units={}))
    monkeypatch.setattr(doctor, "gather_all", lambda: faulty)
    assert cli.main(["doctor", "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["id"] == "systemd-silent"


def test_interrupt_and_closed_pipe_have_exit_codes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for error, code in ((KeyboardInterrupt, 130), (BrokenPipeError, 1)):

        def stop(error: type[BaseException] = error) -> None:
            raise error

        monkeypatch.setattr(status, "gather_basics", stop)
        with (tmp_path / "out").open("w") as out:
            monkeypatch.setattr("sys.stdout", out)
            assert cli.main(["status"]) == code


def test_doctor_gathers_the_facts_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logins are examined only if their profile can exist, and a daemon is greeted only if fit."""
    answers: dict[str, object] = {
        "gather_closure": CLOSURE,
        "gather_units": BASICS.units,
        "gather_listening": BASICS.listening,
        "gather_settings_file": BASICS.settings_file,
        "gather_store": BASICS.store,
        "gather_profile": BASICS.profile,
        "gather_users": BASICS.users,
        "gather_daemon": BASICS.daemon,
        "gather_labels": None,
        "gather_nix_root": BASICS.nix_root,
        "gather_database": BASICS.database,
        "gather_upgrades": BASICS.upgrades,
        "gather_gpu": BASICS.gpu,
        "gather_garbage": BASICS.garbage,
        "look_deeper": BASICS.database,
        "gather_packaged": WELL.packaged,
        "find_person": WELL.person,
        "gather_settings": WELL.settings,
        "gather_damaged": (),
        "gather_host": WELL.host,
        "gather_shells": (BASH,),
        "gather_remotes": (),
        "gather_foreign": WELL.foreign,
        "gather_waiting_disk": None,
        "gather_disk": Disk(),
        "daemon_answers": True,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(everything, name, lambda *_w, _answer=answer, **_o: _answer)
    assert gather_basics() == BASICS
    assert gather_all() == WELL
    store = replace(BASICS.store, nix=AtNix.LINK)
    monkeypatch.setattr(everything, "gather_store", lambda _closure: store)
    facts = gather_all()
    assert facts.shells == ()
