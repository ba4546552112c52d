"""Test doctor's judgment: from facts to findings and fixes."""

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from nix_aurora_host import paths, units
from nix_aurora_host.checks.everything import judge
from nix_aurora_host.database.copies import Copy
from nix_aurora_host.finding import Severity
from nix_aurora_host.former.facts import ANOTHER, Former, FormerStore, Kind, Trace
from nix_aurora_host.gather.closure import Closure, Packaged
from nix_aurora_host.gather.collection import Garbage
from nix_aurora_host.gather.database import Database
from nix_aurora_host.gather.disk import Disk
from nix_aurora_host.gather.everything import Basics, Facts, may_greet
from nix_aurora_host.gather.host import Foreign, Host, Label
from nix_aurora_host.gather.logins import Remote, Shell
from nix_aurora_host.gather.profile import Profile
from nix_aurora_host.gather.settings import Settings
from nix_aurora_host.gather.store import AtNix, Store
from nix_aurora_host.gather.units import Daemon, Unit
from nix_aurora_host.gather.upgrades import Upgrades, Way
from nix_aurora_host.gather.users import Users
from nix_aurora_host.gpu.facts import Gpu, Nvidia
from nix_aurora_host.nix_root.facts import FailedBoot, NixRoot, Unmoved
from nix_aurora_host.nixconf import Place
from nix_aurora_host.person import LostProfile, Person
from nix_aurora_host.settings import SettingsFile

NIX = f"/nix/store/{'a' * 32}-nix-2.34.8"
CACERT = f"/nix/store/{'b' * 32}-nss-cacert-3.1"
OTHER = f"/nix/store/{'c' * 32}-nix-2.26.3"
_NAME = OTHER.removeprefix("/nix/store/")
_FAILED = FailedBoot("overlay", "6.18")
_COPY = Copy("1", 3, 1_700_000_000, "", "")
PROGRAM = NIX.replace("/nix", paths.BASE, 1) + "/bin/nix"
CLOSURE = Closure(
    id="id",
    version="2.34.8",
    system="x86_64-linux",
    nix=NIX,
    cacert=CACERT,
    paths=(NIX, CACERT),
)
UNITS = {name: Unit(name, fragment=f"{paths.OUR_UNITS}{name}") for name in units.UNITS}
BASICS = Basics(
    closure=CLOSURE,
    units=UNITS,
    store=Store(
        layout="mount",
        nix=AtNix.OURS,
        free=8 << 30,
        size=10 << 30,
        group=30000,
        stamp="id",
        valid_paths=2,
        content=1 << 20,
        roots={"nix": NIX, "cacert": CACERT},
    ),
    profile=Profile(True, PROGRAM, "packaged", script=True, version=(2, 34, 8)),
    users=Users(30000, ("nixbld1",), {"nixbld1": 30001}, ()),
    daemon=Daemon(7, f"{NIX}/bin/nix-daemon"),
    listening=frozenset(paths.SOCKETS),
    labels=None,
    nix_root=NixRoot(own=True, mounted=True),
)
_ETC = "/etc/systemd/system"
_SHADOWED, _STORE = f"unit-shadowed:{paths.SOCKET}", "former-store"
LOGIN = {"PATH": f"{paths.PROFILE_BIN}:/usr/bin"}
BASH = Shell("bash", LOGIN, "profile.d/nix.sh", True, "/home/u/.bash_profile")
PERSON = Person(1000, 1000, "u", "/home/u")
WELL = Facts(
    basics=BASICS,
    host=Host(image=True, ostree=True, layered=False, root_writable=False),
    packaged=Packaged(),
    person=PERSON,
    shells=(BASH,),
    remotes=(),
    foreign=Foreign(),
    settings=Settings(),
    answers=True,
)

_DRIVERS = Gpu("nixpkgs#mesa", OTHER, link=OTHER, valid=True, kept=(OTHER,))
_READ_ONLY = Disk(mounted=True, read_only=True)
DAMAGED = Packaged({NIX.removeprefix("/nix/store/"): "the content differs"})


def _with(**changes: object) -> Facts:
    return replace(WELL, basics=replace(BASICS, **changes))  # type: ignore[arg-type]


def _store(**changes: object) -> Facts:
    return _with(store=replace(BASICS.store, **changes))  # type: ignore[arg-type]


def _nix_root(**changes: object) -> Facts:
    """Return the facts of a host whose root directory has no /nix."""
    store = replace(BASICS.store, layout="namespace", nix=AtNix.NOTHING)
    return _with(store=store, nix_root=replace(NixRoot(), **changes))  # type: ignore[arg-type]


def _disk(**changes: object) -> Facts:
    return _with(disk=replace(Disk(), **changes))  # type: ignore[arg-type]


def _database(**changes: object) -> Facts:
    return _with(database=replace(Database(), **changes))  # type: ignore[arg-type]


