"""Test a complete takeover, without Nix and systemd: its steps, refusals and rollbacks."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from nix_aurora_host import mounts, occupants, paths, system
from nix_aurora_host.adopt import (
    architecture,
    boot,
    checks,
    complete,
    find,
    fstab,
    journal,
    plan,
    run,
    settings,
    switch,
    trusted,
    units,
)
from nix_aurora_host.adopt.journal import FORMER, Way, place
from nix_aurora_host.commands import adopt as command
from nix_aurora_host.errors import CommandError
from nix_aurora_host.former.tree import Tree
from nix_aurora_host.importer.closure import Closure, Info
from nix_aurora_host.system import Outcome

from tests.unit.host.adopt.stores import PACKAGED, Stores
from tests.unit.host.adopt.test_switch import KilledError, Killer
from tests.unit.host.nix_database import A, B, C, D

_CLOSURE = Closure("id", "2.34", PACKAGED, PACKAGED, None, PACKAGED, {PACKAGED: Info(b"", 0, ())})


class Takeover:
    """The command, with a record of the programs that it ran."""

    def __init__(self, stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stores = stores
        self.said: list[str] = []
        self.ran: list[list[str]] = []
        self.users: list[tuple[int, str]] = []
        self.mounts = ""
        self.imports = 0
        monkeypatch.setattr(trusted, "TOP", str(stores.top))
        monkeypatch.setattr(find, "USUAL", (str(stores.theirs.top),))
        monkeypatch.setattr(find, "NIX", str(stores.top / "missing"))
        monkeypatch.setattr(find, "TREE", Tree(str(stores.top)))
        monkeypatch.setattr(fstab, "FILE", str(stores.top / "fstab"))
        monkeypatch.setattr(settings, "FILE", str(stores.top / "nix.conf"))
        monkeypatch.setattr(plan, "read_closure", lambda: _CLOSURE)
        monkeypatch.setattr(occupants, "find_users", lambda *_: self.users)
        monkeypatch.setattr(mounts, "read_table", lambda: self.mounts)
        monkeypatch.setattr(architecture, "find_foreign", lambda *_: set())
        monkeypatch.setattr(run, "label", lambda: None)
        monkeypatch.setattr(run, "import_package", self._import)
        for module in (run, units):
            monkeypatch.setattr(module, "run", self._run)
        monkeypatch.setattr(units, "end_processes", lambda: 0)
        monkeypatch.setattr(command, "say", self.said.append)
        monkeypatch.setattr(checks, "_SOON", 0.0)

    def _run(self, words: list[str], **_: object) -> Outcome:
        self.ran.append(list(words))
        if "is-active" in words:
            states = {paths.SOCKET: "active", paths.DAEMON: "active", paths.GC_TIMER: "active"}
            return Outcome(
                0, "".join(f"{states.get(unit, 'inactive')}\n" for unit in words[2:]), ""
            )
        return Outcome(0, "", "")

    def _import(self) -> None:
        self.imports += 1

    def adopt(self, *, check: bool = True, dry_run: bool = False) -> int:
        """Run the command without a question."""
        return command.adopt(None, yes=True, dry_run=dry_run, check=check, as_json=False)

    @property
    def text(self) -> str:
        """Return all output."""
        return "\n".join(self.said)


@pytest.fixture
def takeover(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Takeover:
    """Return the command for two stores on one file system."""
    return Takeover(stores, monkeypatch)


def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_is_on_our_file_system", lambda _: False)


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_store_is_moved_and_the_package_imported(takeover: Takeover) -> None:
    assert takeover.adopt() == 0
    stores = takeover.stores
    assert _names(stores.ours.store) == stores.ours.valid() == {A, B, C, D}
    assert takeover.imports == 1
    assert ["systemctl", "--quiet", "stop", paths.DAEMON] in takeover.ran
    started = [words[-1] for words in takeover.ran if "start" in words]
    assert started == [paths.BACKUP_TIMER, paths.GC_TIMER, paths.SOCKET, paths.BACKUP]
    assert "was taken over with 4 store paths" in takeover.text
    assert stores.ours.store.stat().st_mode & 0o7777 == 0o1775


def test_host_without_a_database_adopts(takeover: Takeover) -> None:
    shutil.rmtree(takeover.stores.ours.state / "db")
    assert takeover.adopt() == 0
    assert takeover.stores.ours.valid() == {A, B, C, D}


def test_nix_of_the_default_profile_is_replaced_by_the_import(takeover: Takeover) -> None:
    stores = takeover.stores
    (stores.theirs.store / A / "bin/nix").symlink_to("program")
    stores.theirs.database.unlink()
    stores.theirs.make_database([A, B, C, D])
    stores.profile(stores.theirs, "profiles/default", A)
    takeover.adopt()
    assert Path(paths.ROOTS, "nix").readlink() == Path("/nix/store") / A


def test_store_on_another_disk_is_copied_and_kept(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch
) -> None:
    _elsewhere(monkeypatch)
    stores = takeover.stores
    stores.profile(stores.theirs, "profiles/per-user/alice/profile", A, B)
    (stores.theirs.state / "temproots").mkdir()
    (stores.theirs.state / "temproots/123").touch()
    assert takeover.adopt() == 0
    assert _names(stores.ours.store) == stores.ours.valid() == {A, B, C, D}
    assert _names(stores.theirs.store) == {A, B, C, D}
    assert (stores.ours.state / "profiles/per-user/alice/profile-2-link").is_symlink()
    assert not (stores.ours.state / "temproots").exists()
    assert "The original was not changed." in takeover.text
    (aside,) = (path for path in Path(paths.ASIDE).iterdir() if list(path.iterdir()))
    assert stores.ours.valid(aside / FORMER / "var/nix/db/db.sqlite") == {PACKAGED}


def test_both_stores_are_merged(takeover: Takeover) -> None:
    stores = takeover.stores
    stores.ours.add(B)
    stores.ours.database.unlink()
    stores.ours.make_database([PACKAGED, B])
    stores.ours.root("mine", B)
    stores.profile(stores.theirs, "profiles/per-user/alice/profile", A, C)
    assert takeover.adopt() == 0
    assert _names(stores.ours.store) == stores.ours.valid() == {PACKAGED, A, B, C, D}
    assert (stores.ours.state / "profiles/per-user/alice/profile").is_symlink()
    assert "Users keep packages in both stores." in takeover.text
    assert "sudo nix-store --optimise" in takeover.text
    assert not os.path.lexists(paths.ADOPTION)


def test_separate_file_system_gets_a_new_line_in_fstab(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = takeover.stores
    text = "UUID=1 /nix ext4 noatime 0 0\n"
    (stores.top / "fstab").write_text(text)
    (line,) = fstab.parse(text.encode())
    candidate = find.Candidate(str(stores.theirs.top), "UUID=1", line)
    monkeypatch.setattr(plan, "choose", lambda _: candidate)
    assert takeover.adopt() == 0
    assert (stores.top / "fstab").read_text().splitlines() == [
        f"# nix-aurora adopt: {text.strip()}",
        f"UUID=1 {paths.BASE} ext4 noatime 0 0",
    ]
    assert ["systemctl", "daemon-reload"] not in takeover.ran  # a boot mounts the disk
    assert takeover.imports == 0
    assert "Reboot now." in takeover.text


# --- runs that change nothing


def test_dry_run_shows_the_plan(takeover: Takeover) -> None:
    stores = takeover.stores
    assert takeover.adopt(dry_run=True) == 0
    assert "It is moved to " in takeover.text
    assert stores.ours.valid() == {PACKAGED}
    assert _names(stores.theirs.store) == {A, B, C, D}
    assert not os.path.lexists(paths.ADOPTION)
    assert takeover.ran == []


def test_answer_no_changes_nothing(takeover: Takeover, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "require_terminal", lambda *_: None)
    monkeypatch.setattr(command, "confirm", lambda _: False)
    code = command.adopt(None, yes=False, dry_run=False, check=True, as_json=False)
    assert code == 1
    assert takeover.said[-1] == "adopt: nothing was changed"


def test_only_json_is_on_standard_output(
    takeover: Takeover, capsys: pytest.CaptureFixture[str]
) -> None:
    (takeover.stores.top / "nix.conf").write_text("max-jobs = 4\n")
    command.adopt(None, yes=True, dry_run=False, check=True, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["adopted"] is True
    assert said["way"] == "move"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"users": [(5, "/nix/store/x")]}, "1 process uses a store: 5 "),
        (
            {"mounts": "1 2 0:3 / /var/lib/nix/store/x rw - tmpfs t rw\n"},
            "something is mounted inside the store",
        ),
    ],
)
def test_store_in_use_is_refused(
    takeover: Takeover, changed: Mapping[str, object], message: str
) -> None:
    for name, value in changed.items():
        setattr(takeover, name, value)
    with pytest.raises(CommandError, match="nothing was changed") as error:
        takeover.adopt()
    assert message in error.value.message
    assert takeover.stores.ours.valid() == {PACKAGED}


@pytest.mark.parametrize("way", [Way.MOVE, Way.COPY])
def test_damaged_content_is_refused_and_units_restart(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    stores = takeover.stores
    if way is Way.COPY:
        _elsewhere(monkeypatch)
    (stores.theirs.store / B / "bin/program").write_text("evil")
    with pytest.raises(CommandError, match="1 store paths differ"):
        takeover.adopt()
    assert stores.ours.valid() == {PACKAGED}
    assert stores.theirs.valid() == {A, B, C, D}
    assert not os.path.lexists(paths.ADOPTION)
    assert ["systemctl", "--quiet", "start", paths.SOCKET] in takeover.ran
    assert takeover.adopt(check=False) == 0
    assert stores.ours.valid() == {A, B, C, D}


@pytest.mark.parametrize(
    ("schema", "message"),
    [("12", "expected at most schema 11"), ("x", "expected a number"), (None, "expected a number")],
)
def test_unreadable_schema_is_refused(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch, schema: str | None, message: str
) -> None:
    monkeypatch.setattr(checks, "read_limit", lambda _: 11)
    file = takeover.stores.theirs.state / "db/schema"
    file.unlink() if schema is None else file.write_text(schema)
    with pytest.raises(CommandError, match=message):
        takeover.adopt()


def test_programs_of_another_architecture_are_refused(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architecture, "find_foreign", lambda *_: {"sparc"})
    with pytest.raises(CommandError, match="got sparc"):
        takeover.adopt()


def test_empty_database_and_file_system_without_exchange_are_refused(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "can_exchange", lambda: False)
    with pytest.raises(CommandError, match="cannot exchange two directories"):
        takeover.adopt()
    takeover.stores.theirs.database.unlink()
    takeover.stores.theirs.make_database([])
    with pytest.raises(CommandError, match="contains no store paths"):
        takeover.adopt()


def test_adopt_needs_root_and_not_the_relocated_layout(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "RELOCATED", True)
    with pytest.raises(CommandError, match="has another store prefix") as error:
        takeover.adopt()
    assert error.value.code == 2
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CommandError, match="only root may"):
        takeover.adopt()


def test_disk_error_is_reported(takeover: Takeover, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(command, "look", fail)
    with pytest.raises(CommandError, match="Input/output error"):
        takeover.adopt()


# --- after a kill


def _kill(takeover: Takeover, monkeypatch: pytest.MonkeyPatch, count: int) -> Killer:
    killer = Killer(monkeypatch, count)
    with pytest.raises(KilledError):
        takeover.adopt()
    return killer


@pytest.mark.parametrize("count", [7, 8, 9])
def test_started_takeover_is_finished_by_the_next_run(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The first two renames belong to the check of the file system."""
    killer = _kill(takeover, monkeypatch, count)
    killer.left = -1
    assert journal.pending() == str(takeover.stores.theirs.top)
    assert takeover.adopt(dry_run=True) == 0
    assert "is not complete. To finish it: sudo nix-aurora adopt" in takeover.text
    takeover.said.clear()
    assert takeover.adopt() == 0
    assert "adopt: done" in takeover.text
    assert takeover.stores.ours.valid() == {A, B, C, D}
    assert takeover.imports == 1


