"""Test the import in a root that is not booted: after any fault, the next run completes it.

An import takes half a second there, while a boot takes many seconds.
"""

import re
from collections.abc import Iterator

import pytest

from tests.host.conftest import NixTreeMaker
from tests.host.store import RESTORE, Store, prepare
from tests.packages import PackageMaker
from tests.torture import chosen, generator
from tests.whole import IMPORT

_KILLED = -9
_PROFILE = "/nix/var/nix/profiles/default"
_EMPTY = """
find /var/lib/nix -mindepth 1 -delete
systemd-tmpfiles --create nix-aurora.conf
"""


@pytest.fixture(scope="module")
def prepared(make_nix_tree: NixTreeMaker, package: PackageMaker) -> Iterator[Store]:
    """Yield the store; it is prepared once."""
    with make_nix_tree("trixie").scratch() as scratch:
        yield prepare(scratch, package("forky"))


@pytest.fixture
def store(prepared: Store) -> Store:
    """Return the store in its first state."""
    prepared.restore()
    return prepared


# --- killed


# These are the finished steps of an import, and the step that follows.
_STAGES = {
    "begun": "run.stage",
    "cloned": "clone.clone:20",
    "staged": "syscalls.sync",
    "locked": "run.place",
    "renaming": "syscalls.rename_new:30",
    "renamed": "nix.load",
    "registered": "profile.update_profile",
    "installing": "profile._install",
    "installed": "roots.add_roots",
    "rooting": "roots.add_root:2",
    "rooted": "state.prepare",
    "stamping": "state.remember",
    "stamped": "state.adopt",
}


@pytest.mark.parametrize("stage", _STAGES)
def test_import_resumes_after_a_kill_at_any_stage(store: Store, stage: str) -> None:
    """Start each kill from the same state; the next run finishes the work."""
    killed = store.run_import(at=_STAGES[stage], check=False)
    assert killed.returncode == _KILLED
    assert f"reached: {_STAGES[stage]}" in killed.stdout
    store.check_still_works()
    store.run_import()
    store.check_whole()
    store.check_still_works()


def test_import_resumes_after_kills_of_all_its_processes_at_any_time(store: Store) -> None:
    """Kill all processes, like systemd or a power cut; each run starts where the last one ended."""
    chooser = generator()
    # An import takes about half a second.
    for delay in chosen([chooser.uniform(0.05, 0.6) for _ in range(8)]):
        ended = store.scratch.run(
            f"setsid {IMPORT} & sleep {delay}; kill -KILL -- -$! || :; wait $! || echo $?"
        ).stdout
        print(f"after {delay:.2f} s: {ended.splitlines()[-1:]}")
        store.check_still_works()
    store.run_import()
    store.check_whole()
    store.check_still_works()


@pytest.mark.parametrize("step", ["nix.load", "profile._install"])
@pytest.mark.parametrize("delay", [0.01, 0.03])
def test_import_resumes_after_a_kill_while_nix_works(store: Store, step: str, delay: float) -> None:
    """Kill all processes while Nix may be writing; its database has its own journal."""
    killed = store.scratch.run(
        f'setsid --wait python3 -I /run/step.py {step} "(sleep {delay}; kill -KILL 0) &"',
        check=False,
    )
    print(killed.output)
    assert f"reached: {step}" in killed.stdout
    store.check_still_works()
    store.run_import()
    store.check_whole()


@pytest.mark.parametrize(
    "step", ["database.read", "run.place", "syscalls.rename_new:30", "roots.add_roots"]
)
def test_first_import_resumes_after_a_kill(store: Store, step: str) -> None:
    """Kill the import of a host that has no older Nix to use."""
    store.scratch.run(_EMPTY)
    assert store.run_import(at=step, check=False).returncode == _KILLED
    store.run_import()
    store.check_whole()


def test_two_imports_at_once_succeed(store: Store) -> None:
    done = store.scratch.run(f"{IMPORT} >/run/first & {IMPORT}; wait $!; cat /run/first")
    assert done.stdout.count("another import is running: waiting for it") == 1
    assert done.stdout.count("imported Nix") == 1
    store.check_whole()


# --- the disk


