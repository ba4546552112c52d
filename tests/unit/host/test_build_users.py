"""Test how build users get into /etc/passwd and /etc/group."""

import fcntl
import pwd
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from nix_aurora_host import build_users, paths, sysusers
from nix_aurora_host.build_users import with_members, with_users

_BASH = Path("payload/usr/lib/nix-aurora/users.bash").resolve()
_MEMBERS = [f"nixbld{number}" for number in range(1, 33)]


def _user(name: str, uid: int = 30001) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "*", uid, 30000, "Nix", "/var/empty", "/usr/sbin/nologin"))


_LINE = b"nixbld1:x:30001:30000:Nix:/var/empty:/usr/sbin/nologin\n"


def test_members_are_those_of_sysusers() -> None:
    text = "# m a nixbld\ng nixbld 30000\nm nixbld1 nixbld\nm x wheel\nm nixbld2 nixbld\n"
    assert sysusers.parse_members(text) == ("nixbld1", "nixbld2")


def test_missing_file_has_no_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SYSUSERS", f"{tmp_path}/none")
    assert sysusers.read_members() == ()


@pytest.mark.parametrize(
    ("former", "now"),
    [
        (b"root:x:0:0::/:/bin/sh\n", b"root:x:0:0::/:/bin/sh\n" + _LINE),
        # The last account keeps its shell.
        (b"last:x:1000:1000::/:/bin/sh", b"last:x:1000:1000::/:/bin/sh\n" + _LINE),
        (b"", _LINE),
        (b"root:x:0:0::/:/bin/sh\n+::::::\n", b"root:x:0:0::/:/bin/sh\n" + _LINE + b"+::::::\n"),
        (b"nixbld1:x:7:7::/:\n", b"nixbld1:x:7:7::/:\n"),
        (b"nixbld10:x:7:7::/:\n\xff:x\n", b"nixbld10:x:7:7::/:\n\xff:x\n" + _LINE),
    ],
)
def test_each_user_gets_a_line(former: bytes, now: bytes) -> None:
    assert with_users(former, [_user("nixbld1")]) == now


@pytest.mark.parametrize(
    ("former", "now"),
    [
        (b"root:x:0:\nlast:x:9:a", b"root:x:0:\nlast:x:9:a\nnixbld:x:30000:one,two\n"),
        (b"nixbld:x:5:\nlast:x:9:a\n", b"nixbld:x:5:one,two\nlast:x:9:a\n"),
        (b"nixbld:x:5:two,mine\n", b"nixbld:x:5:two,mine,one\n"),
        (b"nixbld:x:5\n", b"nixbld:x:5:one,two\n"),
        (b"nixbldx:x:5:\n+:::\n", b"nixbldx:x:5:\nnixbld:x:30000:one,two\n+:::\n"),
    ],
)
def test_group_gets_its_members(former: bytes, now: bytes) -> None:
    assert with_members(former, 30000, ["one", "two"]) == now


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory in place of /etc, on a host that knows one build user."""
    for name, path in (("USERS_FILE", "passwd"), ("GROUP_FILE", "group"), ("LOCK", ".pwd.lock")):
        monkeypatch.setattr(build_users, name, str(tmp_path / path))
    (tmp_path / "sysusers").write_text("m nixbld1 nixbld\nm nixbld2 nixbld\n")
    monkeypatch.setattr(paths, "SYSUSERS", str(tmp_path / "sysusers"))
    monkeypatch.setattr("grp.getgrnam", lambda name: SimpleNamespace(gr_gid=30000))
    monkeypatch.setattr("pwd.getpwnam", {"nixbld1": _user("nixbld1")}.__getitem__)
    (tmp_path / "passwd").write_bytes(b"last:x:1000:1000::/home:/bin/bash")
    (tmp_path / "group").write_bytes(b"last:x:1000:")
    return tmp_path


def test_missing_users_are_copied_and_named(etc: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (etc / "passwd").chmod(0o604)
    assert build_users.main() == 0
    assert (etc / "passwd").read_bytes() == b"last:x:1000:1000::/home:/bin/bash\n" + _LINE
    assert (etc / "group").read_bytes() == b"last:x:1000:\nnixbld:x:30000:nixbld1\n"
    assert stat.S_IMODE((etc / "passwd").stat().st_mode) == 0o604
    assert stat.S_IMODE((etc / ".pwd.lock").stat().st_mode) == 0o600
    assert "these build users are missing: nixbld2" in capsys.readouterr().err


def test_edit_waits_for_another_writer(
    etc: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build_users, "_PATIENCE", 0.2)
    holder = subprocess.Popen(
        [
            "python3",
            "-c",
            "import fcntl, sys, time\n"
            "file = open(sys.argv[1], 'w')\n"
            "fcntl.lockf(file, fcntl.LOCK_EX)\n"
            "print(flush=True)\n"
            "time.sleep(60)",
            etc / ".pwd.lock",
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert build_users.main() == 1
    finally:
        holder.kill()
        holder.communicate()
    assert "another process holds the lock" in capsys.readouterr().err
    assert (etc / "passwd").read_bytes() == b"last:x:1000:1000::/home:/bin/bash"
    assert build_users.main() == 0
    with (etc / ".pwd.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the edit released the lock


def test_read_only_etc_is_an_error_message(
    etc: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: str, change: object) -> None:
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr("nix_aurora_host.replace.edit", refuse)
    assert build_users.main() == 1
    assert f"{etc}/group: Read-only file system" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("group", "passwd", "there"),
    [
        (f"root:x:0:\nnixbld:x:30000:{','.join(_MEMBERS)}\n", "root:x\nnixbld32:x\n", True),
        (f"nixbld:x:30000:{','.join(_MEMBERS)}", "nixbld32:x", True),
        ("nixbld:x:30000:nixbld32,mine\n", "nixbld32:x\n", True),
        ("nixbld:x:30000:\n", "nixbld32:x\n", False),
        ("nixbld:x:30000:nixbld3\nother:x:1:nixbld32\n", "nixbld32:x\n", False),
        ("nixbld:x:30000:nixbld32x\n", "nixbld32:x\n", False),
        ("nixbld:x:30000:nixbld32\n", "xnixbld32:x\n", False),
        ("other:x:30000:nixbld32\n", "nixbld32:x\n", False),
    ],
)
def test_boot_detects_missing_users(group: str, passwd: str, there: bool, tmp_path: Path) -> None:
    (tmp_path / "group").write_text(group)
    (tmp_path / "passwd").write_text(passwd)
    (tmp_path / "nix-aurora.conf").write_text(
        "g nixbld 30000\nu! nixbld32 30032:nixbld\nm nixbld1 nixbld\nm nixbld32 nixbld\n"
    )
    script = _BASH.read_text().replace("/etc/", f"{tmp_path}/")
    script = script.replace("/usr/lib/sysusers.d/", f"{tmp_path}/")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{script}\nhas_build_users"], check=False
    )
    assert (done.returncode == 0) == there