def _unit(name: str, **changes: str) -> Facts:
    units = {**UNITS, name: replace(UNITS[name], **changes)}  # type: ignore[arg-type]
    return _with(units=units)


def _trace(kind: Kind, path: str, unit: str = "") -> Trace:
    return Trace(kind, path, ANOTHER, "does something", unit=unit)


def _former(kind: Kind, path: str, unit: str = "") -> Facts:
    return _with(former=Former((_trace(kind, path, unit),)))


def _found(facts: Facts) -> Mapping[str, str | None]:
    return {finding.id: finding.fix for finding in judge(facts)}


def test_healthy_host_has_no_findings() -> None:
    assert judge(WELL) == []


@pytest.mark.parametrize(
    ("facts", "ids"),
    [
        (_unit(paths.SETUP, load="masked"), {f"unit-masked:{paths.SETUP}"}),
        (_unit(paths.SETUP, load="not-found"), {f"unit-missing:{paths.SETUP}"}),
        (_unit(paths.SETUP, file_state="disabled"), {f"unit-disabled:{paths.SETUP}"}),
        (_unit(paths.SETUP, active="failed"), {f"unit-failed:{paths.SETUP}"}),
        (_unit(paths.SETUP, fragment="/etc/systemd/system/x"), {f"unit-shadowed:{paths.SETUP}"}),
        (_unit(paths.SETUP, active="activating"), {"import-running"}),
        (_unit(paths.SOCKET, active="inactive"), {"socket-stopped"}),
        (_unit(paths.SOCKET, active="inactive", load="masked"), {f"unit-masked:{paths.SOCKET}"}),
        (
            _unit(paths.SOCKET, active="inactive", file_state="disabled"),
            {f"unit-disabled:{paths.SOCKET}"},
        ),
        (_unit(paths.DAEMON, file_state="static"), set()),
        (_with(units={}), {"systemd-silent"}),
        (_with(listening=frozenset()), {"socket-gone"}),
        (replace(WELL, answers=False), {"daemon-silent"}),
        (replace(WELL, answers=None), set()),
        (_with(daemon=Daemon(7, f"{OTHER}/bin/nix-daemon")), {"daemon-outdated"}),
        (_with(daemon=Daemon(7, None)), set()),
        (_with(daemon=None), set()),
        (_store(nix=AtNix.DIRECTORY), {"nix-not-mounted"}),
        (_store(nix=AtNix.DIRECTORY, layout="namespace"), {"layout-namespace"}),
        (_store(nix=AtNix.OTHER_MOUNT), {"nix-foreign-mount"}),
        (_store(nix=AtNix.OTHER_STORE), {"nix-foreign-store"}),
        (_store(read_only=True), {"nix-read-only"}),
        (_disk(missing=True), {"disk-missing"}),
        (replace(_disk(missing=True), answers=False), {"disk-missing"}),
        (_disk(mounted=True, read_only=True), {"disk-read-only"}),
        (_with(disk=_READ_ONLY, store=replace(BASICS.store, read_only=True)), {"disk-read-only"}),
        (_disk(link="/var/mnt/nix"), {"store-link"}),
        (_disk(link="/run/media/u/disk/nix", lasting=False), {"store-link-to-unlisted-disk"}),
        (_disk(unsummed="nodatacow"), {"disk-without-checksums"}),
        (_disk(nocow=(paths.BASE, paths.STORE)), {"disk-without-checksums"}),
        (_disk(before=True), {"store-before-move"}),
        (_disk(before=True, unfinished=True), {"move-unfinished"}),
        (_nix_root(asked="namespace"), {"nix-directory-missing"}),
        (replace(WELL, adoption="/var/home/nix"), {"adoption-unfinished"}),
        (  # without its disk, the directory is not the store, so nothing else is judged
            replace(WELL, disk="LABEL=nix", packaged=DAMAGED),
            {"disk-not-mounted"},
        ),
        (
            _with(closure=replace(CLOSURE, accepted=("GHSA-a", "GHSA-b"))),
            {"advisory-accepted:GHSA-a", "advisory-accepted:GHSA-b"},
        ),
        (_nix_root(), {"nix-root-not-yet"}),
        (_nix_root(unmoved=Unmoved.LATE), {"nix-root-not-yet"}),
        (_nix_root(unmoved=Unmoved.ANOTHER), {"nix-root-not-yet"}),
        (_nix_root(unmoved=Unmoved.FAILED), {"nix-root-failed"}),
        (_nix_root(unmoved=Unmoved.FAILED_BOOTS, failed=(_FAILED, _FAILED)), {"nix-root-stopped"}),
        (_nix_root(unmoved=Unmoved.EXHAUSTED), {"nix-root-stopped"}),
        (_nix_root(unmoved=Unmoved.ETC), {"nix-root-unsuitable"}),
        (_nix_root(off=True), {"nix-root-switched-off"}),
        (_with(nix_root=NixRoot(done="binds", mounted=True, writable=True)), {"nix-root-writable"}),
        (
            _with(
                store=replace(BASICS.store, layout="relocated"),
                profile=Profile(False, None, "none", script=False),
            ),
            {"layout-relocated"},
        ),
        (_store(layout="relocated", nix=AtNix.NOTHING), {"store-not-mounted"}),
        (replace(WELL, packaged=DAMAGED), {"package-corrupt"}),
        (replace(WELL, packaged=Packaged(foreign=("more",))), {"package-corrupt"}),
        (replace(WELL, packaged=Packaged(differing=("CLOSURE_ID",))), {"package-damaged"}),
        (replace(WELL, packaged=Packaged(described=False)), {"package-damaged"}),
        (replace(WELL, damaged=(NIX,)), {"closure-damaged"}),
        (replace(WELL, settings=Settings(starts=False)), {"closure-damaged"}),
        (_store(noexec=("/var", "/nix")), {"store-noexec"}),
        (
            replace(_store(noexec=("/var",)), settings=Settings(starts=False)),
            {"store-noexec"},
        ),
        (_with(garbage=Garbage(failed=True)), {"collection-failed"}),
        (_store(free=10 << 20), {"space-full"}),
        (_store(free=100 << 20), {"space-scarce"}),
        # The disk is small, and half of it is free.
        (_store(free=100 << 20, size=200 << 20), set()),
        (_store(inodes_free=0, inodes=6_500_000), {"inodes-scarce"}),
        (_store(inodes_free=40_000, inodes=6_500_000), {"inodes-scarce"}),
        (_store(inodes_free=60_000, inodes=6_500_000), set()),
        # There are few inodes, and half of them are free.
        (_store(inodes_free=10_000, inodes=20_000), set()),
        # btrfs has no fixed number of inodes.
        (_store(inodes_free=0, inodes=0), set()),
        # XFS makes inodes from free space.
        (_store(free=1, inodes_free=0, inodes=9_999_999), {"space-full"}),
        (_with(users=Users(None, (), {}, ("nixbld1",))), {"nixbld-group-missing"}),
        (_with(users=Users(30000, (), {}, ("nixbld1",))), {"nixbld-users-missing"}),
        (_with(users=Users(987, ("nixbld1",), {"nixbld1": 5}, ())), {"store-group"}),
        (_store(missing=(NIX,), stamp=None, database=False, roots={}), {"import-missing"}),
        (_store(missing=(CACERT,)), {"closure-incomplete"}),
        (_store(unregistered=(NIX,)), {"closure-incomplete"}),
        (_store(database=False, valid_paths=None), {"database-missing"}),
        (_store(valid_paths=None), {"database-unread"}),
        (_database(damage="page 7"), {"database-damaged"}),
        (_database(schema=11, reads=10), {"database-newer"}),
        (_database(misread="schema: expected a number, got ''"), {"database-schema"}),
        (_database(schema=11, reads=11), set()),
        (_database(schema=11, reads=None), set()),
        (_database(vouched=(_NAME,)), {"paths-unregistered"}),
        (_database(vouched=(_NAME,), lost=True), {"paths-unregistered"}),
        (_database(lost=True), {"database-lost"}),
        (_database(lost=True, unknown={"result": _NAME}), {"database-lost"}),
        (_database(lost=None, copies=None, unknown={"result": _NAME}), {"roots-unregistered"}),
        (_database(unknown={"result": _NAME}), {"roots-unregistered"}),
        (_store(stamp=None), {"import-unfinished"}),
        (_store(stamp="other"), {"import-stale"}),
        (_store(stamp=None, stamp_read=False), {"import-unread"}),
        (_store(roots={"nix": NIX}), {"gcroot-missing:cacert"}),
        (_store(roots={"nix": OTHER, "cacert": CACERT}), {"gcroot-missing:nix"}),
        (_store(listable=False), {"store-unreadable"}),
        (_store(aside=("x",)), {"paths-set-aside"}),
        (_store(aside=None), {"aside-unread"}),
        (_with(profile=Profile(False, None, "none", script=False)), {"profile-missing"}),
        (_with(profile=Profile(True, None, "none", script=False)), {"profile-without-nix"}),
        (_with(profile=replace(BASICS.profile, owner="imported")), {"profile-stale"}),
        (_with(profile=replace(BASICS.profile, owner="administrator")), set()),
        (_with(profile=replace(BASICS.profile, script=False)), {"devbox-script"}),
        (_with(profile=replace(BASICS.profile, version=(2, 17))), {"devbox-version"}),
        (replace(WELL, shells=(replace(BASH, environment={"PATH": "/bin"}),)), {"path:bash"}),
        (replace(WELL, shells=(replace(BASH, environment=None),)), {"login-broken:bash"}),
        (replace(WELL, remotes=(Remote("/etc/environment", "daemon"),)), set()),
        (replace(WELL, remotes=(Remote(None, "local"),)), {"nix-remote"}),
        (
            replace(WELL, remotes=(Remote("/home/u/.zshenv", "local"), Remote(None, "local"))),
            {"nix-remote:/home/u/.zshenv"},
        ),
        (replace(WELL, settings=Settings(exists=False)), {"nix-conf-missing"}),
        (replace(WELL, settings=Settings(differs=True)), {"nix-conf-changed"}),
        (replace(WELL, settings=Settings(private=True)), {"nix-conf-private"}),
        (replace(WELL, settings=Settings(error="bad")), {"nix-conf-broken"}),
        (replace(WELL, settings=Settings(values={"sandbox": "true"})), set()),
        (
            replace(WELL, settings=Settings(values={"sandbox": "false", "require-sigs": "false"})),
            {"unsafe-setting:sandbox", "unsafe-setting:require-sigs"},
        ),
        (
            replace(WELL, settings=Settings(unknown={"trusted-users": (60001,)})),
            {"users-unknown:trusted-users"},
        ),
        (replace(WELL, person=replace(PERSON, lost_profile=LostProfile.FOLDER)), {"profile-lost"}),
        (replace(WELL, person=replace(PERSON, lost_profile=LostProfile.CONTENT)), {"profile-lost"}),
        (_former(Kind.RECEIPT, "/nix/receipt.json"), {"foreign-receipt"}),
        (_former(Kind.PROGRAM, "/usr/local/bin/determinate-nixd"), {"foreign-nixd"}),
        (_former(Kind.UNIT, f"{_ETC}/x.service", "x.service"), {f"former-unit:{_ETC}/x.service"}),
        (_former(Kind.UNIT, f"{_ETC}/{paths.SOCKET}", paths.SOCKET), {_SHADOWED}),
        (_former(Kind.DROP_IN, f"{_ETC}/x.d/y.conf", "x"), {f"former-unit:{_ETC}/x.d/y.conf"}),
        (_former(Kind.FSTAB, "/etc/fstab"), {"former-fstab"}),
        (_former(Kind.TMPFILES, "/etc/tmpfiles.d/n.conf"), {"former-file:/etc/tmpfiles.d/n.conf"}),
        (_former(Kind.SCRIPT, "/etc/bashrc"), {"former-file:/etc/bashrc"}),
        (_former(Kind.SETTINGS, "/etc/nix/nix.conf"), {"former-file:/etc/nix/nix.conf"}),
        (_former(Kind.POLICY, "/etc/nix.pp"), {"former-file:/etc/nix.pp"}),
        (_former(Kind.COPY, "/etc/b.backup"), {"former-copy:/etc/b.backup"}),
        (_with(former=Former(stores=(FormerStore("/var/nix", uninstaller=True),))), {_STORE}),
        (replace(WELL, foreign=Foreign(packages=("nix-core",))), {"foreign-packages"}),
        (_with(labels=(Label("/", "u:r:tmpfs_t:s0", "u:r:root_t:s0"),)), {"label:/"}),
        (_with(labels=(Label("/", "u:r:root_t:s0", "x:r:root_t:s0"),)), set()),
        (_with(labels=(Label("/", None, "x:r:root_t:s0"),)), set()),
        (_with(gpu=_DRIVERS), set()),
        (_with(gpu=Gpu(damaged=True)), {"gpu-damaged"}),
        (_with(gpu=replace(_DRIVERS, link="/x")), {"gpu-conflict"}),
        (_with(gpu=replace(_DRIVERS, there=False)), {"gpu-lost"}),
        (_with(gpu=replace(_DRIVERS, kept=())), {"gpu-unrooted"}),
        (_with(gpu=replace(_DRIVERS, link=None)), {"gpu-unlinked"}),
        (_with(gpu=Gpu(link=OTHER, there=False)), {"gpu-foreign-lost"}),
        (
            _with(gpu=replace(_DRIVERS, nvidia=Nvidia("570.1.1"), provides="565.1.1")),
            {"gpu-nvidia"},
        ),
        (_with(upgrades=Upgrades(Way.IMAGE, container=True, locked=True)), set()),
        (_with(upgrades=Upgrades(Way.REPOSITORY)), set()),
        (_with(upgrades=Upgrades(Way.REPOSITORY, container=True)), {"layered"}),
        (_with(upgrades=Upgrades(Way.FILES)), {"layered-files"}),
        (_with(upgrades=Upgrades(Way.FILES, container=True)), {"layered", "layered-files"}),
        (_with(upgrades=Upgrades(Way.FILES, container=True, locked=True)), {"layering-locked"}),
    ],
)
def test_each_fault_has_exactly_its_finding(facts: Facts, ids: set[str]) -> None:
    assert set(_found(facts)) == ids