@pytest.mark.parametrize(
    "step",
    [
        *("run.stage", "run.place", "nix.load", "profile._install", "roots.add_roots"),
        *("state.prepare", "state.remember"),
    ],
)
def test_import_resumes_after_the_disk_is_full(store: Store, step: str) -> None:
    """Let another process use the space that the import had checked."""
    store.scratch.run("mount -t tmpfs -o mode=0755,size=250m small /var/lib/nix")
    try:
        store.scratch.run(f"umount /nix; mount --bind /var/lib/nix /nix; {RESTORE}")
        full = "dd if=/dev/zero of=/var/lib/nix/ballast bs=4k 2>/dev/null || true"
        failed = store.run_import(at=step, action=full, check=False)
        print(failed.output)
        assert f"reached: {step}" in failed.stdout
        assert failed.returncode == 1 or "imported Nix" in failed.stdout
        assert "import failed" in failed.stderr or failed.returncode == 0
        store.check_still_works()
        store.scratch.run("rm /var/lib/nix/ballast")
        store.run_import()
        store.check_whole()
        store.check_still_works()
    finally:
        store.scratch.run("umount /nix /var/lib/nix; mount --bind /var/lib/nix /nix")


@pytest.mark.parametrize("size", chosen([80 + 8 * number for number in range(20)]))
def test_older_nix_works_on_a_disk_of_any_size(store: Store, size: int) -> None:
    """However much the import can write, the older Nix works; with more space the import ends."""
    store.scratch.run(f"mount -t tmpfs -o mode=0755,size={size}m small /var/lib/nix")
    try:
        store.scratch.run(f"umount /nix; mount --bind /var/lib/nix /nix; {RESTORE}")
        # The check of the free space passes, so a later write fails.
        lie = "mount -o remount,size=1g /var/lib/nix"
        truth = f"mount -o remount,size={size}m /var/lib/nix"
        done = store.run_import(at="clone.clone", action=truth, check=False, before=lie)
        print(f"{size} MiB: {done.output}")
        assert done.returncode == 0 or "import failed: " in done.stderr
        store.check_still_works()
        store.scratch.run("mount -o remount,size=1g /var/lib/nix")
        store.run_import()
        store.check_whole()
        store.check_still_works()
    finally:
        store.scratch.run("umount /nix /var/lib/nix; mount --bind /var/lib/nix /nix")


def test_lack_of_space_is_reported_before_any_change(store: Store) -> None:
    store.scratch.run("mount -t tmpfs -o mode=0755,size=150m small /var/lib/nix")
    try:
        store.scratch.run(f"umount /nix; mount --bind /var/lib/nix /nix; {RESTORE}")
        failed = store.run_import(check=False)
        assert failed.returncode == 1
        assert "MiB of free space, got" in failed.stderr
        assert "hint: sudo nix-aurora doctor" in failed.stderr
        store.check_still_works()
        store.scratch.run("mount -o remount,size=250m /var/lib/nix")
        store.run_import()
        store.check_whole()
    finally:
        store.scratch.run("umount /nix /var/lib/nix; mount --bind /var/lib/nix /nix")


def test_read_only_store_is_reported(store: Store) -> None:
    store.scratch.run("mount --bind -o ro /var/lib/nix /var/lib/nix; umount /nix")
    store.scratch.run("mount --bind /var/lib/nix /nix")
    try:
        failed = store.run_import(check=False)
        assert failed.returncode == 1
        assert "Read-only file system" in failed.stderr
        assert "import failed" in failed.stderr
    finally:
        store.scratch.run("umount /nix /var/lib/nix; mount --bind /var/lib/nix /nix")
    store.run_import()
    store.check_whole()


# --- the package

_PACKAGE = "/usr/lib/nix-aurora"


