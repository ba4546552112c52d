"""Whatever goes wrong: what was there still works, and the next run makes it whole.

Most of it happens to the import itself, in a root that is not booted: that takes half a second
each, where a boot takes many.
"""

import random
import re
from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker, NixTreeMaker, PackageMaker
from tests.host.store import HOOK, RESTORE, Store, prepare
from tests.host.whole import IMPORT, add_program, build, check_profile, check_whole, derivation

_KILLED = -9


@pytest.fixture(scope="module")
def prepared(make_nix_tree: NixTreeMaker, package: PackageMaker) -> Iterator[Store]:
    """Give the store, once."""
    with make_nix_tree("trixie").scratch() as scratch:
        yield prepare(scratch, package("forky"))


@pytest.fixture
def store(prepared: Store) -> Store:
    """Give the store in its first state."""
    prepared.restore()
    return prepared


# --- killed


# What an import has done, and the last command before that is so, as it begins.
_STAGES = (
    ("begun", "mkdir -p"),
    ("unpacked", "tar --zstd --extract --file"),
    ("renamed", "mv --no-copy --no-clobber"),
    ("registered", '"$CLOSURE_NIX/bin/nix-store" --load-db'),
    ("rooted", "root cacert"),
)


def _points(trace: list[str], chooser: random.Random) -> list[tuple[int, str]]:
    """Choose where to die: 20 numbers of commands, four in each stage, with the stages' names.

    A command that is repeated counts once, or the loops over the paths would get all of them.
    """
    starts = [_number(trace, command) + 1 for _, command in _STAGES]
    points = []
    for (stage, _), start, end in zip(_STAGES, starts, [*starts[1:], len(trace)], strict=True):
        places: dict[str, list[int]] = {}
        for number in range(start, end):
            places.setdefault(trace[number - 1], []).append(number)
        chosen = chooser.sample(list(places.values()), 4)
        points += [(number, stage) for number in sorted(map(chooser.choice, chosen))]
    return points


def _number(trace: list[str], beginning: str) -> int:
    return next(n for n, command in enumerate(trace, start=1) if command.startswith(beginning))


def test_killed_at_twenty_points(store: Store) -> None:
    """Each from the same beginning; the next run finishes the work."""
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    chooser = random.Random(seed)  # noqa: S311 - anything will do
    for number, stage in _points(store.trace, chooser):
        print(f"{number} of {len(store.trace)}, {stage}: {store.trace[number - 1]}")
        store.restore()
        killed = store.run_import(ACTION="kill -KILL $$", AT=number, check=False)
        assert killed.returncode == _KILLED
        assert f"reached: {number}: {store.trace[number - 1]}" in killed.stdout
        assert _stage(store) == stage
        store.check_still_works()
        store.run_import()
        store.check_whole()
        store.check_still_works()


def _stage(store: Store) -> str:
    """Tell how far an import has come, from what is there."""
    done = store.scratch.run(
        """
        . /usr/lib/nix-aurora/closure.env
        export NIX_REMOTE=local
        roots=/nix/var/nix/gcroots/nix-aurora unpacked=/nix/.nix-aurora/unpack/store
        if [ "$(readlink $roots/nix)" = $CLOSURE_NIX ]; then echo rooted
        elif $OLDER/bin/nix-store --check-validity $CLOSURE_NIX 2>/dev/null; then echo registered
        elif [ -e $CLOSURE_NIX ]; then echo renamed
        elif [ -e $unpacked/${CLOSURE_NIX##*/} ]; then echo unpacked
        else echo begun
        fi
        """,
        env={"OLDER": store.older},
    )
    return done.stdout.strip()


def test_killed_with_its_children_at_any_time(store: Store) -> None:
    """As systemd and a power cut do; each run starts where the last one was stopped."""
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    chooser = random.Random(seed)  # noqa: S311 - anything will do
    for _ in range(8):
        delay = chooser.uniform(0.05, 0.6)  # an import takes about half a second
        ended = store.scratch.run(
            f"setsid {IMPORT} & sleep {delay}; kill -KILL -- -$! || :; wait $! || echo $?"
        ).stdout
        print(f"after {delay:.2f} s: {ended.splitlines()[-1:]}")
        store.check_still_works()
    store.run_import()
    store.check_whole()
    store.check_still_works()