def test_interrupted_takeover_is_the_only_finding() -> None:
    broken = replace(WELL, adoption="/var/home/nix", answers=False)
    (finding,) = judge(broken)
    assert finding.id == "adoption-unfinished"
    assert finding.fix == "sudo nix-aurora adopt --yes"


def test_full_disk_is_named_before_failures_that_need_space() -> None:
    """The fixes of the other findings need free space."""
    store = replace(BASICS.store, free=0, stamp=None)
    setup = {**UNITS, paths.SETUP: replace(UNITS[paths.SETUP], active="failed")}
    full = replace(_with(store=store, units=setup), answers=False)
    failed = f"unit-failed:{paths.SETUP}"
    assert [*_found(full)] == ["space-full", failed, "daemon-silent", "import-unfinished"]


def test_every_finding_has_a_one_line_fix() -> None:
    for name in units.UNITS:
        for state in ({"load": "masked"}, {"active": "failed"}, {"file_state": "disabled"}):
            for fix in _found(_unit(name, **state)).values():
                assert fix
                assert "\n" not in fix


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        (Host(True, True, False, False), "sudo bootc upgrade"),
        (Host(True, False, False, False), "sudo bootc upgrade"),
        (Host(True, True, True, False), "sudo rpm-ostree install nix-aurora"),
        (Host(False, False, False, True), "sudo systemctl restart nix-setup.service"),
    ],
)
def test_corrupt_package_is_reinstalled_by_the_hosts_own_command(host: Host, wanted: str) -> None:
    facts = replace(_store(stamp=None), host=host, packaged=DAMAGED)
    fixes = _found(facts)
    # An import would fail, so the package's fix comes first and is the fix of every finding.
    assert fixes["import-unfinished"] == fixes["package-corrupt"]
    fix = fixes["package-corrupt"] or ""
    assert fix.endswith(wanted)
    assert ("sudo dnf reinstall nix-aurora" in fix) == (not host.image)
    assert ("sudo ostree fsck" in fix) == host.ostree