@pytest.fixture
def damaged(store: Store) -> Iterator[Store]:
    """Yield the store; restore the package's files after the test."""
    store.scratch.run(f"cp -a {_PACKAGE} /run/package")
    yield store
    store.scratch.run(
        f"find {_PACKAGE} -mindepth 1 -delete; cp -a /run/package/. {_PACKAGE}; rm -r /run/package"
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            "truncate --size=-9 $library",
            ": the package is damaged: expected a NAR of [0-9]+ bytes, got [0-9]+",
        ),
        (
            'byte=$(od -An -tu1 -j 5000 -N 1 $library); printf "\\\\x$(printf %x $((byte ^ 4)))"'
            " | dd of=$library bs=1 seek=5000 conv=notrunc status=none",
            ": the package is damaged: the content differs from what was registered",
        ),
        ("rm $library", ": the package is damaged: expected a NAR of "),
        ("touch $path/more", ": the package is damaged: expected a NAR of [0-9]+ bytes, got more"),
        ("rm -r $path", ": No such file or directory"),
        (
            "rm $library; mkfifo $library",
            ": the package is damaged: .* is not a file, a directory or a link",
        ),
    ],
    ids=["truncated", "one bit flipped", "a file gone", "a file too many", "gone", "a pipe"],
)
@pytest.mark.parametrize("first", [False, True], ids=["upgrade", "first import"])
def test_a_damaged_package_is_refused(
    damaged: Store, damage: str, message: str, first: bool
) -> None:
    if first:  # a first import has no older Nix to use
        damaged.scratch.run(_EMPTY)
    damaged.scratch.run(
        f"""
        library=$(ls {_PACKAGE}/store/*/lib/libc.so.6 | head -1)
        path=${{library%/lib/*}}
        {damage}
        """
    )
    before = damaged.listing()
    failed = damaged.run_import(check=False)
    assert failed.returncode == 1
    assert failed.stderr.count("import failed") == 1
    assert re.search(
        rf"import failed: cannot (import|read) {_PACKAGE}/store/\S+{message}.*\nhint: sudo nix",
        failed.stderr,
    )
    if first:
        left = damaged.scratch.run("cd /var/lib/nix; find store var .nix-aurora -type f").stdout
        assert left == ".nix-aurora/lock\n"
    else:
        assert damaged.listing() == before
        damaged.check_still_works()


@pytest.mark.parametrize(
    "damage", ["truncate --size=-9", "truncate --size=0", "sed -i s/1/2/", "rm"]
)
def test_damaged_description_is_refused(damaged: Store, damage: str) -> None:
    damaged.scratch.run(f"{damage} {_PACKAGE}/closure.json")
    before = damaged.listing()
    failed = damaged.run_import(check=False)
    assert failed.returncode == 1
    assert re.search(
        rf"^nix-aurora: import failed: cannot read the package: {_PACKAGE}/closure.json: ",
        failed.stderr,
    )
    assert damaged.listing() == before
    damaged.check_still_works()


def test_extra_files_beside_the_packaged_paths_are_left_out(damaged: Store) -> None:
    damaged.scratch.run(f"mkdir {_PACKAGE}/store/more")
    damaged.run_import()
    damaged.scratch.run(f"rmdir {_PACKAGE}/store/more")
    damaged.check_whole()


# --- the state


@pytest.fixture
def imported(store: Store) -> Store:
    """Return the store after an import."""
    store.run_import()
    return store


@pytest.mark.parametrize(
    ("damage", "missing"),
    [
        ("rm /nix/.nix-aurora/imported", 0),
        (": >/nix/.nix-aurora/imported", 0),
        ("rm -r /nix/.nix-aurora", 0),
        ("rm -r /nix/var/nix/gcroots/nix-aurora", 0),
        ("rm /nix/var/nix/profiles/default", 0),
        ("rm -r /nix/var/nix/profiles", 0),
        ("rm /nix/var/nix/db/db.sqlite", 64),
        ("rm -r /nix/var/nix/db", 64),
        ("rm -r /nix/var/nix/db /nix/var/nix/gcroots", 64),
    ],
)
def test_lost_state_is_recreated(imported: Store, damage: str, missing: int) -> None:
    imported.scratch.run(damage)
    done = imported.run_import()
    assert f"{missing} of 64 store paths were missing" in done.stdout
    imported.check_whole()
    assert imported.run_import().output == ""


@pytest.mark.parametrize(
    "damage",
    [
        "find $CLOSURE_NIX/ -type f,l -delete",
        "rm -r $CLOSURE_NIX; echo wrong >$CLOSURE_NIX",
        "rm -r $CLOSURE_NIX; ln -s /etc $CLOSURE_NIX",
        "rm -r $CLOSURE_NIX",
        # A run with nothing to do reads no files, so this also removes the record of the import.
        "echo wrong >>$(readlink -f $CLOSURE_CACERT/etc/ssl/certs/ca-bundle.crt)"
        "; rm /nix/.nix-aurora/imported",
    ],
    ids=["emptied", "a file", "a link", "gone", "another content"],
)
def test_damaged_path_is_replaced(imported: Store, damage: str) -> None:
    """Damage a path that is valid in the database."""
    imported.scratch.run(f". /usr/lib/nix-aurora/closure.env; {damage}")
    imported.run_import()
    imported.check_whole()


