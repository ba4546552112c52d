"""Faults, each with doctor's expected findings: the test cases of doctor's contract.

Each kind of finding that is an error or a warning has a scenario here, or a separate test in
ELSEWHERE, because its fault needs another machine. tests/lint/test_findings.py compares them with
doctor's own list.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.torture import representatives

IMAGE = "image"
"""A host with /nix in its image, and a read-only root directory."""

ORDINARY = "ordinary"
"""A host with a writable root directory."""

_STATE = "/var/lib/nix/var/nix"
_OWN = "/var/lib/nix/.nix-aurora"
_SCRIPT = "/nix/var/nix/profiles/default/etc/profile.d/nix-daemon.sh"
_CUSTOM = "/etc/nix/nix.custom.conf"
_FOREIGN = """\
[Unit]
Description=Another Nix's daemon
[Service]
ExecStart=/bin/sleep infinity
"""
_CLOSURE = ". /usr/lib/nix-aurora/closure.env"
# A process that runs from /nix keeps it mounted.
_END_BUILDS = "systemctl kill --kill-whom=all nix-daemon.service || :; systemctl stop nix-daemon"
_UNMOUNT = f"{_END_BUILDS}; systemctl stop nix.mount"
_DROP_USERS = "for n in $(seq 32); do userdel nixbld$n; done; groupdel --force nixbld || :"
# This puts another Nix into the default profile; {} is its version.
_OTHER_NIX = f"""
{_CLOSURE}
rm -rf /tmp/own
cp -r --preserve=mode $CLOSURE_NIX /tmp/own
chmod -R u+w /tmp/own
rm /tmp/own/bin/nix
printf '%s\\n' '#!/bin/sh' 'echo "nix (Nix) {{}}"' >/tmp/own/bin/nix
chmod +x /tmp/own/bin/nix
path=$(nix-store --add /tmp/own)
HOME=/root nix-env --profile /nix/var/nix/profiles/default --set "$path"
"""
_OTHER_DAEMON = f"""
{_CLOSURE}
rm -rf /tmp/nix-2.20.1
cp -r --preserve=mode $CLOSURE_NIX /tmp/nix-2.20.1
path=$(nix-store --add /tmp/nix-2.20.1)
place=/run/systemd/system/nix-daemon.service.d
mkdir -p $place
printf '%s\\n' '[Service]' ExecStart= "ExecStart=$path/bin/nix-daemon --daemon" >$place/x.conf
systemctl daemon-reload
systemctl restart nix-daemon.service
rm -r $place
systemctl daemon-reload
"""
# This adds a user like sssd and systemd-homed do: outside of /etc/passwd.
_USERDB = """
mkdir -p /etc/userdb
cat >/etc/userdb/far.user <<'END'
{ "userName": "far", "uid": 60123, "gid": 60123, "homeDirectory": "/", "shell": "/bin/sh" }
END
cp /etc/userdb/far.user /etc/userdb/60123.user
getent passwd far
"""
# The store on a file system with few inodes, all but 20 of which garbage uses up: with none, Nix
# cannot collect. It is bound to its place, since a shared mount cannot be moved.
_FEW_INODES = f"""
{_UNMOUNT}
systemctl stop nix-daemon.socket
mkdir /run/few
mount -t tmpfs -o mode=0755,nr_inodes=20000 few /run/few
cp -a /var/lib/nix/. /run/few
mount --bind /run/few /var/lib/nix
umount /run/few
systemctl start nix.mount nix-daemon.socket
garbage=/var/lib/nix/store/{"0" * 32}-garbage
mkdir $garbage
cd $garbage
seq $(($(stat --file-system --format=%d .) - 20)) | xargs touch
"""
_MANY_INODES = f"""
{_UNMOUNT}
systemctl stop nix-daemon.socket
umount /var/lib/nix
rmdir /run/few
rm -f /root/.nix-profile # the collection made it, for a profile on that file system
systemctl start nix.mount nix-daemon.socket
"""
_BACKUP = "systemctl start nix-database-backup.service"
# This adds a store path that is not in the package, and a root that keeps it.
_KEPT = f"""
date +%N >/tmp/kept
nix-store --realise --add-root {_STATE}/gcroots/kept $(nix-store --add /tmp/kept)
"""
_NOT_KEPT = f"rm {_STATE}/gcroots/kept"
_DAMAGE = """
{}
{}
file=$(readlink -f {})
chmod u+w $file
printf '\\377\\376\\375\\374' | dd of=$file bs=1 seek=$(($(stat -c %s $file) / 2)) conv=notrunc
chmod u-w $file
touch -d @1 $file
"""


@dataclass(frozen=True)
class Scenario:
    """A fault that root causes, and all ids of errors and warnings that doctor then finds.

    Usually there is one id; the fixes run in turn until doctor finds nothing. ``seen_by`` is the
    user who runs doctor: only root can see some faults. ``after`` repairs damage for which no fix
    exists.
    """

    name: str
    script: str
    ids: tuple[str, ...]
    seen_by: str = "tester"
    after: str = ""
    host: str = IMAGE


def _settings(line: str) -> str:
    return f"cp {_CUSTOM} /tmp/custom; printf '%s\\n' {shlex.quote(line)} >>{_CUSTOM}"


_PUT_BACK = f"cp /tmp/custom {_CUSTOM}; systemctl try-restart nix-daemon.service"


def _setting(line: str, kind: str) -> Scenario:
    return Scenario(f"setting {line!r}", _settings(line), (kind,), after=_PUT_BACK)


_UNITS = (
    Scenario(
        "setup masked",
        "systemctl mask nix-setup.service",
        ("unit-masked:nix-setup.service",),
    ),
    Scenario(
        "setup masked until the next boot",
        "systemctl mask --runtime nix-setup.service",
        ("unit-masked:nix-setup.service",),
    ),
    Scenario(
        "setup failed",
        f"cd {_OWN}; rm imported lock; mkdir lock;"
        " ! systemctl restart nix-setup.service; rmdir lock",
        ("unit-failed:nix-setup.service", "import-unfinished"),
        seen_by="root",
    ),
    Scenario(
        "mount masked",
        f"{_END_BUILDS}; systemctl mask --now nix.mount",
        ("unit-masked:nix.mount",),
    ),
    Scenario("mount disabled", "systemctl disable nix.mount", ("unit-disabled:nix.mount",)),
    Scenario("socket stopped", "systemctl stop nix-daemon.socket", ("socket-stopped",)),
    Scenario(
        "socket masked",
        "systemctl mask --now nix-daemon.socket",
        ("unit-masked:nix-daemon.socket",),
    ),
    Scenario(
        "socket disabled",
        "systemctl disable --now nix-daemon.socket",
        ("unit-disabled:nix-daemon.socket",),
    ),
    Scenario("socket deleted", f"rm {_STATE}/daemon-socket/socket", ("socket-gone",)),
    Scenario(
        "a foreign nix-daemon.service in /etc",
        f"printf {shlex.quote(_FOREIGN)} >/etc/systemd/system/nix-daemon.service;"
        " systemctl daemon-reload; systemctl stop nix-daemon.service",
        ("unit-shadowed:nix-daemon.service",),
    ),
    *(
        Scenario(
            f"links in /etc to the {'and '.join(kinds)} of a Nix that is gone",
            "systemctl stop nix-daemon.socket nix-daemon.service;"
            + "".join(
                f" ln -s /nix/var/nix/profiles/gone/lib/systemd/system/nix-daemon.{kind}"
                f" /etc/systemd/system/nix-daemon.{kind};"
                for kind in kinds
            )
            + " systemctl daemon-reload",
            tuple(f"unit-missing:nix-daemon.{kind}" for kind in kinds),
        )
        for kinds in (("socket",), ("socket", "service"))
    ),
    Scenario(
        "the bus stopped",
        "systemctl stop dbus.socket dbus.service",
        ("systemd-silent",),
    ),
    Scenario(
        "a daemon that takes connections and says nothing",
        "nix store info; systemctl kill --signal=STOP --kill-whom=main nix-daemon.service",
        ("daemon-silent",),
    ),
    Scenario("the daemon of another Nix", _OTHER_DAEMON, ("daemon-outdated",)),
)
_MOUNTS = (
    Scenario(
        "mounted read-only",
        f"{_END_BUILDS}; mount -o remount,bind,ro /nix; ! timeout 60 nix-store --realise"
        " /nix/store/00000000000000000000000000000000-none;"
        " [ $(pgrep --count nix-daemon) -lt 4 ]",
        ("nix-read-only",),
    ),
    Scenario("mount stopped", _UNMOUNT, ("nix-not-mounted",)),
    Scenario(
        "another layout asked for",
        f"{_UNMOUNT};"
        " echo STORE_LAYOUT=namespace >>/etc/nix-aurora.conf; systemctl restart nix-layout.service",
        ("layout-namespace",),
    ),
    Scenario(
        "slips in nix-aurora.conf",
        "printf '%s\\n' 'exit 0' \"STORE_LAYOUT='namespace\" >>/etc/nix-aurora.conf",
        ("settings-file",),
    ),
    Scenario(
        "something else mounted on /nix",
        f"{_UNMOUNT}; mount -t tmpfs another /nix",
        ("nix-foreign-mount",),
    ),
    Scenario(
        "no program may start from /var",
        f"{_END_BUILDS}; mount -o remount,bind,noexec /var; mount -o remount,bind,noexec /nix",
        ("store-noexec",),
    ),
    Scenario(
        "files of another Nix in /nix",
        f"{_UNMOUNT}; touch /nix/file; systemctl restart nix-layout.service",
        ("nix-foreign-store",),
        host=ORDINARY,
    ),
    Scenario(
        "/nix a link",
        f"{_UNMOUNT}; rmdir /nix; ln -s /var/lib/nix /nix; systemctl restart nix-layout.service",
        ("nix-link",),
        host=ORDINARY,
    ),
)
_STORE = (
    Scenario("nixbld group missing", _DROP_USERS, ("nixbld-group-missing",)),
    Scenario("a build user missing", "userdel nixbld7", ("nixbld-users-missing",)),
    Scenario("the store of another group", "chgrp 4711 /var/lib/nix/store", ("store-group",)),
    Scenario("the store unreadable", "chmod 1771 /var/lib/nix/store", ("store-unreadable",)),
    Scenario("hardly any free inodes", _FEW_INODES, ("inodes-scarce",), after=_MANY_INODES),
    Scenario(
        "database gone",
        f"systemctl stop nix-daemon.service; rm {_STATE}/db/db.sqlite*",
        ("database-missing",),
        seen_by="root",
    ),
    Scenario(
        "database gone with all that is beside it",
        f"systemctl stop nix-daemon.service; rm -r {_STATE}/db",
        ("database-missing",),
        seen_by="root",
    ),
    Scenario(
        "a damaged page in the database",
        f"""
        {_BACKUP}
        systemctl stop nix-daemon.service
        db={_STATE}/db/db.sqlite
        checkpoint="pragma wal_checkpoint(truncate)"
        python3 -c "import sqlite3; sqlite3.connect('$db').execute('$checkpoint')"
        head -c 4096 /dev/urandom | dd of=$db bs=4096 seek=1 conv=notrunc
        """,
        ("database-damaged",),
        seen_by="root",
        after=f"rm -rf {_OWN}/aside",
    ),
    *(
        Scenario(
            f"a schema file that is {name}",
            f"{_KEPT}systemctl stop nix-daemon.service;"
            f" printf {shlex.quote(text)} >{_STATE}/db/schema",
            ("database-schema",),
            after=f"[ $(cat {_STATE}/db/schema) = 10 ];"
            f" nix-store --check-validity $(readlink {_STATE}/gcroots/kept); {_NOT_KEPT}",
        )
        for name, text in (
            ("empty", ""),
            ("a word", "x"),
            ("a number too large", "99999999999"),
            ("a number and a line break", r"10\n"),
            ("bytes that are no text", r"\377\376"),
            ("an old number", "7"),
        )
    ),
    Scenario(
        "a database of a newer Nix",
        f"{_KEPT}{_BACKUP}; systemctl stop nix-daemon.service; printf 11 >{_STATE}/db/schema",
        ("database-newer",),
        seen_by="root",
        # The newer database is kept.
        after=f"[ $(cat {_OWN}/aside/*/db/schema) = 11 ]; rm -rf {_OWN}/aside;"
        f" nix-store --check-validity $(readlink {_STATE}/gcroots/kept); {_NOT_KEPT}",
    ),
    Scenario(
        "a database that a client made anew",
        f"{_KEPT}{_BACKUP}; systemctl stop nix-daemon.service; rm -r {_STATE}/db;"
        " NIX_REMOTE=local nix-store --verify",
        ("paths-unregistered", "closure-incomplete"),
        seen_by="root",
        after=_NOT_KEPT,
    ),
    Scenario(
        "a lost database without a copy",
        f"{_KEPT}systemctl stop nix-daemon.service; rm -rf {_OWN}/database; rm -r {_STATE}/db;"
        " systemctl restart nix-setup.service",
        ("database-lost",),
        seen_by="root",
        after=f"{_NOT_KEPT}; rm -rf {_OWN}/aside",
    ),
    Scenario(
        "the packaged Nix gone",
        f"{_CLOSURE}; systemctl stop nix-daemon.service; rm -r $CLOSURE_NIX",
        ("import-missing",),
    ),
    Scenario(
        "a part of the packaged closure gone",
        f"{_CLOSURE}; rm -r $CLOSURE_CACERT",
        ("closure-incomplete",),
    ),
    *(
        Scenario(
            f"{name} damaged",
            _DAMAGE.format(_CLOSURE, _END_BUILDS, path),
            ("closure-damaged",),
            after=f"rm -rf {_OWN}/aside",
        )
        for name, path in (
            ("the C library", "$(ls /nix/store/*/lib/libc.so.6 | head -1)"),
            ("SQLite's library", "$(ls /nix/store/*/lib/libsqlite3.so.0 | head -1)"),
            ("OpenSSL's library", "$(ls /nix/store/*/lib/libssl.so.3 | head -1)"),
            ("the program", "$CLOSURE_NIX/bin/nix"),
            ("the certificates", "$CLOSURE_CACERT/etc/ssl/certs/ca-bundle.crt"),
        )
    ),
    Scenario(
        "gcroot gone",
        f"rm -r {_STATE}/gcroots/nix-aurora",
        ("gcroot-missing:nix", "gcroot-missing:cacert"),
    ),
    Scenario("stamp gone", f"rm {_OWN}/imported", ("import-unfinished",), seen_by="root"),
    Scenario(
        "stamp of another closure",
        f"echo other >{_OWN}/imported",
        ("import-stale",),
        seen_by="root",
    ),
)
_PROFILES = (
    Scenario("default profile gone", f"rm {_STATE}/profiles/default*", ("profile-missing",)),
    Scenario(
        "default profile without nix",
        "HOME=/root /usr/bin/nix-env --profile /nix/var/nix/profiles/default --uninstall '.*nix.*'",
        ("profile-without-nix",),
    ),
    Scenario(
        "default profile with the Nix of an earlier import",
        f"{_OTHER_NIX.format('2.20.1')}ln -sfn $path {_STATE}/gcroots/nix-aurora/nix",
        ("gcroot-missing:nix", "profile-stale"),
    ),
    Scenario(
        "default profile with a Nix that is too old for devbox",
        _OTHER_NIX.format("2.17.1"),
        ("devbox-version",),
    ),
    Scenario(
        "default profile without the script that devbox reads",
        _OTHER_NIX.format("2.20.1").replace("path=", "rm -r /tmp/own/etc/profile.d; path=", 1),
        ("devbox-script",),
    ),
    *(
        Scenario(
            f"the person's profile leads to {name}",
            f"ln -s {target} /var/home/tester/.nix-profile",
            ("profile-lost",),
        )
        for name, target in (
            ("a directory that is gone", f"{_STATE}/profiles/per-user/tester/profile"),
            ("a store path that is gone", f"/nix/store/{'0' * 32}-user-environment"),
        )
    ),
)
_LOGINS = (
    Scenario(
        "PATH without our directories, for the script in /etc is gone",
        "rm /etc/profile.d/nix.sh",
        ("path:bash", "path:zsh"),
    ),
    Scenario(
        "PATH without our directories, in a user's own file for bash",
        "echo 'PATH=/usr/local/bin:/usr/bin' >>/var/home/tester/.bash_profile",
        ("path:bash",),
    ),
    Scenario(
        "PATH without our directories, in a user's own file for zsh",
        "echo 'PATH=/usr/local/bin:/usr/bin' >/var/home/tester/.zlogin;"
        "chown tester: /var/home/tester/.zlogin",
        ("path:zsh",),
    ),
    Scenario(
        "PATH without our directories, in a user's own file for fish",
        "install -d -o tester -g tester /var/home/tester/.config/{,fish};"
        "echo 'set -gx PATH /usr/local/bin /usr/bin' >/var/home/tester/.config/fish/config.fish;"
        "chown tester: /var/home/tester/.config/fish/config.fish",
        ("path:fish",),
    ),
    Scenario(
        "a user's stale NIX_REMOTE",
        "printf 'if true; then\\n  export NIX_REMOTE=unix:///gone\\nfi\\n'"
        " >>/var/home/tester/.profile",
        ("nix-remote:/var/home/tester/.profile",),
    ),
    Scenario(
        "a user's stale NIX_REMOTE for the desktop",
        "install -d -o tester -g tester /var/home/tester/.config/{,environment.d};"
        "echo NIX_REMOTE=local >/var/home/tester/.config/environment.d/nix.conf",
        ("nix-remote:/var/home/tester/.config/environment.d/nix.conf",),
    ),
    Scenario(
        "a stale NIX_REMOTE of everybody",
        "echo export NIX_REMOTE=local >/etc/profile.d/old-nix.sh",
        ("nix-remote:/etc/profile.d/old-nix.sh",),
    ),
)
_SETTINGS = (
    Scenario("nix.conf gone", "rm /etc/nix/nix.conf", ("nix-conf-missing",)),
    Scenario(
        "nix.conf broken",
        "cp /etc/nix/nix.conf /tmp/nix.conf; echo nonsense >>/etc/nix/nix.conf",
        ("nix-conf-broken",),
        after="cp /tmp/nix.conf /etc/nix/nix.conf",
    ),
    *(
        _setting(line, "nix-conf-broken")
        for line in (
            "nonsense",
            "max-jobs = lots",
            "sandbox = maybe",
            "include missing.conf",
            "include",
            'x "/etc/nsswitch.conf" y',
        )
    ),
    Scenario(
        "a file of settings that another includes is broken",
        f"echo 'cores = many' >/etc/nix/site.conf; {_settings('include site.conf')}",
        ("nix-conf-broken",),
        after=f"{_PUT_BACK}; rm /etc/nix/site.conf",
    ),
    Scenario(
        "a user's settings broken",
        "install -d -o tester -g tester /var/home/tester/.config/{,nix};"
        "echo nonsense >/var/home/tester/.config/nix/nix.conf;"
        "chown tester: /var/home/tester/.config/nix/nix.conf",
        ("nix-conf-broken",),
        after="rm /var/home/tester/.config/nix/nix.conf*",
    ),
    *(
        _setting(line, f"unsafe-setting:{line.split()[0].removeprefix('extra-')}")
        for line in (
            "build-users-group =",
            "sandbox = false",
            "sandbox-fallback = true",
            "require-sigs = false",
            "trusted-users = *",
            "extra-trusted-users = @wheel",
        )
    ),
    Scenario(
        "a trusted user whom /etc/passwd does not know",
        f"{_USERDB}{_settings('trusted-users = root far')}",
        ("users-unknown:trusted-users",),
        after=f"{_PUT_BACK}; rm -r /etc/userdb",
    ),
)
_ANOTHER_NIX = (
    Scenario(
        "a unit that makes a /nix",
        "printf '[Service]\\nExecStart=mkdir -p /nix\\n' >/etc/systemd/system/mine.service;"
        " systemctl daemon-reload",
        ("former-unit:/etc/systemd/system/mine.service",),
    ),
    Scenario(
        "a link that makes the socket require a mount unit",
        "cd /etc/systemd/system; mkdir -p nix-daemon.socket.requires;"
        " ln -s ../nix.mount nix-daemon.socket.requires/; systemctl daemon-reload",
        ("former-unit:/etc/systemd/system/nix-daemon.socket.requires/nix.mount",),
    ),
    Scenario(
        "a line for /nix in fstab",
        "echo '/var/home/nix /nix none bind 0 0' >>/etc/fstab; systemctl daemon-reload",
        ("former-fstab",),
        after="[ \"$(tail -n 1 /etc/fstab)\" = '# /var/home/nix /nix none bind 0 0' ]",
    ),
    Scenario(
        "a block of an installer in a start-up file",
        f"printf '\\n# Nix\\n. {_SCRIPT}\\n# End Nix\\n\\n# mine\\n' >>/etc/bashrc",
        ("former-file:/etc/bashrc",),
        after="[ \"$(tail -n 1 /etc/bashrc)\" = '# mine' ]; ! grep Nix /etc/bashrc",
    ),
    Scenario(
        "the login script of another Nix in place of the packaged one",
        f"printf '# Nix\\n. {_SCRIPT}\\n# End Nix\\n' >/etc/profile.d/nix.sh",
        ("former-file:/etc/profile.d/nix.sh",),
        after="cmp /usr/lib/nix-aurora/etc/profile.d/nix.sh /etc/profile.d/nix.sh",
    ),
    Scenario(
        "settings of another Nix",
        "printf 'build-users-group = nixbld\\nsandbox-fallback = false\\n' >/etc/nix/nix.conf",
        ("former-file:/etc/nix/nix.conf",),
        after="cmp /usr/lib/nix-aurora/etc/nix/nix.conf /etc/nix/nix.conf",
    ),
    Scenario(
        "determinate-nixd there",
        "mkdir -p /usr/local/bin; touch /usr/local/bin/determinate-nixd",
        ("foreign-nixd",),
    ),
    Scenario("Determinate's receipt there", "touch /nix/receipt.json", ("foreign-receipt",)),
)


def of_each_kind(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Return a scenario for each kind of finding and a tenth of the others; all for torture."""
    return representatives(
        scenarios, lambda scenario: tuple(name.partition(":")[0] for name in scenario.ids)
    )


