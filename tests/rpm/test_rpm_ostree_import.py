"""Test rpm-ostree's importer: each rule has a package that it refuses, drops or changes."""

import stat
from pathlib import Path

import pytest

from nix_aurora.errors import ToolError
from tests.harness.rpm_ostree.importer import TMPFILES, import_package
from tests.rpm.tiny import tiny_rpm

_UNSUPPORTED = "Unsupported path; see https://github.com/projectatomic/rpm-ostree/issues/233"


def _contents(directory: Path) -> set[str]:
    """Return the content of a commit, without directories."""
    paths = (path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir())
    return {str(path.relative_to(directory)) for path in paths}


@pytest.mark.parametrize(
    "path",
    ["/nix/store/x", "/home/x", "/root/x", "/srv/x", "/mnt/x", "/media/x", "/data/x", "/sys/x"],
)
def test_path_is_refused(tmp_path: Path, path: str) -> None:
    """The message has rpm-ostree's wording, and the first refused path."""
    rpm = tiny_rpm(tmp_path, content={path: "", "/usr/lib/x": ""})
    with pytest.raises(ToolError) as caught:
        import_package(rpm, tmp_path / "commit")
    assert caught.value.message == (f"Importing package 'tiny': Analyzing {path}: {_UNSUPPORTED}")


@pytest.mark.parametrize("path", ["/nix", "/boot", "/srv"])
def test_directory_is_refused(tmp_path: Path, path: str) -> None:
    rpm = tiny_rpm(tmp_path, install=f"mkdir %{{buildroot}}{path}", files=f"%dir {path}")
    with pytest.raises(ToolError, match=f"Analyzing {path}: Unsupported path"):
        import_package(rpm, tmp_path / "commit")


def test_two_packages_may_have_any_path(tmp_path: Path) -> None:
    rpm = tiny_rpm(tmp_path, name="rootfiles", content={"/root/x": "", "/usr/lib/x": ""})
    import_package(rpm, tmp_path / "commit")
    assert _contents(tmp_path / "commit") == {"usr/lib/x"}


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/usr/lib/x", "usr/lib/x"),
        ("/usr/local/bin/x", "usr/local/bin/x"),
        ("/bin/x", "bin/x"),
        ("/lib64/x", "lib64/x"),
        ("/etc/x", "usr/etc/x"),
        ("/boot/x", "usr/lib/ostree-boot/x"),
        ("/var/lib/selinux/targeted/x", "usr/etc/selinux/targeted/x"),
        ("/var/lib/alternatives/x", "usr/lib/alternatives/x"),
    ],
)
def test_path_is_kept_or_moved(tmp_path: Path, path: str, there: str) -> None:
    import_package(tiny_rpm(tmp_path, content={path: "text"}), tmp_path / "commit")
    assert _contents(tmp_path / "commit") == {there}
    assert (tmp_path / "commit" / there).read_text() == "text"


@pytest.mark.parametrize(
    "path",
    [
        *("/var/lib/x", "/var/cache/x/y", "/run/x"),
        "/variable/x",  # this path only begins with the same letters
        "/runtime/x",
        "/etc/selinux/x.LOCK",
    ],
)
def test_file_is_dropped(tmp_path: Path, path: str) -> None:
    import_package(tiny_rpm(tmp_path, content={path: "text"}), tmp_path / "commit")
    assert _contents(tmp_path / "commit") == set()


def test_devices_and_pipes_are_dropped(tmp_path: Path) -> None:
    rpm = tiny_rpm(
        tmp_path,
        install="mkdir -p %{buildroot}/usr/lib; mkfifo %{buildroot}/usr/lib/pipe",
        files="/usr/lib/pipe\n%dev(c, 1, 3) /usr/lib/null",
    )
    package = import_package(rpm, tmp_path / "commit")
    assert {file.name for file in package.files} == {"/usr/lib/null", "/usr/lib/pipe"}
    assert _contents(tmp_path / "commit") == set()


