"""Test a database in each state, and its copies, in a root that is not booted.

After the next import, everything that belongs to a user exists again, or the import reports why not
and changes nothing.
"""

import shlex
from collections.abc import Iterator

import pytest

from tests.harness.commands import Result
from tests.harness.scratch import Scratch
from tests.host.conftest import NixTreeMaker
from tests.host.losing import BACKUP, BUILD, COPIES, DATABASE, OWN, PREPARE, SCHEMA
from tests.host.store import RESTORE
from tests.whole import IMPORT, WHOLE, check_clean

# This prints all rows about store paths, without the database's own numbers.
_ROWS = """
import sqlite3
database = sqlite3.connect("file:/var/lib/nix/var/nix/db/db.sqlite?mode=ro", uri=True)
details = "path, hash, narSize, deriver, ultimate, sigs, ca"
for row in database.execute(f"select {details} from ValidPaths order by path"):
    print(row)
both = "Refs join ValidPaths a on a.id = referrer join ValidPaths b on b.id = reference"
for row in database.execute(f"select a.path, b.path from {both} order by 1, 2"):
    print(row)
"""
# Nix's client merges the log into the database when it ends, so that a boot finds it merged.
_CHECKPOINT = f"""
python3 -c 'import sqlite3
database = sqlite3.connect("{DATABASE}")
database.execute("pragma wal_checkpoint(truncate)")
database.close()'
"""
_DAMAGE = {
    "file deleted": f"rm {DATABASE}",
    "directory deleted": "rm -r /var/lib/nix/var/nix/db",
    "emptied": f"rm -f {DATABASE}-*; : >{DATABASE}; touch {OWN}/import-needed",
    "truncated": f"truncate --size=20K {DATABASE}; touch {OWN}/import-needed",
    "no database": f"head -c 64K /dev/urandom >{DATABASE}; touch {OWN}/import-needed",
    # The timer finds the damage, and requests the import.
    "one damaged page": "head -c 4096 /dev/urandom | "
    f"dd of={DATABASE} bs=4096 seek=2 conv=notrunc; ! {BACKUP}",
}


@pytest.fixture(scope="module")
def prepared(make_nix_tree: NixTreeMaker) -> Iterator[Scratch]:
    """Return a root with the package imported, a user's paths, and a copy of the database."""
    with make_nix_tree("forky").scratch() as scratch:
        scratch.run(PREPARE)
        yield scratch


@pytest.fixture
def root(prepared: Scratch) -> Scratch:
    """Return the root in its prepared state."""
    prepared.run(f"{RESTORE}{_CHECKPOINT}")
    return prepared


def _check_kept(root: Scratch, name: str = "mine") -> None:
    """Fail unless a user's path and its references are valid, and everything is complete."""
    root.run(
        f"""
        . /usr/lib/nix-aurora/closure.env
        export NIX_REMOTE=local
        path=$(readlink /nix/var/nix/gcroots/{name})
        "$CLOSURE_NIX/bin/nix-store" --check-validity $("$CLOSURE_NIX/bin/nix-store" \\
            --query --requisites $path)
        test -s $path
        """
    )
    check_clean(root.run(WHOLE))


@pytest.mark.parametrize("damage", _DAMAGE)
def test_broken_database_is_restored(root: Scratch, damage: str) -> None:
    before = _rows(root)
    root.run(_DAMAGE[damage])
    said = root.run(IMPORT)
    assert "restored the database; the content of every store path is as it was" in said.output
    assert _rows(root) == before
    _check_kept(root)
    assert root.run(IMPORT).output == ""
    assert not root.run(f"ls {OWN}/import-needed", check=False).stdout


def _rows(root: Scratch) -> str:
    """Return all rows about store paths, with signatures."""
    return root.run('python3 -c "$SCRIPT"', env={"SCRIPT": _ROWS}).stdout


def test_newer_database_is_left_alone(root: Scratch) -> None:
    """Keep a newer database, which is intact: a rollback of the system is not a loss."""
    root.run(f"printf 11 >{SCHEMA}; touch {OWN}/import-needed")
    before = _rows(root)
    failed = root.run(IMPORT, check=False)
    assert failed.returncode == 1
    assert "schema is version 11, but I only support 10" in failed.stderr
    assert "import failed: cannot register store paths: " in failed.stderr
    assert failed.stderr.splitlines()[-1] == "hint: sudo nix-aurora doctor"
    assert _rows(root) == before
    found = root.run("nix-aurora doctor", check=False).stdout
    assert "has schema 11, made by a newer Nix; the packaged Nix 2.34.8 reads schema 10" in found
    assert "[database-newer]" in found
    root.run(f"printf 10 >{SCHEMA}")  # as after a boot into the deployment with the newer Nix
    root.run(IMPORT)
    _check_kept(root)