@pytest.mark.parametrize(
    ("host", "fix"),
    [
        (Host(True, True, False, False), "sudo rpm-ostree uninstall nix-core"),
        (Host(True, False, False, False), "sudo bootc usr-overlay && sudo dnf remove nix-core"),
        (Host(False, False, False, True), "sudo dnf remove nix-core"),
    ],
)
def test_fedoras_packages_are_removed_by_the_hosts_own_command(host: Host, fix: str) -> None:
    facts = replace(WELL, host=host, foreign=Foreign(packages=("nix-core",)))
    assert _found(facts) == {"foreign-packages": fix}


def test_import_follows_the_reinstallation_if_both_copies_are_damaged() -> None:
    """The copies share their blocks on btrfs, and the stamp would prevent the import."""
    fixes = _found(replace(WELL, packaged=DAMAGED, damaged=(NIX,)))
    reinstall = fixes["package-corrupt"] or ""
    assert fixes["closure-damaged"] == (
        f"sudo install -D -m 0600 /dev/null {paths.IMPORT_NEEDED} && {reinstall}"
    )


def test_import_is_repeated_even_if_setup_is_masked() -> None:
    units = {**UNITS, paths.SETUP: replace(UNITS[paths.SETUP], load="masked")}
    basics = replace(BASICS, units=units, store=replace(BASICS.store, stamp=None))
    fixes = _found(replace(WELL, basics=basics))
    assert fixes["import-unfinished"] == (
        "sudo systemctl unmask nix-setup.service && "
        "sudo install -D -m 0600 /dev/null /var/lib/nix/.nix-aurora/import-needed && "
        "sudo systemctl restart nix-setup.service"
    )