def test_ghost_is_ignored(tmp_path: Path) -> None:
    """Ignore a ghost even if its path would be refused."""
    import_package(tiny_rpm(tmp_path, files="%ghost /nix/x"), tmp_path / "commit")
    assert _contents(tmp_path / "commit") == set()


def test_state_becomes_lines_for_tmpfiles(tmp_path: Path) -> None:
    """Directories and links are in the payload's order, those for moved directories first."""
    rpm = tiny_rpm(
        tmp_path,
        content={"/opt/two/x": "", "/opt/one/deep/x": "", "/var/lib/tiny/file": ""},
        install="""
cd %{buildroot}
mkdir -p var/lib/tiny/'a b' var/run/tiny run/tiny var/lib/rpm-x var/lib/alternatives
ln -s ../../run/tiny var/lib/tiny/link
""",
        files="""
%dir %attr(0555,-,-) /var/lib/tiny
%dir %attr(1770,alice,staff) "/var/lib/tiny/a b"
/var/lib/tiny/link
%dir /var/run/tiny
%dir /run/tiny
%dir /var/lib/rpm-x
%dir /var/lib/alternatives
""",
    )
    import_package(rpm, tmp_path / "commit")
    assert (tmp_path / "commit" / TMPFILES / "tiny.conf").read_text().splitlines() == [
        "L /opt/one - - - - ../../usr/lib/opt/one",
        "L /opt/two - - - - ../../usr/lib/opt/two",
        "L /var/lib/alternatives - - - - ../../usr/lib/alternatives",
        "d /run/tiny 0755 root root - -",
        "d /var/lib/tiny 0555 root root - -",
        "d '/var/lib/tiny/a b' 1770 alice staff - -",
        "L /var/lib/tiny/link - - - - ../../run/tiny",
        "d /run/tiny 0755 root root - -",
    ]
    assert {path for path in _contents(tmp_path / "commit") if "opt" in path} == {
        *("usr/lib/opt/one/deep/x", "usr/lib/opt/two/x")
    }


def test_modes_are_changed(tmp_path: Path) -> None:
    """Directories get u+w; executables lose it if the treefile requests that."""
    files = """
%dir %attr(0555,-,-) /usr/lib/tiny
%attr(0755,-,-) /usr/lib/tiny/run
%attr(0664,-,-) /usr/lib/tiny/data
"""
    install = "mkdir -p %{buildroot}/usr/lib/tiny; cd %{buildroot}/usr/lib/tiny; touch run data"
    rpm = tiny_rpm(tmp_path, install=install, files=files)
    for read_only, executable in ((False, 0o755), (True, 0o555)):
        commit = tmp_path / f"commit-{read_only}"
        import_package(rpm, commit, read_only_executables=read_only)
        modes = {
            name: stat.S_IMODE((commit / "usr/lib/tiny" / name).stat().st_mode)
            for name in (".", "run", "data")
        }
        assert modes == {".": 0o755, "run": executable, "data": 0o664}


def test_documentation_can_be_left_out(tmp_path: Path) -> None:
    """Files in /etc stay, since their name in the header differs."""
    rpm = tiny_rpm(
        tmp_path,
        install="install -D /dev/null %{buildroot}/usr/x; install -D /dev/null %{buildroot}/etc/x",
        files="%doc /usr/x\n%doc /etc/x",
    )
    import_package(rpm, tmp_path / "all")
    import_package(rpm, tmp_path / "less", documentation=False)
    assert _contents(tmp_path / "all") == {"usr/x", "usr/etc/x"}
    assert _contents(tmp_path / "less") == {"usr/etc/x"}


def test_each_hard_link_has_the_content(tmp_path: Path) -> None:
    rpm = tiny_rpm(
        tmp_path,
        content={"/usr/lib/a": "text"},
        install="cd %{buildroot}/usr/lib; ln a b; ln a c",
        files="/usr/lib/b\n/usr/lib/c",
    )
    import_package(rpm, tmp_path / "commit")
    assert [(tmp_path / "commit/usr/lib" / name).read_text() for name in "abc"] == ["text"] * 3