def test_recover_restores_a_copy_that_this_nix_reads(root: Scratch) -> None:
    """Keep the newer database, too; without a readable copy, recover changes nothing."""
    root.run(f"printf 11 >{SCHEMA}")
    newer = root.run(f"sha256sum <{DATABASE}").stdout
    said = root.run("nix-aurora recover --yes").output
    assert f"{SCHEMA}: expected at most 10, which the packaged Nix reads, got 11" in said
    assert "restored the database; the content of every store path is as it was" in said
    assert root.read(SCHEMA) == "10"
    assert root.run(f"cat {OWN}/aside/*/db/schema").stdout == "11"
    assert root.run(f"sha256sum <$(echo {OWN}/aside/*/db/db.sqlite)").stdout == newer
    _check_kept(root)
    root.run(f"printf 11 >{SCHEMA}; rm -r {COPIES}")
    before = _rows(root)
    refused = root.run("nix-aurora recover --yes", check=False)
    assert refused.returncode == 1
    assert "no copy has a schema that it reads; nothing was changed" in refused.stderr
    assert _rows(root) == before
    found = root.run("nix-aurora doctor", check=False).stdout
    assert "  fix: sudo dnf upgrade nix-aurora && " in found


@pytest.mark.parametrize(
    "content", ["", "x", "99999999999", r"10\n", r"\377\376", "7", r"10\0"], ids=repr
)
@pytest.mark.parametrize("copied", [True, False], ids=["a copy", "no copy"])
def test_schema_file_without_a_number_is_corrected(
    root: Scratch, content: str, copied: bool
) -> None:
    """Nix cannot open the database until an import corrects the file; the database stays."""
    before = _rows(root)
    root.run(f"printf {shlex.quote(content)} >{SCHEMA}" + ("" if copied else f"; rm -r {COPIES}"))
    ask = (
        '. /usr/lib/nix-aurora/closure.env; NIX_REMOTE=local "$CLOSURE_NIX/bin/nix-store" --verify'
    )
    assert root.run(ask, check=False).returncode != 0
    # A boot does not notice a byte 0, but the import that doctor and the timer request does.
    said = root.run(f"touch {OWN}/import-needed; {IMPORT}" if "\\0" in content else IMPORT).output
    assert f"nix-aurora: corrected {SCHEMA}: expected " in said
    assert "it now has 10" in said
    assert "restored" not in said
    assert root.read(SCHEMA) == "10"
    assert _rows(root) == before
    assert root.run(f"ls {OWN}/aside", check=False).stdout == ""
    _check_kept(root)
    assert root.run(IMPORT).output == ""


def test_timer_finds_a_schema_without_a_number_and_doctor_names_the_fix(root: Scratch) -> None:
    root.run(f"printf x >{SCHEMA}")
    failed = root.run(BACKUP, check=False)
    assert failed.returncode == 1
    assert f"cannot copy the database: {SCHEMA}: expected a number, got 'x'" in failed.stderr
    assert (
        f"error: {SCHEMA}: expected a number, got 'x': "
        in root.run("nix-aurora doctor", check=False).stdout
    )
    root.run(IMPORT)
    _check_kept(root)


@pytest.mark.parametrize(
    "trouble",
    [
        "mount --bind /dev/null /etc/nix/nix.custom.conf; echo nonsense >>/etc/nix/nix.conf",
        "mount -t tmpfs -o size=4k,mode=0000 none /nix/var/nix/temproots",
    ],
    ids=["settings", "temporary roots"],
)
def test_another_failure_of_nix_discards_no_database(root: Scratch, trouble: str) -> None:
    root.run(f"cp /etc/nix/nix.conf /run/nix.conf; touch {OWN}/import-needed")
    before = root.run(f"sha256sum {DATABASE}").stdout
    try:
        failed = root.run(f"{trouble}\n{IMPORT}", check=False)
        print(failed.output)
        assert "restor" not in failed.output
        assert "moved into" not in failed.output
        assert failed.returncode == 0 or "hint: sudo nix-aurora doctor" in failed.stderr
        assert root.run(f"sha256sum {DATABASE}").stdout == before or failed.returncode == 0
    finally:
        root.run(
            "umount /nix/var/nix/temproots /etc/nix/nix.custom.conf 2>/dev/null || :\n"
            "cp /run/nix.conf /etc/nix/nix.conf"
        )
    root.run(IMPORT)
    _check_kept(root)


def test_old_copy_restores_its_state_and_names_the_rest(root: Scratch) -> None:
    """Restore an old copy, as on a host that was off for a month; newer paths are named."""
    root.run(
        f"""
        {BUILD}
        build late later
        rm /nix/var/nix/gcroots/inner*
        """
    )
    root.run(f"rm {DATABASE}; {IMPORT}")
    _check_kept(root)
    late = root.run("readlink /nix/var/nix/gcroots/late").stdout.strip()
    said = root.run("nix-aurora doctor", check=False).stdout
    assert "[roots-unregistered]" in said
    assert f"nix-store --realise {late}" in said
    root.run(f"{BUILD}rm /nix/var/nix/gcroots/late\nbuild late later")
    _check_kept(root, "late")