def test_runtime_mask_is_removed_with_runtime() -> None:
    facts = _unit(paths.MOUNT, load="masked", file_state="masked-runtime", active="inactive")
    fix = _found(facts)[f"unit-masked:{paths.MOUNT}"]
    assert fix is not None
    assert fix.startswith("sudo systemctl unmask --runtime nix.mount && ")


def test_running_daemon_is_stopped_before_its_socket_is_started() -> None:
    running = _found(_unit(paths.SOCKET, active="inactive"))["socket-stopped"]
    assert running is not None
    assert running.startswith("sudo systemctl stop nix-daemon.service && ")
    units = {
        **UNITS,
        paths.SOCKET: replace(UNITS[paths.SOCKET], active="inactive"),
        paths.DAEMON: replace(UNITS[paths.DAEMON], active="inactive"),
    }
    assert _found(_with(units=units, daemon=None))["socket-stopped"] == (
        "sudo systemctl enable --now nix-daemon.socket"
    )


def test_login_is_repaired_where_it_is_broken() -> None:
    bare = replace(BASH, environment={"PATH": "/bin"})
    whole = _found(replace(WELL, shells=(bare,)))["path:bash"] or ""
    assert whole.endswith(" >>/home/u/.bash_profile")
    assert "sudo" not in whole
    script = _found(replace(WELL, shells=(replace(bare, script_intact=False),)))["path:bash"] or ""
    assert script.endswith(" /usr/lib/nix-aurora/etc/profile.d/nix.sh /etc/profile.d/nix.sh")
    # root examines a user's logins, but writes the user's files as the user.
    person = replace(WELL.person, through_sudo=True)
    through = _found(replace(WELL, shells=(bare,), person=person))["path:bash"] or ""
    assert through.startswith("sudo -u u bash -c ")


