"""Test what nix-aurora recover finds, and what it registers again."""

import io
import json
import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
from nix_aurora_host import paths
from nix_aurora_host.commands import recover
from nix_aurora_host.database import pathlocks, recoverable
from nix_aurora_host.database.backup import backup
from nix_aurora_host.database.newer import Newer
from nix_aurora_host.database.roots import gather_roots
from nix_aurora_host.errors import CommandError

from tests.unit.host.nix_database import A, B, C, D, Nix, make_nix


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nix:
    """Return a store with a copy of its database; C refers to B, and B to A. D is in no copy."""
    nix = make_nix(tmp_path / "nix", monkeypatch)
    for path_name in (A, B, C):
        nix.add(path_name)
    nix.make_database([A, B, C], [(C, B), (B, A)])
    backup()
    nix.add(D)
    return nix


def _lose(nix: Nix, *kept: str) -> None:
    """Replace the database with one that knows only ``kept``, as after a loss."""
    shutil.rmtree(nix.database.parent)
    nix.make_database(kept)


def _recover(
    capsys: pytest.CaptureFixture[str], *, dry_run: bool = False
) -> tuple[int, dict[str, object]]:
    code = recover.recover(yes=True, dry_run=dry_run, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert isinstance(said, dict)
    return code, said


def _paths(*names: str) -> list[str]:
    return [f"/nix/store/{path_name}" for path_name in names]


def test_paths_in_a_copy_are_registered_again(nix: Nix, capsys: pytest.CaptureFixture[str]) -> None:
    """All data in the copy is restored; paths in no copy are not registered."""
    rows = nix.run("select path, hash, narSize, deriver, ultimate, sigs, ca from ValidPaths")
    _lose(nix, B)
    code, planned = _recover(capsys, dry_run=True)
    assert (code, planned["registered"]) == (0, False)
    assert nix.valid() == {B}
    code, said = _recover(capsys)
    assert code == 0
    assert said == planned | {"registered": True}
    assert sorted(str(path) for path in said["paths"]) == _paths(A, C)  # type: ignore[attr-defined]
    assert nix.valid() == {A, B, C}
    after = nix.run("select path, hash, narSize, deriver, ultimate, sigs, ca from ValidPaths")
    assert sorted(after) == sorted(rows)
    (referred,) = nix.run(
        "select b.path from Refs join ValidPaths a on a.id = referrer"
        " join ValidPaths b on b.id = reference where a.path = ?",
        f"/nix/store/{C}",
    )
    assert referred == (f"/nix/store/{B}",)


_REALISED = (
    "insert into Realisations (drvPath, outputName, outputPath, signatures)"
    " select 'sha256:drv!' || substr(path, 12, 1), 'out', id, 'key:realised' from ValidPaths"
)
_REALISATIONS = (
    "select drvPath, outputName, path, signatures from Realisations"
    " join ValidPaths v on v.id = outputPath order by 1"
)
_REALISATION_REFERENCES = (
    "select a.drvPath, b.drvPath from RealisationsRefs join Realisations a on a.id = referrer"
    " join Realisations b on b.id = realisationReference order by 1"
)


def _realise(nix: Nix) -> None:
    """Add a realisation for each path, with the references of the paths, and make a copy."""
    nix.run(_REALISED)
    nix.run("insert into RealisationsRefs values (3, 2), (2, 1)")
    backup()


@pytest.mark.parametrize("kept", [(), (B,), (A, C), (A, B, C)])
def test_realisations_are_restored_from_the_copy(
    nix: Nix, capsys: pytest.CaptureFixture[str], kept: tuple[str, ...]
) -> None:
    """Realisations of registered paths are restored, too; newer ones are kept."""
    _realise(nix)
    before = nix.run(_REALISATIONS), nix.run(_REALISATION_REFERENCES)
    _lose(nix, *kept)
    nix.run(
        "insert into Realisations (drvPath, outputName, outputPath, signatures)"
        " select 'sha256:drv!b', 'out', id, 'new:signature' from ValidPaths where path like '%/b%'"
    )
    code, said = _recover(capsys)
    assert (code, said["realisations"]) == (0, 2 if B in kept else 3)
    after = nix.run(_REALISATIONS)
    expected = [
        (*row[:3], "new:signature") if B in kept and row[0] == "sha256:drv!b" else row
        for row in before[0]
    ]
    assert after == expected
    references = before[1] if B not in kept else [before[1][1]]
    assert nix.run(_REALISATION_REFERENCES) == references
    assert _recover(capsys)[1] | {"registered": True} == said | {
        "paths": [],
        "size": 0,
        "realisations": 0,
    }


def test_realisation_of_an_invalid_path_is_left_out(
    nix: Nix, capsys: pytest.CaptureFixture[str]
) -> None:
    """Realisations that refer to this one are left out, too."""
    _realise(nix)
    _lose(nix, A, C)
    shutil.rmtree(nix.store / B)
    nix.add(B, b"evil")
    _, said = _recover(capsys)
    assert said["realisations"] == 1
    assert nix.run("select drvPath from Realisations") == [("sha256:drv!a",)]


def test_tables_of_newer_revisions_are_restored_too(
    nix: Nix, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second revision names an output by its number, the third one by its path."""
    tables = (
        "create table BuildTraceV2 (id integer primary key, drvPath text, outputName text,"
        " outputPath integer, signatures text)",
        "create table BuildTraceV3 (id integer primary key, drvPath text, outputName text,"
        " outputPath text, signatures text)",
    )
    for statement in tables:
        nix.run(statement)
    nix.run("insert into BuildTraceV2 select id, 'd' || id, 'out', id, 's' from ValidPaths")
    nix.run("insert into BuildTraceV3 select id, 'd' || id, 'out', path, 's' from ValidPaths")
    nix.run("insert into BuildTraceV3 values (9, 'd9', 'out', ?, 's')", f"/nix/store/{D}")
    backup()
    _lose(nix, C)
    for statement in tables:
        nix.run(statement)
    _, said = _recover(capsys)
    assert said["realisations"] == 6
    assert sorted(
        nix.run("select drvPath, path from BuildTraceV2 b join ValidPaths v on v.id = outputPath")
    ) == [(f"d{number}", f"/nix/store/{path}") for number, path in enumerate((A, B, C), 1)]
    assert sorted(nix.run("select drvPath, outputPath, signatures from BuildTraceV3")) == [
        (f"d{number}", f"/nix/store/{path}", "s") for number, path in enumerate((A, B, C), 1)
    ]


@pytest.mark.parametrize("root", [True, False])
def test_content_without_a_copy_is_never_registered(
    nix: Nix, capsys: pytest.CaptureFixture[str], root: bool
) -> None:
    """A failed build may leave such content under a valid name, and its user may make a root."""
    if root:
        nix.root("result", D)
    shutil.rmtree(nix.store / A)
    nix.add(A, b"evil")
    _lose(nix)
    nix.root("other", A)
    code, said = _recover(capsys)
    assert code == 0
    assert nix.valid() == set()
    assert said["paths"] == []
    unfit = said["unfit"]
    assert isinstance(unfit, dict)
    assert set(unfit) == set(_paths(A, B, C))
    assert unfit[f"/nix/store/{B}"] == f"it needs {A}, which is not registered"
    gcroots = nix.state / "gcroots"
    lost = {f"{gcroots}/other": f"/nix/store/{A}"} | (
        {f"{gcroots}/result": f"/nix/store/{D}"} if root else {}
    )
    assert said["lost"] == lost


def test_each_copy_adds_paths_that_newer_copies_lack(
    nix: Nix, capsys: pytest.CaptureFixture[str]
) -> None:
    """If nobody notices a loss, the next copy is made of the new and smaller database."""
    _lose(nix, A)
    backup()
    _lose(nix)
    code, said = _recover(capsys)
    assert code == 0
    copies = said["copies"]
    assert isinstance(copies, dict)
    assert {name: copy["paths"] for name, copy in copies.items()} == {"1": 1, "2": 3}
    assert nix.valid() == {A, B, C}
    assert said["size"] == sum(size for (size,) in nix.run("select narSize from ValidPaths"))  # type: ignore[misc]


def test_recover_without_a_copy_lists_lost_paths_and_clears_the_marker(
    nix: Nix, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(paths.COPIES)
    _lose(nix)
    Path(paths.DATABASE_LOST).touch()
    nix.root("result", C)
    assert recover.recover(yes=False, dry_run=True, as_json=False) == 0
    assert Path(paths.DATABASE_LOST).exists()
    capsys.readouterr()
    assert recover.recover(yes=True, dry_run=False, as_json=False) == 0
    said = capsys.readouterr().err
    assert f"  {nix.state}/gcroots/result: /nix/store/{C}\n" in said
    assert "Install or build these paths again" in said
    assert nix.valid() == set()
    assert not Path(paths.DATABASE_LOST).exists()
    assert backup() == "copied the database: 0 store paths"


def test_name_of_a_link_cannot_control_the_terminal(
    nix: Nix, capsys: pytest.CaptureFixture[str]
) -> None:
    _lose(nix)
    nix.root("evil\x1b[2J\nForged line", D)
    recover.recover(yes=True, dry_run=False, as_json=False)
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert not [line for line in said.splitlines() if line.startswith("Forged")]


def test_path_that_is_being_built_is_skipped(nix: Nix, capsys: pytest.CaptureFixture[str]) -> None:
    """The builder may replace the content after the check."""
    _lose(nix)
    with pathlocks.hold([B]) as held:
        assert held == {B}
        _, said = _recover(capsys)
    unfit = said["unfit"]
    assert isinstance(unfit, dict)
    assert unfit[f"/nix/store/{B}"] == "it is being built or downloaded"
    assert nix.valid() == {A}
    assert not list(nix.store.glob("*.lock"))


def test_locks_are_held_until_the_paths_are_registered(nix: Nix) -> None:
    _lose(nix)
    with ExitStack() as locks:
        found = recoverable.find(locks)
        assert set(found.names) == {A, B, C}
        with pathlocks.hold([A, B, C]) as held:
            assert held == set()
    with pathlocks.hold([A]) as held:
        assert held == {A}


def test_damaged_database_is_left_to_the_import(
    nix: Nix, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(nix.database, 5000)
    code, said = _recover(capsys, dry_run=True)
    assert code == 0
    assert said["damage"]
    assert not Path(paths.IMPORT_NEEDED).exists()

    def restore() -> None:
        _lose(nix, A, B, C)

    monkeypatch.setattr(recover, "_import", restore)
    code, said = _recover(capsys)
    assert (code, said["damage"]) == (0, None)


def test_newer_database_is_replaced_after_a_question(
    nix: Nix, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import replaces the database and keeps it. Without an older copy, nothing changes."""
    monkeypatch.setattr(recover, "find_newer", lambda _find_nix: Newer(11, 10))
    code, said = _recover(capsys, dry_run=True)
    assert code == 0
    assert "expected at most 10, which the packaged Nix reads, got 11" in str(said["damage"])
    assert not Path(paths.IMPORT_NEEDED).exists()

    def restore() -> None:
        assert Path(paths.IMPORT_NEEDED).read_text() == "10\n"
        _lose(nix, A, B, C)

    monkeypatch.setattr(recover, "_import", restore)
    code, said = _recover(capsys)
    assert (code, said["damage"]) == (0, None)
    shutil.rmtree(paths.COPIES)
    Path(paths.IMPORT_NEEDED).unlink()
    with pytest.raises(
        CommandError, match="no copy has a schema that it reads; nothing was"
    ) as refused:
        recover.recover(yes=True, dry_run=False, as_json=True)
    assert refused.value.hint == "sudo nix-aurora doctor"
    assert not Path(paths.IMPORT_NEEDED).exists()


def test_recover_is_refused_without_a_terminal_or_rights(
    nix: Nix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CommandError) as refused:
        recover.recover(yes=False, dry_run=False, as_json=False)
    assert (refused.value.code, refused.value.hint) == (2, "sudo nix-aurora recover --yes")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CommandError) as refused:
        recover.recover(yes=True, dry_run=False, as_json=False)
    assert (refused.value.code, refused.value.hint) == (2, "sudo nix-aurora recover")
    assert nix.valid() == {A, B, C}


# --- the roots


def test_roots_are_found_as_the_collector_finds_them(nix: Nix) -> None:
    state, top = nix.state, nix.top
    (state / "profiles/per-user/u").mkdir(parents=True)
    links = {
        "gcroots/own": f"/nix/store/{A}/bin",
        "gcroots/auto/1": f"{top}/result",
        "gcroots/auto/2": "/nowhere",
        "gcroots/auto/3": f"{top}/plain",
        "gcroots/gone": f"/nix/store/{'d' * 32}-gone",
        "gcroots/profiles": "/nix/var/nix/profiles",
        "profiles/per-user/u/p-1-link": f"/nix/store/{C}",
        "profiles/per-user/u/p": "p-1-link",
    }
    for link, target in links.items():
        (state / link).symlink_to(target)
    (top / "result").symlink_to(f"/nix/store/{B}")
    (top / "plain").touch()
    assert gather_roots() == {
        f"{state}/gcroots/own": A,
        f"{state}/gcroots/auto/1": B,
        f"{state}/profiles/per-user/u/p-1-link": C,
        f"{state}/profiles/per-user/u/p": C,
    }


@pytest.mark.parametrize(
    "target",
    [
        "/nix/store/.links",
        "/nix/store/.links/x",
        "/nix/store/..",
        "/nix/store/../var/nix/db",
        "/nix/store/../../nix/store/.links",
        f"/nix/store/{A}/../.links",
        "/nix/store/trash",
        "/nix/store/" + "e" * 32 + "-not-base-32",
        "/nix/store/" + "a" * 32 + "-new\nline",
        "/nix/store",
    ],
)
def test_links_to_other_places_are_not_roots(nix: Nix, target: str) -> None:
    (nix.store / ".links").mkdir()
    (nix.store / ".links/x").touch()
    for other in ("trash", "e" * 32 + "-not-base-32", "a" * 32 + "-new\nline"):
        (nix.store / other).touch()
    (nix.top / "result").symlink_to(target)
    (nix.state / "gcroots/auto/1").symlink_to(nix.top / "result")
    (nix.state / "gcroots/own").symlink_to(target)
    assert gather_roots() == {}
