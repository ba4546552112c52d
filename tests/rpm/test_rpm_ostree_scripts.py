"""Test rpm-ostree's scriptlets: each rule has a package that shows it or fails."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nix_aurora.errors import ToolError
from tests.harness.rpm_ostree.container import Root
from tests.rpm.tiny import base, layered, tiny_rpm

_KINDS = ("prein", "post", "posttrans")  # rpm-ostree's names for them


@pytest.fixture
def root() -> Iterator[Root]:
    with base() as prepared:
        yield prepared


# --- scriptlets that run


def test_install_scriptlets_run_in_order(root: Root, tmp_path: Path) -> None:
    """All %pre run, then all %post, then all %posttrans; required packages come first."""
    scriptlets = "".join(
        f"{kind}\necho $1 $0; echo %{{name}} {number} >>/etc/order\n"
        for number, kind in enumerate(("%pre", "%post", "%posttrans"))
    )
    second = tiny_rpm(tmp_path, name="another", scriptlets=scriptlets, tags="Requires: tiny")
    said = layered(root, second, tiny_rpm(tmp_path, scriptlets=scriptlets))
    names = ("tiny", "another")
    assert list(said) == [f"{name}.{kind}" for kind in _KINDS for name in names]
    assert set(said.values()) == {"1 /proc/self/fd/5\n"}
    assert root.scratch.read("/etc/order").splitlines() == [
        f"{name} {number}" for number in range(3) for name in names
    ]


def test_other_scriptlets_never_run(root: Root, tmp_path: Path) -> None:
    """A program without a body does not run either; triggers on packages are ignored."""
    kinds = (
        *("%pretrans", "%preun", "%postun", "%verifyscript"),
        *("%triggerin -- bash", "%triggerprein -- bash", "%triggerun -- bash"),
        *("%filetriggerin -- /usr", "%transfiletriggerpostun -- /usr"),
    )
    bodies = "".join(f"{kind}\ntouch /etc/never; exit 1\n" for kind in kinds)
    rpms = (
        tiny_rpm(tmp_path, name="kinds", scriptlets=bodies),
        tiny_rpm(tmp_path, name="lua", scriptlets="%pretrans -p <lua>\nerror('never')"),
        tiny_rpm(tmp_path, name="program", scriptlets="%post -p /usr/bin/env"),
    )
    assert layered(root, *rpms) == {}
    assert root.scratch.run("[ ! -e /etc/never ]").output == ""


def _clear(root: Root) -> None:
    """Forget the packages so far, so that the next ones are the only ones."""
    root.scratch.run("rm -r /run/rpm-ostree/*")


@pytest.mark.parametrize("kind", _KINDS)
def test_lua_is_refused(root: Root, tmp_path: Path, kind: str) -> None:
    rpm = tiny_rpm(tmp_path, scriptlets=f"%{kind.removesuffix('in')} -p <lua>\nprint('hello')")
    with pytest.raises(ToolError) as caught:
        layered(root, rpm)
    assert caught.value.message == (
        f"Package 'tiny' has (currently) unsupported <lua> script in '%{kind}'"
    )


def test_lua_may_ask_to_be_skipped(root: Root, tmp_path: Path) -> None:
    lua = "%post -p <lua>\n-- rpm-ostree-skip\nerror('never')"
    assert layered(root, tiny_rpm(tmp_path, scriptlets=lua)) == {}


def test_some_lua_is_replaced(root: Root, tmp_path: Path) -> None:
    """The package's name decides. %posttrans sees the files of %pre in rpm-state."""
    rpm = tiny_rpm(
        tmp_path,
        name="authselect-libs",
        scriptlets="%pre -p <lua>\nerror('never')\n%posttrans\nls /var/lib/rpm-state",
    )
    assert layered(root, rpm)["authselect-libs.posttrans"] == "authselect.force\n"


def test_some_scriptlets_are_ignored(root: Root, tmp_path: Path) -> None:
    rpm = tiny_rpm(tmp_path, name="nfs-utils", scriptlets="%pre\necho one\n%post\nexit 1")
    assert layered(root, rpm) == {"nfs-utils.prein": "one\n"}


def test_other_interpreter_runs_without_its_arguments(root: Root, tmp_path: Path) -> None:
    rpm = tiny_rpm(
        tmp_path,
        scriptlets="%post -p /usr/bin/python3\nprint(6 * 7)\n"
        '%posttrans -p "/bin/sh -e"\nfalse\necho goes on',
    )
    assert layered(root, rpm) == {"tiny.post": "42\n", "tiny.posttrans": "goes on\n"}