def test_only_errors_and_warnings_are_faults() -> None:
    (note,) = judge(_store(aside=("x",)))
    assert note.severity is Severity.NOTE
    (full,) = judge(_store(free=1 << 20))
    assert full.severity is Severity.ERROR
    (scarce,) = judge(_store(free=500 << 20))
    assert scarce.severity is Severity.WARNING


def test_few_inodes_are_a_warning_with_a_collection_as_fix() -> None:
    (few,) = judge(_store(inodes_free=12, inodes=6_500_000))
    assert few.severity is Severity.WARNING
    assert "12 of 6500000 inodes" in few.message
    assert few.fix == "sudo nix-aurora gc run"
    # Without Nix, nothing can collect garbage, and the journal has hardly any files.
    facts = _store(inodes_free=12, inodes=6_500_000, missing=(NIX,))
    assert _found(facts)["inodes-scarce"] == "sudo systemd-tmpfiles --clean"


def test_root_that_any_user_can_make_is_a_note_with_an_escaped_name() -> None:
    (note,) = judge(_database(unknown={"/home/u/re\x1b[2Jsult": _NAME}))
    assert note.severity is Severity.NOTE
    assert "/home/u/re\\x1b[2Jsult" in note.message
    assert note.fix == f"nix-store --realise {OTHER}"


@pytest.mark.parametrize(
    ("host", "upgrades", "wanted"),
    [
        (Host(True, True, False, False), Upgrades(), "sudo bootc upgrade"),
        (
            Host(True, False, False, False),
            Upgrades(Way.IMAGE, container=True),
            "sudo bootc upgrade",
        ),
        (Host(True, True, True, False), Upgrades(), "sudo rpm-ostree upgrade"),
        (Host(True, True, True, False), Upgrades(Way.REPOSITORY), "sudo rpm-ostree upgrade"),
        (
            Host(True, True, True, False),
            Upgrades(Way.FILES, files=("nix-aurora",)),
            "sudo rpm-ostree install ./nix-aurora-*.rpm --uninstall nix-aurora && ",
        ),
        (Host(False, False, False, True), Upgrades(Way.DNF), "sudo dnf upgrade nix-aurora"),
    ],
)
def test_newer_database_is_never_set_aside(host: Host, upgrades: Upgrades, wanted: str) -> None:
    """The database is intact, and the newer Nix reads it with all the users' paths."""
    facts = _database(schema=11, reads=10)
    facts = replace(facts, host=host, basics=replace(facts.basics, upgrades=upgrades))
    fix = _found(facts)["database-newer"] or ""
    assert fix.startswith(wanted)
    assert "mv" not in fix.split()
    assert "rm" not in fix.split()


@pytest.mark.parametrize("copies", [(_COPY,), None])
def test_fix_restores_a_copy_that_the_packaged_nix_reads(
    copies: tuple[Copy, ...] | None,
) -> None:
    """An ordinary user cannot see the copies, so recover looks for them itself."""
    readable = _COPY if copies else None
    (finding,) = judge(_database(schema=11, reads=10, copies=copies, readable=readable))
    assert finding.fix == "sudo nix-aurora recover"
    assert "upgrade this one (sudo bootc upgrade && sudo systemctl reboot)" in finding.message
    unreadable = _found(_database(schema=11, reads=10, copies=(_COPY,)))
    assert unreadable["database-newer"] == "sudo bootc upgrade && sudo systemctl reboot"


def _settings(place: Place, *, for_all: bool, through_sudo: bool = False) -> Facts:
    settings = Settings(error="bad", place=place, broken_for_all=for_all)
    person = replace(PERSON, through_sudo=through_sudo)
    return replace(WELL, settings=settings, person=person)


_OWN = "/home/u/.config/nix/nix.conf"
_SED = "sed --in-place=.before-nix-aurora --follow-symlinks --regexp-extended"