def test_unregistered_half_path_is_replaced(store: Store) -> None:
    """Replace incomplete content at a store path, and keep it aside."""
    store.scratch.run(
        """
        . /usr/lib/nix-aurora/closure.env
        mkdir -p $CLOSURE_NIX/bin
        echo half >$CLOSURE_NIX/bin/nix
        echo wrong >$CLOSURE_CACERT
        """
    )
    said = store.run_import().stdout
    assert said.count("differs from the package: replacing it") == 2
    store.check_whole()
    kept = store.scratch.run("cat /nix/.nix-aurora/aside/*/*-nix-2.34.8/bin/nix").stdout
    assert kept == "half\n"


def test_path_that_another_process_creates_is_not_used(store: Store) -> None:
    """Create the path as a build may do: between the last check and the rename."""
    failed = store.run_import(
        at="syscalls.rename_new",
        action="cd /nix/.nix-aurora/unpack/store; set -- *; mkdir /nix/store/$2; echo taken: $2",
        check=False,
    )
    assert failed.returncode == 1
    taken = re.search(r"^taken: (.*)$", failed.stdout, re.MULTILINE)
    assert taken
    assert (
        f"/{taken[1]}: another process created it meanwhile\nhint: sudo systemctl" in failed.stderr
    )
    store.check_still_works()
    store.run_import()
    store.check_whole()


def test_variant_that_was_built_here_is_left_alone(store: Store) -> None:
    """Register a variant that is valid in the database, with its own hash."""
    store.scratch.run(
        """
        . /usr/lib/nix-aurora/closure.env
        export NIX_REMOTE=local
        mkdir -p $CLOSURE_CACERT/etc/ssl/certs
        echo "an own one" >$CLOSURE_CACERT/etc/ssl/certs/ca-bundle.crt
        hash=$($OLDER/bin/nix-hash --type sha256 --base32 $CLOSURE_CACERT)
        size=$($OLDER/bin/nix-store --dump $CLOSURE_CACERT | wc -c)
        printf '%s\n' $CLOSURE_CACERT sha256:$hash $size '' 0 | $OLDER/bin/nix-store --load-db
        """,
        env={"OLDER": store.older},
    )
    done = store.run_import()
    assert "63 of 64 store paths were missing" in done.stdout
    store.scratch.run("rm /nix/.nix-aurora/imported")
    assert "0 of 64 store paths were missing" in store.run_import().stdout
    store.check_whole()
    profile = "/nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt"
    assert store.scratch.read(profile) == "an own one\n"


# --- collections


def test_collections_succeed_during_an_import(store: Store) -> None:
    """Run collections one after the other, from before an import to after it, four times."""
    for _ in range(4):
        store.restore()
        done = store.scratch.run(
            f"""
            export NIX_REMOTE=local
            : >/run/collections
            while [ ! -e /run/stop ]; do
                "$OLDER/bin/nix-collect-garbage" -d >/run/log 2>&1 || cat /run/log
                echo >>/run/collections
            done &
            until [ -s /run/collections ]; do sleep 0.01; done
            before=$(wc -l </run/collections)
            {IMPORT}
            after=$(wc -l </run/collections)
            touch /run/stop
            wait
            rm /run/stop
            echo "collections: $((after - before))"
            """,
            env={"OLDER": store.older},
        )
        print(done.stdout)
        assert int(done.stdout.rsplit(": ", 1)[1]) >= 1
        store.check_whole()


def test_path_collected_before_the_lock_is_unpacked_again(store: Store) -> None:
    """Delete a path by a collection after the import has found it."""
    store.run_import()
    store.scratch.run(
        """
        rm -r /nix/var/nix/profiles/default* /nix/var/nix/gcroots/nix-aurora/* /nix/.nix-aurora
        ln -s $OLDER /nix/var/nix/gcroots/nix-aurora/nix
        """,
        env={"OLDER": store.older},
    )
    collect = f'"{store.older}/bin/nix-collect-garbage" >/dev/null 2>&1'
    done = store.run_import(at="run.collector_lock", action=collect)
    assert "64 of 64 store paths were missing" in done.stdout
    store.check_whole()