def test_macros_are_expanded_if_the_spec_says_so(root: Root, tmp_path: Path) -> None:
    rpm = tiny_rpm(tmp_path, scriptlets="%post -e\necho %%{_bindir}\n%posttrans\necho %%{_bindir}")
    assert layered(root, rpm) == {"tiny.post": "/usr/bin\n", "tiny.posttrans": "%{_bindir}\n"}


@pytest.mark.parametrize("kind", _KINDS)
def test_failed_scriptlet_ends_the_assembly(root: Root, tmp_path: Path, kind: str) -> None:
    script = f"%{kind.removesuffix('in')}\necho the reason >&2\nexit 3"
    with pytest.raises(ToolError) as caught:
        layered(root, tiny_rpm(tmp_path, scriptlets=script))
    assert caught.value.message == (
        f"Running %{kind} for tiny: bwrap(/bin/sh): Child process exited with code 3\nthe reason\n"
    )


def test_tree_that_runs_nothing_ends_the_assembly(root: Root, tmp_path: Path) -> None:
    rpm = tiny_rpm(tmp_path, scriptlets="%post\nrm /usr/bin/true")
    with pytest.raises(ToolError, match=re.escape("bwrap(/usr/bin/true): Child process exited")):
        layered(root, rpm)


# --- file triggers


def test_file_triggers_of_base_and_package_run(root: Root, tmp_path: Path) -> None:
    """File triggers run at the end, with all files below a directory, and without arguments."""
    trigger = "%transfiletriggerin -- /usr/lib/tiny /etc/tiny\necho $#; sort"
    older = tiny_rpm(tmp_path, name="older", content={"/usr/lib/tiny/a": ""}, scriptlets=trigger)
    assert layered(root, older) == {"older.transfiletriggerin": "0\n/usr/lib/tiny/a\n"}
    _clear(root)
    content = {"/usr/lib/tiny/deep/b": "", "/etc/tiny/c": ""}
    newer = tiny_rpm(tmp_path, name="newer", content=content, scriptlets=trigger)
    files = "0\n/usr/lib/tiny/a\n/usr/lib/tiny/deep/b\n"
    assert layered(root, newer) == {
        "older.transfiletriggerin": files,
        "newer.transfiletriggerin": files,
    }


def test_file_triggers_outside_usr_do_not_run(root: Root, tmp_path: Path) -> None:
    trigger = "%transfiletriggerin -- /etc /usr/local /usr/no-such-directory\nexit 1"
    content = {"/etc/tiny": "", "/usr/lib/tiny": ""}
    assert layered(root, tiny_rpm(tmp_path, content=content, scriptlets=trigger)) == {}


def test_failed_file_trigger_ends_the_assembly(root: Root, tmp_path: Path) -> None:
    body = "%transfiletriggerin -- /usr/bin\nexit 3"
    with pytest.raises(ToolError, match=r"^Executing %transfiletriggerin for tiny: bwrap\(/bin/sh"):
        layered(root, tiny_rpm(tmp_path, scriptlets=body))


def test_file_triggers_of_some_packages_are_ignored(root: Root, tmp_path: Path) -> None:
    rpm = tiny_rpm(
        tmp_path,
        name="man-db",
        content={"/usr/lib/tiny": ""},
        scriptlets="%transfiletriggerin -- /usr/lib\nexit 1",
    )
    assert layered(root, rpm) == {}


def test_file_trigger_in_lua_is_refused(root: Root, tmp_path: Path) -> None:
    rpm = tiny_rpm(tmp_path, scriptlets="%transfiletriggerin -p <lua> -- /usr/bin\nprint(1)")
    with pytest.raises(ToolError, match=r"unsupported <lua> script in '%transfiletriggerin'"):
        layered(root, rpm)


# --- the environment of scriptlets


def _say(root: Root, directory: Path, script: str) -> str:
    """Return the output of a %post."""
    rpm = tiny_rpm(directory, scriptlets=f"%post -p /bin/bash\n{script}")
    return layered(root, rpm)["tiny.post"]


def test_environment_is_minimal(root: Root, tmp_path: Path) -> None:
    said = _say(root, tmp_path, "pwd; wc -c; env | grep -v ^_= | sort").splitlines()
    assert said == [
        *("/", "0"),
        *("LANG=C", "PATH=/usr/sbin:/usr/bin", "PWD=/", "SHLVL=1", "SYSTEMD_OFFLINE=1"),
    ]