@pytest.mark.parametrize(
    ("facts", "fix"),
    [
        (
            _settings(Place("/etc/nix/nix.custom.conf", 7), for_all=True),
            f"sudo {_SED} '7s/^/# /' /etc/nix/nix.custom.conf && "
            "sudo systemctl try-restart nix-daemon.service",
        ),
        (
            _settings(Place("/etc/nix/nix.conf", 0), for_all=True),
            "sudo install -D -m 0644 --backup=numbered /usr/lib/nix-aurora/etc/nix/nix.conf "
            "/etc/nix/nix.conf && sudo systemctl try-restart nix-daemon.service",
        ),
        (_settings(Place(_OWN, 2), for_all=False), f"{_SED} '2s/^/# /' {_OWN}"),
        (
            _settings(Place(_OWN, 0), for_all=False, through_sudo=True),
            "sudo -u u bash -c 'mv --backup=numbered --no-target-directory "
            f"{_OWN} {_OWN}.before-nix-aurora'",
        ),
    ],
)
def test_settings_are_repaired_by_their_owner(facts: Facts, fix: str) -> None:
    assert _found(facts)["nix-conf-broken"] == fix


def test_unsafe_setting_is_named_with_its_line() -> None:
    place = Place("/etc/nix/nix.custom.conf", 4)
    values = {"trusted-users": "root @wheel", "sandbox": "false"}
    facts = replace(WELL, settings=Settings(values=values, places={"trusted-users": place}))
    trusted, sandbox = judge(facts)
    assert trusted.message.startswith(f"{place.path}, line 4: trusted-users is root @wheel: ")
    assert trusted.fix is not None
    assert "'4s/^/# /' /etc/nix/nix.custom.conf" in trusted.fix
    assert sandbox.fix is not None
    assert sandbox.fix.startswith(r"printf '\n%s\n' 'sandbox = false' | ".replace("false", "true"))


def test_link_to_a_removed_unit_is_set_aside() -> None:
    trace = _trace(Kind.UNIT, f"{_ETC}/{paths.SOCKET}", paths.SOCKET)
    gone = {**UNITS, paths.SOCKET: replace(UNITS[paths.SOCKET], load="not-found")}
    assert _found(_with(units=gone, former=Former((trace,)))) == {
        f"unit-missing:{paths.SOCKET}": f"sudo nix-aurora set-aside {trace.path}"
    }


def test_leftovers_of_another_nix_are_set_aside_together() -> None:
    traces = (
        _trace(Kind.UNIT, f"{_ETC}/{paths.MOUNT}", paths.MOUNT),
        _trace(Kind.LINK, f"{_ETC}/nix-daemon.socket.requires/{paths.MOUNT}", paths.MOUNT),
        _trace(Kind.UNIT, f"{_ETC}/nix-directory.service", "nix-directory.service"),
        _trace(Kind.SCRIPT, "/etc/profile.d/nix.sh"),
    )
    found = _found(_with(former=Former(traces)))
    assert set(found) == {
        f"unit-shadowed:{paths.MOUNT}",
        f"former-unit:{_ETC}/nix-directory.service",
        "former-file:/etc/profile.d/nix.sh",
    }
    assert set(found.values()) == {"sudo nix-aurora set-aside"}


def test_foreign_mount_unit_is_not_started() -> None:
    """The usual fix for an unmounted /nix would start this unit."""
    trace = _trace(Kind.UNIT, f"{_ETC}/{paths.MOUNT}", paths.MOUNT)
    store = replace(BASICS.store, nix=AtNix.DIRECTORY)
    assert set(_found(_with(store=store, former=Former((trace,))))) == {
        f"unit-shadowed:{paths.MOUNT}"
    }


def test_move_waits_until_its_obstacle_is_set_aside() -> None:
    trace = _trace(Kind.UNIT, f"{_ETC}/{paths.MOUNT}", paths.MOUNT)
    facts = _nix_root(unmoved=Unmoved.ANOTHER)
    facts = replace(facts, basics=replace(facts.basics, former=Former((trace,))))
    assert set(_found(facts)) == {f"unit-shadowed:{paths.MOUNT}"}


def test_unit_generated_from_a_line_is_found_once() -> None:
    line = replace(_trace(Kind.FSTAB, "/etc/fstab"), lines=(7,))
    unit = replace(UNITS[paths.MOUNT], fragment="/run/systemd/generator/nix.mount")
    facts = _with(units={**UNITS, paths.MOUNT: unit}, former=Former((line,)))
    assert _found(facts) == {"former-fstab": "sudo nix-aurora set-aside /etc/fstab"}


def test_lost_profile_is_named_with_its_missing_path() -> None:
    gone = f"/var/lib/nix/store/{'a' * 32}-user-environment"
    person = replace(PERSON, lost_profile=LostProfile.CONTENT, gone=gone)
    (finding,) = judge(replace(WELL, person=person))
    assert finding.message.startswith(f"/home/u/.nix-profile leads to {gone}, which is missing")