@pytest.mark.parametrize(
    ("command", "action"),
    [
        # The extraction stops after some of the paths, and in the middle of one.
        (
            "tar --zstd --extract --file",
            "zstd -dc $archive | head -c 30M | tar -x --directory=$work 2>/dev/null || :;"
            "kill -KILL $$",
        ),
        (
            "mv --no-copy --no-clobber",
            'mv --target-directory="$store" -- "${new[@]:0:${#new[@]}/2}"; kill -KILL $$',
        ),
        # The database has its own journal; it is killed while it may be at it.
        (
            '"$CLOSURE_NIX/bin/nix-store" --load-db',
            "(sleep 0.01; kill -KILL 0) &",
        ),
        (
            '"$CLOSURE_NIX/bin/nix-env"',
            "(sleep 0.03; kill -KILL 0) &",
        ),
    ],
    ids=["unpacking", "renaming", "registering", "installing"],
)
def test_killed_half_way(store: Store, command: str, action: str) -> None:
    killed = store.run_import(ACTION=action, COMMAND=command, check=False)
    assert killed.returncode == _KILLED
    assert f": {command}" in killed.stdout
    store.check_still_works()
    store.run_import()
    store.check_whole()


def test_killed_before_anything_was_imported(store: Store) -> None:
    """The first import of all has no older Nix to lean on."""
    for command in ("mv --no-copy --no-clobber", "root cacert"):
        store.scratch.run("find /var/lib/nix -mindepth 1 -delete")
        store.scratch.run("systemd-tmpfiles --create nix-aurora.conf")
        store.run_import(ACTION="kill -KILL $$", COMMAND=command, check=False)
        store.run_import()
        store.check_whole()


def test_two_at_once(store: Store) -> None:
    done = store.scratch.run(f"{IMPORT} >/run/first & {IMPORT}; wait $!; cat /run/first")
    assert done.stdout.count("another import is running: waiting for it") == 1
    assert done.stdout.count("imported Nix") == 1
    store.check_whole()


# --- the disk


@pytest.mark.parametrize(
    "command",
    [
        "tar --zstd --extract --file",
        "mv --no-copy --no-clobber",
        '"$CLOSURE_NIX/bin/nix-store" --load-db',
        'mkdir -p "$roots"',
        '"$CLOSURE_NIX/bin/nix-env"',
        'printf \'%s\\n\' "$2" > "$1.new"',
    ],
    ids=["unpacking", "renaming", "registering", "rooting", "installing", "stamping"],
)
def test_the_disk_fills_up(store: Store, command: str) -> None:
    """Somebody else takes the space that the import has counted on."""
    store.scratch.run("mount -t tmpfs -o mode=0755,size=250m small /var/lib/nix")
    try:
        store.scratch.run(f"umount /nix; mount --bind /var/lib/nix /nix; {RESTORE}")
        full = "dd if=/dev/zero of=/var/lib/nix/ballast bs=4k 2>/dev/null || true"
        failed = store.run_import(ACTION=full, COMMAND=command, check=False)
        assert f": {command}" in failed.stdout
        assert failed.returncode == 1 or "imported Nix" in failed.stdout
        assert "import failed" in failed.stderr or failed.returncode == 0
        print(failed.output)
        store.check_still_works()
        store.scratch.run("rm /var/lib/nix/ballast")
        store.run_import()
        store.check_whole()
        store.check_still_works()
    finally:
        store.scratch.run("umount /nix /var/lib/nix; mount --bind /var/lib/nix /nix")


def test_too_little_space_is_told_before_anything_is_done(store: Store) -> None:
    store.scratch.run("mount -t tmpfs -o mode=0755,size=150m small /var/lib/nix")
    try:
        store.scratch.run(f"umount /nix; mount --bind /var/lib/nix /nix; {RESTORE}")
        failed = store.run_import(check=False)
        assert failed.returncode == 1
        assert "MiB of free space, got" in failed.stderr
        assert "hint: free some, then: systemctl restart nix-setup.service" in failed.stderr
        store.check_still_works()
        store.scratch.run("mount -o remount,size=250m /var/lib/nix")
        store.run_import()
        store.check_whole()
    finally:
        store.scratch.run("umount /nix /var/lib/nix; mount --bind /var/lib/nix /nix")


def test_a_read_only_store_is_told(store: Store) -> None:
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