# This records outputs of content-addressed derivations, in the table of this Nix's revision.
_REALISED = """
import sqlite3
database = sqlite3.connect("file:/var/lib/nix/var/nix/db/db.sqlite?mode=ro", uri=True)
tables = [name for (name,) in database.execute(
    "select name from sqlite_master where type = 'table' and (name = 'Realisations'"
    " or name like 'BuildTrace%')")]
for name in tables:
    for row in database.execute(f"select drvPath, outputName, coalesce(path, outputPath),"
                                f" signatures from {name} left join ValidPaths v"
                                f" on v.id = outputPath order by 1"):
        print(name, *row)
"""


_CONTENT = """
let
  built = name: text: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo ${text} >$out" ];
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  };
in
built "second" (built "first" "text")
"""


def test_recover_restores_realisations_from_a_copy(root: Scratch) -> None:
    """The realisations belong to content-addressed derivations, one of which needs the other."""
    feature = "--option extra-experimental-features ca-derivations"
    root.run(
        f"""
        export NIX_REMOTE=local
        . /usr/lib/nix-aurora/closure.env
        "$CLOSURE_NIX/bin/nix-build" --option sandbox false --option build-users-group '' \\
            {feature} --out-link /nix/var/nix/gcroots/realised --expr {shlex.quote(_CONTENT)}
        {BACKUP}
        """
    )
    script = 'python3 -c "$SCRIPT"'
    before = root.run(script, env={"SCRIPT": _REALISED}).stdout
    assert [word for word in ("-first ", "-second ") if word not in before] == []
    root.run(
        f"""
        rm -r /var/lib/nix/var/nix/db
        . /usr/lib/nix-aurora/closure.env
        NIX_REMOTE=local "$CLOSURE_NIX/bin/nix-store" --verify {feature}
        """
    )
    assert root.run(script, env={"SCRIPT": _REALISED}).stdout == ""
    count = len(before.splitlines())
    assert f"and {count} realisations." in root.run("nix-aurora recover --yes").stderr
    assert root.run(script, env={"SCRIPT": _REALISED}).stdout == before
    check_clean(root.run(WHOLE))
    root.run("rm /nix/var/nix/gcroots/realised")


@pytest.mark.parametrize("state", ["deleted", "truncated", "newer schema", "one damaged page"])
def test_damaged_copy_is_skipped_for_the_one_before(root: Scratch, state: str) -> None:
    newest = f"{COPIES}/1/db.sqlite"
    damage = {
        "deleted": f"rm {newest}",
        "truncated": f"truncate --size=20K {newest}",
        "newer schema": f"printf 11 >{COPIES}/1/schema",
        "one damaged page": f"head -c 4096 /dev/urandom | dd of={newest} bs=4096 seek=2 "
        "conv=notrunc",
    }[state]
    root.run(
        f"""
        {BUILD}
        build late later
        {BACKUP}
        {damage}
        rm {DATABASE}
        """
    )
    said = root.run(IMPORT).output
    assert f"{COPIES}/1: this copy cannot be used: " in said
    assert "restored the database" in said
    _check_kept(root)
    found = root.run("nix-aurora doctor", check=False).stdout
    known = "paths-unregistered" if state == "newer schema" else "roots-unregistered"
    assert f"[{known}]" in found


def test_changed_content_is_dropped_with_its_referrers(root: Scratch) -> None:
    root.run(
        f"""
        inner=$(readlink /nix/var/nix/gcroots/inner)
        rm $inner; echo evil >$inner; chmod 444 $inner
        rm {DATABASE}
        """
    )
    said = root.run(IMPORT).output
    assert "restored the database without 3 store paths:" in said
    assert "-inner: the content differs from what was registered" in said
    assert "-mine: it needs one of these" in said
    check_clean(root.run(WHOLE))
    recovered: Result = root.run("nix-aurora recover --yes")
    assert "are in a copy, but cannot be registered" in recovered.stderr
    assert "gcroots/mine: /nix/store/" in recovered.stderr
    check_clean(root.run(WHOLE))


def test_doctor_names_recover_without_a_copy_until_it_has_run(root: Scratch) -> None:
    root.run(f"rm -r {COPIES} {DATABASE}")
    said = root.run(IMPORT).output
    assert "and there is no copy of the former one\nhint: sudo nix-aurora recover" in said
    assert "[database-lost]" in root.run("nix-aurora doctor", check=False).stdout
    assert "after another one was lost" in root.run(BACKUP).stdout
    assert "gcroots/mine: /nix/store/" in root.run("nix-aurora recover --yes").stderr
    found = root.run("nix-aurora doctor", check=False).stdout
    assert "[database-lost]" not in found
    assert "[roots-unregistered]" in found
    assert "copied the database" in root.run(BACKUP).stdout