def test_lost_profile_may_be_in_another_nixs_store() -> None:
    stores = (FormerStore("/var/home/nix"),)
    facts = _with(former=Former(stores=stores))
    facts = replace(facts, person=replace(PERSON, lost_profile=LostProfile.FOLDER))
    fix = "sudo nix-aurora adopt"
    assert _found(replace(facts, keepers=stores)) == {"former-store": fix, "profile-lost": fix}
    # A store that lacks the path cannot restore the profile, so adopt is not the fix for it.
    assert _found(facts) == {
        "former-store": fix,
        "profile-lost": "rm -f -- /home/u/.nix-profile",
    }


def test_fix_names_which_of_several_stores_to_adopt() -> None:
    stores = (FormerStore("/var/home/nix"), FormerStore("", "LABEL=a b"))
    facts = _with(former=Former(stores=stores))
    person = replace(PERSON, lost_profile=LostProfile.CONTENT)
    assert _found(replace(facts, person=person, keepers=stores[1:])) == {
        "former-store": "sudo nix-aurora adopt --from /var/home/nix",
        "profile-lost": "sudo nix-aurora adopt --from 'LABEL=a b'",
    }


def test_files_in_nix_are_moved_or_hidden() -> None:
    """Files of an image cannot be moved, so they are hidden."""
    start = "sudo systemctl restart nix-layout.service nix.mount"
    facts = _store(nix=AtNix.OTHER_STORE)
    ordinary = replace(facts, host=replace(facts.host, root_writable=True))
    aside = "sudo mv --backup=numbered --no-target-directory /nix /nix.before-nix-aurora"
    assert _found(ordinary) == {"nix-foreign-store": f"{aside} && {start}"}
    asked = r"printf '\n%s\n' STORE_LAYOUT=mount | sudo tee --append /etc/nix-aurora.conf"
    assert _found(facts) == {"nix-foreign-store": f"{asked} && {start}"}
    file = SettingsFile("namespace", ((3, "namespace"),))
    facts = replace(facts, basics=replace(facts.basics, settings_file=file))
    comment = "sudo sed --in-place '3s/^/#/' /etc/nix-aurora.conf"
    assert _found(facts) == {"nix-foreign-store": f"{comment} && {asked} && {start}"}


@pytest.mark.parametrize("name", ["a b; touch x", "$(touch x)", "-rf", "x\ny", "\x1b]0;x\x07", "'"])
def test_file_name_in_a_fix_runs_no_command(name: str, tmp_path: Path) -> None:
    """The user runs the fix directly, and root runs it as the user."""
    path = f"{PERSON.home}/.config/environment.d/{name}.conf"
    for through_sudo in (False, True):
        person = replace(PERSON, through_sudo=through_sudo)
        (found,) = judge(replace(WELL, remotes=(Remote(path, "x\n; y"),), person=person))
        assert found.fix is not None
        assert found.fix.isprintable()
        assert found.id.isprintable()
        assert found.message.isprintable()
        log = tmp_path / "log"
        for program in ("sudo", "sed", "bash"):
            stub = f'#!/bin/sh\nprintf "%s\\0" {program} "$@" >>{log}\n'
            (tmp_path / program).write_text(stub)
            (tmp_path / program).chmod(0o755)
        subprocess.run(
            ["/bin/bash", "-c", found.fix], check=True, env={"PATH": str(tmp_path)}, cwd=tmp_path
        )
        words = log.read_text().split("\0")[:-1]
        log.unlink()
        if through_sudo:
            assert words[:4] == ["sudo", "-u", "u", "bash"]
        else:
            assert words[0] == "sed"
            assert words[-1] == path
        assert {entry.name for entry in tmp_path.iterdir()} == {"sudo", "sed", "bash"}


def test_greeting_is_skipped_if_it_would_start_a_failing_daemon() -> None:
    stopped = {**UNITS, paths.DAEMON: replace(UNITS[paths.DAEMON], active="inactive")}
    idle = replace(BASICS, units=stopped)
    assert may_greet(BASICS, Settings(), ())
    assert may_greet(idle, Settings(), ())
    assert not may_greet(BASICS, Settings(error="bad", broken_for_all=True), ())
    assert may_greet(BASICS, Settings(error="the person's own"), ())
    for settings, damaged, store in (
        (Settings(starts=False), (), BASICS.store),
        (Settings(), (NIX,), BASICS.store),
        (Settings(), (), replace(BASICS.store, noexec=("/var",))),
    ):
        assert not may_greet(replace(idle, store=store), settings, damaged)
        assert may_greet(replace(BASICS, store=store), settings, damaged)  # the daemon is running
    assert not may_greet(replace(BASICS, listening=frozenset()), Settings(), ())
    for broken in (Database(damage="page 7"), Database(misread="x"), Database(schema=11, reads=10)):
        assert not may_greet(replace(BASICS, database=broken), Settings(), ())
    assert not may_greet(
        replace(BASICS, store=replace(BASICS.store, database=False)), Settings(), ()
    )