def test_started_takeover_is_finished_by_a_boot(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = _kill(takeover, monkeypatch, 8)
    killer.left = -1
    boot.finish()
    assert takeover.stores.ours.valid() == {A, B, C, D}
    assert not os.path.lexists(paths.ADOPTION)
    boot.finish()


def test_failure_before_the_start_is_undone_at_once(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is a failure, not a kill, so everything that can be restored is restored."""
    monkeypatch.setattr(run, "_prepare", _fail)
    with pytest.raises(CommandError, match="No space left"):
        takeover.adopt()
    assert takeover.stores.theirs.valid() == {A, B, C, D}
    assert _names(takeover.stores.theirs.store) == {A, B, C, D}
    assert takeover.stores.ours.valid() == {PACKAGED}
    assert journal.pending() is None


def _fail(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_leftovers_of_an_inspection_are_removed(takeover: Takeover) -> None:
    Path(place("look")).mkdir(parents=True)
    assert takeover.adopt() == 0
    assert not os.path.lexists(paths.ADOPTION)


# --- parts


def test_packages_are_the_paths_with_a_root(stores: Stores) -> None:
    known = frozenset({PACKAGED})
    assert not checks.has_packages(known)
    stores.profile(stores.ours, "profiles/default", PACKAGED)
    Path(paths.ROOTS).mkdir()
    stores.ours.root("nix-aurora/nix", PACKAGED)
    assert not checks.has_packages(known)
    shutil.copytree(stores.theirs.store / A, stores.ours.store / A, symlinks=True)
    stores.ours.root("nix-aurora/former", A)
    assert not checks.has_packages(known)
    stores.ours.root("auto/x", A)
    assert checks.has_packages(known)


def test_labels_are_set_if_selinux_is_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ran = []

    def note(words: list[str], **_: object) -> Outcome:
        ran.append(words)
        return Outcome(1, "", "")

    monkeypatch.setattr(complete, "run", note)
    monkeypatch.setattr(complete, "_SELINUX", str(tmp_path / "enforce"))
    complete.label()
    assert ran == []
    (tmp_path / "enforce").touch()
    complete.label()
    assert len(ran) == 1
    assert "sudo nix-aurora relabel" in capfd.readouterr().out


def test_import_runs_directly_without_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "import"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(run, "_IMPORT", str(program))
    monkeypatch.setattr(run, "_SYSTEMD", str(tmp_path / "missing"))
    with pytest.raises(CommandError, match="cannot import the packaged Nix"):
        run.import_package()
    program.write_text("#!/bin/sh\n")
    run.import_package()
    assert system.read(str(program)) == "#!/bin/sh\n"
