"""Test a closure with the oddest names, modes and links of an RPM: build it, and install it."""

import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from nix_aurora.errors import ToolError
from nix_aurora.files import sha256_file
from nix_aurora.run import run
from tests.closures import LIBC, TOP, File, Link, Member, Sample, make_tarball, member
from tests.rpm.builder import Built, build, query
from tests.rpm.tiny import tiny_rpm

_NOBODY = "65534"
_STORE = "usr/lib/nix-aurora/store"
_NAMES = ["-rf", " ", "a%b", "%{nil}", "%(id)", "[x]*?", "{a,b}", "\"'\\", "$x`y`", "é\u202e\x85"]
# Nix stores only one part of a mode: the owner's right to execute.
_MODES = {"closed": 0o000, "open": 0o666, "ours": 0o100, "of-others": 0o055}


def _odd(sample: Sample) -> None:
    libc = sample.store[LIBC]
    assert isinstance(libc, dict)
    libc |= {name: File(name.encode()) for name in (*_NAMES, "x" * 246)}
    libc |= {name: File(b"mode", executable=bool(mode & 0o100)) for name, mode in _MODES.items()}
    libc |= {"shut": {"in": {"file": File()}}, "d" * 255: {}, "a": {"z": File()}, "a-b": File()}
    libc |= {"dangling": Link("nowhere\n"), "here": Link("."), "far": Link("x/" * 511 + "y")}
    libc |= {"build.py": File(b"pass\n"), "lib.la": File(b"# libtool\n"), "core": File(b"\x7fELF")}
    libc |= {"original": File(b"once " * 1000), "copy": File(b"once " * 1000)}
    sample.members.append(_change)


def _change(members: list[Member]) -> None:
    """Change modes and times of members, and make ``copy`` a hard link."""
    for each in members:
        name = each.info.name.removeprefix(f"{TOP}/store/{LIBC}/")
        each.info.mode = _MODES.get(name, each.info.mode)
        each.info.mtime = 2_000_000_000
        if name.startswith("shut") and each.info.isdir():
            each.info.mode = 0
    members[:] = [each for each in members if not each.info.name.endswith(f"{LIBC}/copy")]
    original = f"{TOP}/store/{LIBC}/original"
    copy = member(f"{TOP}/store/{LIBC}/copy", type=tarfile.LNKTYPE, linkname=original)
    members.append(copy)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Return its packages: each NAR in them has been proven."""
    work = tmp_path_factory.mktemp("odd")
    return build(work / "out", [make_tarball(work / "odd.tar.xz", mutate=_odd)])


def test_closure_is_installed_as_staged(odd: Built, tmp_path: Path) -> None:
    words = ("rpm", "--root", tmp_path / "root", "--dbpath", "/db")
    run([*words, "--install", "--nodeps", "--noscripts", "--nosignature", odd.rpms["x86_64"]])
    staged = odd.out / "stage/x86_64/var/lib/nix/store"
    run(["diff", "--recursive", "--no-dereference", staged, tmp_path / "root" / _STORE])
    assert run([*words, "--verify", "--nodeps", "--noscripts", "nix-aurora"]) == ""


def test_modes_are_those_of_the_package(odd: Built) -> None:
    form = "[%{FILEMODES:perms} %{FILENAMES}\\n]"
    lines = query(odd.rpms["x86_64"], form).splitlines()
    modes = dict(line.split(" ", 1)[::-1] for line in lines if f"/{LIBC}/" in line)
    store = f"/{_STORE}/{LIBC}"
    assert {modes[f"{store}/{name}"] for name in ("closed", "open", "of-others")} == {"-r--r--r--"}
    assert modes[f"{store}/ours"] == "-r-xr-xr-x"
    assert {modes[f"{store}/{name}"] for name in ("shut", "shut/in")} == {"drwxr-xr-x"}


def test_another_user_builds_the_same(odd: Built, anywhere: Path) -> None:
    """Build as a user who cannot read a closed directory until it is opened."""
    srpm = Path(shutil.copy(odd.srpm, anywhere))
    srpm.chmod(0o644)
    user = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--")
    env = ("env", "-i", "-C", "/", f"HOME={anywhere}", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
    run([*user, *env, "rpmbuild", "--rebuild", srpm])
    (rpm,) = (anywhere / "rpmbuild/RPMS/x86_64").iterdir()
    assert sha256_file(rpm) == sha256_file(odd.rpms["x86_64"])


# --- refusals of the builder that match rpm's own; names.py and links.py


_MAKE = "import os; os.chdir(os.environ['RPM_BUILD_ROOT'] + '/usr/lib/tiny');"


def _tiny(directory: Path, command: str) -> Path:
    """Build a package of /usr/lib/tiny, with a regular file x and the results of ``command``."""
    install = f"python3 -c {shlex.quote(_MAKE + command)}"
    content = {"/usr/lib/tiny/x": ""}
    return tiny_rpm(directory, content=content, install=install, files="/usr/lib/tiny")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (r"open('a\tb', 'x')", "Illegal character (0x9) in filename"),
        (r"open('a\x7fb', 'x')", "Illegal character (0x7f) in filename"),
        (r"open(b'caf\xe9', 'x')", "invalid utf-8 encoding in Basenames"),
        (r"os.symlink(b'caf\xe9', 'l')", "invalid utf-8 encoding in Filelinktos"),
        ("os.symlink('l', 'l')", "broken symbolic link to l (Too many levels of symbolic links)"),
        ("os.symlink('x/y', 'l')", "broken symbolic link to x/y (Not a directory)"),
        ("os.symlink('y' * 256, 'l')", "(File name too long)"),
    ],
)
def test_rpmbuild_stops_at_unsupported_names_and_links(
    tmp_path: Path, command: str, message: str
) -> None:
    with pytest.raises(ToolError) as caught:
        _tiny(tmp_path, command)
    assert message in "\n".join(caught.value.details)


@pytest.mark.parametrize(("length", "installs"), [(246, True), (247, False)])
def test_longest_name_that_rpm_installs_is_accepted(
    tmp_path: Path, length: int, installs: bool
) -> None:
    rpm = _tiny(tmp_path, f"open('n' * {length}, 'x')")
    words = ("rpm", "--root", tmp_path / "root", "--dbpath", "/db", "--install", "--nosignature")
    if installs:
        run([*words, rpm])
    else:
        with pytest.raises(ToolError) as caught:
            run([*words, rpm])
        assert "File name too long" in "\n".join(caught.value.details)


@pytest.mark.parametrize(("length", "expected"), [(1024, ""), (1025, "L")])
def test_longest_target_that_rpm_verifies_is_accepted(
    tmp_path: Path, length: int, expected: str
) -> None:
    target = ("t/" * 600)[: length - 1] + "t"
    rpm = _tiny(tmp_path, f"os.symlink({target!r}, 'l')")
    words = ("rpm", "--root", tmp_path / "root", "--dbpath", "/db")
    run([*words, "--install", "--nosignature", rpm])
    done = subprocess.run([*words, "--verify", "tiny"], capture_output=True, text=True, check=False)
    assert done.stdout.partition(" ")[0].strip(".") == expected