def test_root_is_a_different_one(root: Root, tmp_path: Path) -> None:
    """Only /usr, /etc and /var are the tree's. Files elsewhere are lost."""
    script = """
ls -A / | xargs
ls -A /run /tmp /usr/share/rpm | xargs
[ -s /run/ostree-booted ] || echo empty
[ -e /nix ] || mkdir /nix && echo made
echo lost >/run/lost; echo lost >/tmp/lost; echo lost >/var/tmp/lost
echo kept >/usr/lib/kept; echo kept >/etc/kept
"""
    assert _say(root, tmp_path, script).splitlines() == [
        "bin dev etc lib lib64 proc run sbin sys tmp usr var",
        "/run: ostree-booted /tmp: /usr/share/rpm:",
        *("empty", "made"),
    ]
    seen = root.scratch.run("ls -d /nix /{run,tmp,var/tmp}/lost /{usr/lib,etc}/kept 2>&1 || :")
    assert re.findall(r"^/.*", seen.stdout, re.MULTILINE) == ["/etc/kept", "/usr/lib/kept"]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("echo x >/var/x", "Read-only file system"),
        ("mkdir -p /var/lib/nix", "Read-only file system"),
        ("mount -t tmpfs tmpfs /tmp", "denied"),
        ("mknod /tmp/null c 1 3", "Operation not permitted"),
        ("exec 7<>/dev/tcp/192.0.2.1/80", "Network is unreachable"),
        ("hostname -F /etc/os-release", "hostname"),
    ],
)
def test_forbidden_actions_of_a_scriptlet_fail(
    root: Root, tmp_path: Path, command: str, reason: str
) -> None:
    said = _say(root, tmp_path, f"({command}) 2>&1 && echo done || :")
    assert reason in said
    assert "done" not in said


def test_capabilities_are_few_and_namespaces_separate(root: Root, tmp_path: Path) -> None:
    """There is no network: the namespace has only a loopback."""
    spaces = "readlink /proc/self/ns/{cgroup,ipc,mnt,net,pid,uts}"
    script = f"sed -n 's/^CapEff:.//p' /proc/self/status; grep -c : /proc/net/dev; {spaces}"
    capabilities, interfaces, *own = _say(root, tmp_path, script).split()
    # These are the bits of chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap,
    # sys_chroot and setfcap.
    bits = (0, 1, 3, 4, 5, 6, 7, 8, 18, 31)
    assert int(capabilities, 16) == sum(1 << bit for bit in bits)
    assert interfaces == "1"
    assert set(own).isdisjoint(root.scratch.run(spaces).stdout.split())


def test_file_of_the_base_is_copied_before_it_is_written(root: Root, tmp_path: Path) -> None:
    """The file's other hard link is the object in the repository."""
    root.scratch.run("echo old >/usr/lib/tiny; ln /usr/lib/tiny /usr/lib/object")
    _say(root, tmp_path, "echo new >>/usr/lib/tiny")
    assert root.scratch.read("/usr/lib/tiny") == "old\nnew\n"
    assert root.scratch.read("/usr/lib/object") == "old\n"


def test_systemctl_is_replaced(root: Root, tmp_path: Path) -> None:
    script = """
systemctl daemon-reload
systemctl --quiet is-enabled tiny.service && echo yes
systemctl start tiny.service && echo yes
systemctl --no-reload preset tiny.service
systemctl --root=/ is-enabled tiny.service
"""
    unit = "[Service]\nExecStart=true\n[Install]\nWantedBy=default.target\n"
    content = {
        "/usr/lib/systemd/system/tiny.service": unit,
        "/usr/lib/systemd/system-preset/10-tiny.preset": "enable tiny.service\n",
    }
    rpm = tiny_rpm(tmp_path, content=content, scriptlets=f"%post\n{script}")
    link = "/etc/systemd/system/default.target.wants/tiny.service"
    ignored = "rpm-ostree-systemctl: Ignored non-preset command:"
    assert layered(root, rpm)["tiny.post"].splitlines() == [
        f"{ignored} daemon-reload",
        f"{ignored} --quiet is-enabled tiny.service",
        "yes",
        f"{ignored} start tiny.service",
        "yes",
        f"Created symlink '{link}' -> '/usr/lib/systemd/system/tiny.service'.",
        "enabled",
    ]
    assert root.scratch.run(f"readlink {link}; ls /usr/bin/systemctl*").stdout.splitlines() == [
        *("/usr/lib/systemd/system/tiny.service", "/usr/bin/systemctl")
    ]
    assert "systemd" in root.scratch.run("systemctl --version").stdout