# --- the archive

_ARCHIVE = "/usr/lib/nix-aurora/closure.tar.zst"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("truncate --size=-1000 {}", "expected [0-9]* bytes, got [0-9]*"),
        (
            'byte=$(od -An -tu1 -j 5000000 -N 1 {}); printf "\\\\x$(printf %x $((byte ^ 4)))"'
            " | dd of={} bs=1 seek=5000000 conv=notrunc",
            "expected SHA-256 [0-9a-f]*, got [0-9a-f]*",
        ),
        ("rm {}", "cannot be read"),
    ],
    ids=["truncated", "one bit flipped", "gone"],
)
def test_a_corrupt_archive_is_refused(store: Store, damage: str, message: str) -> None:
    store.scratch.run(f"cp -a {_ARCHIVE} /run/archive; {damage.replace('{}', _ARCHIVE)}")
    try:
        before = store.listing()
        failed = store.run_import(check=False)
        assert failed.returncode == 1
        assert re.search(rf"import failed: {_ARCHIVE}: {message}\nhint: reinstall", failed.stderr)
        assert store.listing() == before
        store.check_still_works()
    finally:
        store.scratch.run(f"cp -a /run/archive {_ARCHIVE}")
    store.run_import()
    store.check_whole()


# --- the state


@pytest.fixture
def imported(store: Store) -> Store:
    """Give the store after an import."""
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
        ("rm /nix/var/nix/db/db.sqlite", 62),
        ("rm -r /nix/var/nix/db", 62),
        ("rm -r /nix/var/nix/db /nix/var/nix/gcroots", 62),
    ],
)
def test_lost_state_is_made_again(imported: Store, damage: str, missing: int) -> None:
    imported.scratch.run(damage)
    done = imported.run_import()
    assert f"{missing} of 62 store paths were missing" in done.stdout
    imported.check_whole()
    assert imported.run_import().output == ""


@pytest.mark.parametrize(
    "damage",
    [
        "find $CLOSURE_NIX/ -type f,l -delete",
        "rm -r $CLOSURE_NIX; echo wrong >$CLOSURE_NIX",
        "rm -r $CLOSURE_NIX; ln -s /etc $CLOSURE_NIX",
        "rm -r $CLOSURE_NIX",
        # A run with nothing to do reads no files.
        "echo wrong >>$(readlink -f $CLOSURE_CACERT/etc/ssl/certs/ca-bundle.crt)"
        "; rm /nix/.nix-aurora/imported",
    ],
    ids=["emptied", "a file", "a link", "gone", "another content"],
)
def test_a_damaged_path_is_replaced(imported: Store, damage: str) -> None:
    """The database says that it is valid."""
    imported.scratch.run(f". /usr/lib/nix-aurora/closure.env; {damage}")
    imported.run_import()
    imported.check_whole()


def test_a_path_that_is_half_there_is_replaced(store: Store) -> None:
    """Nobody knows it, and what it was is kept."""
    store.scratch.run(
        """
        . /usr/lib/nix-aurora/closure.env
        mkdir -p $CLOSURE_NIX/bin
        echo half >$CLOSURE_NIX/bin/nix
        echo wrong >$CLOSURE_CACERT
        """
    )
    said = store.run_import().stdout
    assert said.count("is not what it should be") == 2
    store.check_whole()
    kept = store.scratch.run("cat /nix/.nix-aurora/aside/*/*-nix-2.34.8/bin/nix").stdout
    assert kept == "half\n"


def test_a_variant_that_was_built_here_is_left_alone(store: Store) -> None:
    """Valid in the database, by a hash of its own."""
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
    assert "61 of 62 store paths were missing" in done.stdout
    store.scratch.run("rm /nix/.nix-aurora/imported")
    assert "0 of 62 store paths were missing" in store.run_import().stdout
    store.check_whole()
    profile = "/nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt"
    assert store.scratch.read(profile) == "an own one\n"


# --- on a booted host


@pytest.fixture
def upgraded(make_nix_tree: NixTreeMaker, make_host: HostMaker) -> Host:
    """Give a host with 2.26 and a user's profile, off, before it boots into 2.34."""
    host = make_host(make_nix_tree("trixie"))
    host.boot()
    add_program(host)
    check_whole(host)
    host.poweroff()
    return host