# The scenarios are in two parts, for two processes.
SCENARIOS_OF_USERS = (*_PROFILES, *_LOGINS, *_SETTINGS)
SCENARIOS_OF_SYSTEM = (*_MOUNTS, *_UNITS, *_STORE, *_ANOTHER_NIX)
SCENARIOS = (*SCENARIOS_OF_USERS, *SCENARIOS_OF_SYSTEM)

ELSEWHERE: Mapping[str, str] = {
    # These need dnf and a repository to restore the package's files.
    "package-corrupt": "tests/host/test_dnf.py::test_reinstalling_cures_a_corrupt_package",
    "package-damaged": "tests/host/test_dnf.py::test_reinstalling_cures_a_damaged_description",
    "foreign-packages": "tests/host/test_dnf.py::test_fix_removes_fedoras_own_nix",
    # These need a separate file system.
    "space-full": "tests/host/test_doctor.py::test_full_var_is_cured_by_collecting_garbage",
    "space-scarce": "tests/host/test_doctor.py::test_full_var_is_cured_by_collecting_garbage",
    # This needs a root that a collection would lose.
    "collection-failed": "tests/host/test_collection.py::"
    "test_nothing_is_collected_while_a_root_is_hidden",
    # This needs SELinux.
    "label": "tests/ostree/test_selinux.py::test_relabel_labels_a_store_again",
    # These need a store of another Nix.
    "adoption-unfinished": "tests/host/test_adopt_host.py::"
    "test_boot_finishes_a_takeover_that_was_killed_between_renames",
    "disk-not-mounted": "tests/host/test_history.py::"
    "test_store_on_a_subvolume_is_adopted_and_mounted_by_the_reboot",
    # These need graphics drivers.
    **dict.fromkeys(
        ("gpu-conflict", "gpu-damaged", "gpu-lost", "gpu-unlinked", "gpu-unrooted"),
        "tests/host/test_gpu.py::test_doctor_reports_each_fault_and_its_fix_cures_it",
    ),
    # These need a separate disk.
    "disk-missing": "tests/host/test_disk.py::"
    "test_missing_disk_is_reported_and_nothing_is_imported_below",
    "disk-read-only": "tests/host/test_disk.py::test_mount_options_are_accepted_or_reported",
    "store-link": "tests/host/test_disk.py::test_disk_mounted_before_the_installation_is_used",
    # This needs a relocated store.
    "store-not-mounted": "tests/host/test_relocated.py::test_missing_file_is_named_with_its_cure",
    # These need boots that move the system onto another root directory.
    "nix-root-stopped": "tests/host/test_mount.py::test_two_failed_boots_disable_the_move",
    "nix-root-failed": "tests/host/test_mount.py::test_fault_leaves_a_whole_system",
    "nix-root-not-yet": "tests/host/test_mount.py::test_disable_keeps_the_root_until_enable",
}
"""The kinds of findings that have a separate test, each with this test."""