def test_import_waits_for_a_collection(store: Store) -> None:
    """Wait for Nix's own lock, which a collection holds."""
    done = store.scratch.run(
        f"""
        exec 7>>/nix/var/nix/gc.lock
        flock 7
        {IMPORT} >/run/said 2>&1 7>&- &
        until grep -q "a garbage collection is running: waiting for it" /run/said; do
            sleep 0.01
        done
        . /usr/lib/nix-aurora/closure.env
        [ ! -e $CLOSURE_NIX ]
        exec 7>&-
        wait $!
        cat /run/said
        """
    )
    assert "64 of 64 store paths were missing" in done.stdout
    store.check_whole()


# --- the default profile

# These are an administrator's changes to the default profile, with nix-env and with nix profile.
# $OLDER is the packaged Nix.
_ADD = {
    "nix-env": "nix-env --profile $PROFILE --install {}",
    "nix profile": "nix profile install --profile $PROFILE {}",
}
_REMOVE = {
    "nix-env": "nix-env --profile $PROFILE --uninstall nix",
    "nix profile": "nix profile remove --profile $PROFILE nix",
}
_ADMIN = """
export NIX_REMOTE=local PATH=$OLDER/bin:$PATH HOME=/root
export NIX_CONFIG='sandbox = false
substitute = false
experimental-features = nix-command flakes'
# A package with one program.
package() { # NAME COMMAND
    mkdir -p /run/$1-1.0/bin
    printf '#!/bin/sh\\n%s\\n' "$2" >/run/$1-1.0/bin/${3:-$1}
    chmod +x /run/$1-1.0/bin/*
    nix-store --add /run/$1-1.0
}
"""


def _administer(store: Store, script: str) -> None:
    store.scratch.run(_ADMIN + script, env={"OLDER": store.older, "PROFILE": _PROFILE})


def test_packaged_profile_is_the_same_as_nix_envs(store: Store) -> None:
    """Compare the links of the first import and its manifest with those of nix-env."""
    _administer(
        store,
        """
        [ "$(readlink $PROFILE)" = default-1-link ]
        packaged=$(readlink $PROFILE-1-link)
        references() { nix-store --query --references "$1"; }
        nix-env --profile /run/made --install $OLDER "$(references $packaged | grep cacert)"
        made=$(readlink -f /run/made)
        [ $packaged != $made ]
        links() { find "$1" -printf '%P %y %m %l\\n' | sort; }
        [ "$(links $packaged)" = "$(links $made)" ]
        [ "$(references $packaged)" = "$(references $made)" ]
        """,
    )


@pytest.mark.parametrize("way", list(_ADD))
def test_administrators_additions_stay(store: Store, way: str) -> None:
    """Upgrade the packaged Nix beside an administrator's programs."""
    _administer(store, _ADD[way].format('"$(package tool "echo a tool")"'))
    store.run_import()
    store.check_whole()
    assert store.scratch.run(f"{_PROFILE}/bin/tool").stdout == "a tool\n"
    assert store.scratch.run(f"{_PROFILE}/bin/nix --version").stdout.endswith("2.34.8\n")
    manifest = "manifest.json" if way == "nix profile" else "manifest.nix"
    assert "2.26.3" not in store.scratch.read(f"{_PROFILE}/{manifest}")


@pytest.mark.parametrize("way", list(_ADD))
def test_administrators_own_nix_stays(store: Store, way: str) -> None:
    """Keep everything else in the profile, too; the packaged Nix is still the default."""
    _administer(
        store,
        f"""
        {_REMOVE[way]}
        {_ADD[way].format('"$(package own "echo an own Nix" nix)"')}
        {_ADD[way].format('"$(package tool "echo a tool")"')}
        """,
    )
    before = store.scratch.run(f"readlink -f {_PROFILE}").stdout
    said = store.run_import().stdout
    assert "the default profile contains another Nix, which is kept: /nix/store/" in said
    assert store.scratch.run(f"readlink -f {_PROFILE}").stdout == before
    assert store.scratch.run(f"{_PROFILE}/bin/nix").stdout == "an own Nix\n"
    assert store.scratch.run(f"{_PROFILE}/bin/tool").stdout == "a tool\n"
    assert store.run_import().output == ""