def test_power_is_lost_during_the_import(upgraded: Host, make_nix_tree: NixTreeMaker) -> None:
    """Three times, and then the boot is whole."""
    newer = make_nix_tree("forky")
    for command in ("sync --file-system", "mv --no-copy --no-clobber", "root cacert"):
        kill = f"kill -KILL $$; # at {command}"
        hooked = newer.changed(
            upgraded.console.parent / f"hooked-{command.split()[0]}",
            f"""
            mkdir -p /usr/lib/systemd/system/nix-setup.service.d
            cat >/usr/lib/nix-hook <<'END'\n{HOOK}\nEND
            cat >/usr/lib/systemd/system/nix-setup.service.d/hook.conf <<'END'
[Service]
Environment=BASH_ENV=/usr/lib/nix-hook AT=0 "COMMAND={command}" "ACTION={kill}"
END
            """,
        )
        upgraded.boot(hooked)
        assert upgraded.failed_units() == ["nix-setup.service"]
        assert f": {command}" in upgraded.journal("nix-setup.service")
        check_profile(upgraded)
        upgraded.kill()
    upgraded.boot(newer)
    check_whole(upgraded)


def test_a_corrupt_archive_leaves_the_older_nix_running(
    upgraded: Host, make_nix_tree: NixTreeMaker
) -> None:
    newer = make_nix_tree("forky")
    flip = f"printf x | dd of={_ARCHIVE} bs=1 seek=5000000 conv=notrunc"
    upgraded.boot(newer.changed(upgraded.console.parent / "flipped", flip))
    assert upgraded.failed_units() == ["nix-setup.service"]
    assert "expected SHA-256" in upgraded.journal("nix-setup.service")
    check_profile(upgraded)
    # The daemon is the older one, and so is the Nix of the default profile.
    nix = "/nix/var/nix/profiles/default/bin/nix"
    assert "2.26.3" in upgraded.run_as("tester", f"{nix} --version; {nix} store info 2>&1").stdout
    upgraded.run_as("tester", f"{nix} build --impure --no-link --expr " + derivation("echo >$out"))
    assert "systemctl" in upgraded.run_as("tester", "nix --version", check=False).output
    upgraded.reboot(newer)
    check_whole(upgraded)


@pytest.mark.parametrize("left", [0, 20], ids=["no space", "too little"])
def test_a_full_disk(tree_with_nix: Tree, nix_tree: Tree, make_host: HostMaker, left: int) -> None:
    """The host boots without Nix; with space again, Nix comes."""
    host = make_host(tree_with_nix, var_size=300 << 20)
    host.boot()
    host.run(
        "dd if=/dev/zero of=/var/ballast bs=1M 2>/dev/null || sync\n"
        f"truncate --size=-{left}M /var/ballast; sync"
    )
    host.reboot(nix_tree)
    assert "nix-setup.service" in host.failed_units()
    assert host.run_as("tester", "echo logged in").stdout == "logged in\n"
    host.run("rm /var/ballast; sync")
    host.run("systemctl restart nix-setup.service" if left else "systemctl --no-block reboot")
    if not left:
        host.wait_for_exit(133)
        host.boot()
    add_program(host)
    check_whole(host)


@pytest.mark.parametrize(
    ("kill", "code"),
    [
        ("kill -KILL $(systemctl show --property=MainPID --value nix-daemon.service)", 0),
        ("systemctl kill --kill-whom=all --signal=KILL nix-daemon.service", 1),
    ],
    ids=["alone", "with its children"],
)
def test_the_daemon_is_killed_during_a_build(nix_host: Host, kill: str, code: int) -> None:
    """Its builds are processes of their own; without them, the next build starts afresh."""
    add_program(nix_host)
    log = "/var/home/tester/build.log"
    held = derivation("trap 'echo >$out; exit' USR1; echo started; while :; do :; done")
    nix_host.run_as(
        "tester",
        f"(nix build --impure --no-link -L --expr {held}; echo code $?) >{log} 2>&1 </dev/null &",
    )
    nix_host.run(f"until grep -q started {log}; do sleep 0.05; done\n{kill}")
    build(nix_host)
    nix_host.run(f"pkill -USR1 --group nixbld || :; until grep ^code {log}; do sleep 0.05; done")
    assert nix_host.read(log).splitlines()[-1] == f"code {code}"
    check_whole(nix_host)
